package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// books say who should hold what.
type books struct {
	*torture
	who      map[int]string          // by slot
	held     map[int]map[string]bool // by slot: handles
	compared int

	// What compare works with.
	names     map[string]bool // handles that names lead to, and that were not met yet
	transfers map[string]int  // handles in transfers, and in how many, that were not met yet
	texts     int             // blocks that are texts of attributes
	entries   int             // blocks in rings, as often as they are there
	wrong     []string
}

func newBooks(t *torture) *books {
	b := &books{torture: t, who: map[int]string{}, held: map[int]map[string]bool{}}
	b.enter(t.p.Self(), "this process", handles(t.own))
	return b
}

func (b *books) enter(id pool.ProcessID, who string, held []string) {
	slot := slotOf(id)
	b.who[slot], b.held[slot] = who, map[string]bool{}
	for _, h := range held {
		b.held[slot][h] = true
	}
}

// slotOf returns the place of a process in the process table.
func slotOf(id pool.ProcessID) int {
	var slot, incarnation int
	if _, err := fmt.Sscanf(id.String(), "%d.%d", &slot, &incarnation); err != nil {
		panic(fmt.Sprintf("torture: process %v: %v", id, err))
	}
	return slot
}

func handles(as []*pool.Array) (hs []string) {
	for _, a := range as {
		hs = append(hs, a.Handle().String())
	}
	return hs
}

// awaitOrphans waits for the end of processes that nobody knows here: children of workers, also of those that were killed.
func (b *books) awaitOrphans() error {
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := b.p.Reap(); err != nil {
			return err
		}
		var strangers []string
		for x := range b.p.Processes() {
			if b.who[x.Slot] == "" {
				strangers = append(strangers, fmt.Sprintf("%v, process %d, %s", x.ID, x.Pid, x.Command))
			}
		}
		if len(strangers) == 0 {
			return nil
		}
		if time.Since(start) > patience {
			return fmt.Errorf("processes that nobody knows: %s", strings.Join(strangers, "; "))
		}
	}
}

// compare wants each block of the pool to be held by those who told so and by nobody else, or named, or on its way; and each
// that somebody told of to be there.
func (b *books) compare() (err error) {
	if b.names, err = b.listed(); err != nil {
		return err
	}
	b.transfers, b.wrong, b.texts, b.entries = b.inFlight(), nil, 0, 0
	missing := b.told()
	for x := range b.p.Arrays() {
		b.compared++
		b.holders(&x, missing)
		b.named(&x)
		b.moving(&x)
		if len(x.Holders) == 0 && !x.Named && x.InTransit == 0 {
			b.find("array %v: nobody's", x.Handle)
		}
	}
	for x, who := range missing {
		b.find("array %s: told of by %s, who does not hold it", x.handle, who)
	}
	for h := range b.names {
		b.find("array %s: a name leads to it, and it is not there", h)
	}
	for h := range b.transfers {
		b.find("array %s: in a transfer, and it is not there", h)
	}
	if err := b.counts(); err != nil {
		return err
	}
	if slices.Sort(b.wrong); len(b.wrong) > 0 {
		return fmt.Errorf("at the end, when all is quiet:\n  %s", strings.Join(b.wrong, "\n  "))
	}
	return nil
}

func (b *books) find(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// hold is an array in the hands of a process.
type hold struct {
	handle string
	slot   int
}

// told returns all that was told to be held, and by whom.
func (b *books) told() map[hold]string {
	all := map[hold]string{}
	for slot, held := range b.held {
		for h := range held {
			all[hold{h, slot}] = b.who[slot]
		}
	}
	return all
}

// holders compares who holds a block with who told so.
func (b *books) holders(x *pool.ArrayInfo, missing map[hold]string) {
	h := x.Handle.String()
	for _, slot := range x.Holders {
		if !b.held[slot][h] {
			b.find("array %s: held by %s, who did not tell", h, b.who[slot])
		}
		delete(missing, hold{h, slot})
	}
}

// named compares whether a block is named with what names lead to. What is named and has no name is a text of attributes.
func (b *books) named(x *pool.ArrayInfo) {
	h := x.Handle.String()
	if b.names[h] && !x.Named {
		b.find("array %s: a name leads to it, which it does not know", h)
	}
	if x.Named && !b.names[h] {
		b.texts++
	}
	delete(b.names, h)
}

// moving compares how often a block is on its way with how many transfers it is in. The rest are entries of rings.
func (b *books) moving(x *pool.ArrayInfo) {
	h := x.Handle.String()
	if x.InTransit < b.transfers[h] {
		b.find("array %s: in %d transfers, of which it knows %d", h, b.transfers[h], x.InTransit)
	}
	b.entries += x.InTransit - b.transfers[h]
	delete(b.transfers, h)
}

// listed returns the handles that names lead to.
func (b *books) listed() (map[string]bool, error) {
	found := map[string]bool{}
	for x, err := range b.p.List("") {
		if err != nil {
			return nil, err
		}
		if !x.Group {
			found[x.Handle.String()] = true
		}
	}
	return found, nil
}

// inFlight returns in how many transfers handles are.
func (b *books) inFlight() map[string]int {
	found := map[string]int{}
	for x := range b.p.Transfers() {
		found[x.Transfer.Handle.String()]++
	}
	return found
}

// counts compares how many blocks are texts of attributes with how many names have such, and how often blocks are in rings
// with what is in the rings.
func (b *books) counts() error {
	attributes := 0
	for x, err := range b.p.List("") {
		if err != nil {
			return err
		}
		if len(x.Attrs) > 0 {
			attributes++
		}
	}
	if b.texts != attributes {
		b.find("%d names have attributes, and there are %d texts of such", attributes, b.texts)
	}
	rings, err := b.p.Rings()
	if err != nil {
		return err
	}
	least := 0
	for _, r := range rings {
		least += int(r.Head - r.Tail)
	}
	if b.entries < least || b.entries > 2*least { // an entry has an array, and attributes or not
		b.find("%d entries are in rings, and name %d blocks", least, b.entries)
	}
	return nil
}
