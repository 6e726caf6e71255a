package main

import (
	"fmt"
	"io"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// transfersCmd shows the transfers in flight.
type transfersCmd struct {
	Name string `arg:"" help:"Name of the pool."`
}

// Help tells what --help tells beyond the flags.
func (transfersCmd) Help() string {
	return `A transfer keeps its array alive until it is adopted. One to anybody lives as long as its sender; when the sender is gone
it has a time to expire. One to a receiver lives as long as the receiver. What is in streams and queues is no transfer: see
ndpool rings.

Example:

    ndpool transfers frames`
}

// transferJSON is a transfer in flight, as JSON.
type transferJSON struct {
	Handle   handle.Handle `json:"handle"`
	Ticket   uint32        `json:"ticket"`
	Sender   partyJSON     `json:"sender"`
	Receiver *partyJSON    `json:"receiver"` // null: anybody
	Age      float64       `json:"age_seconds"`
	Expires  *float64      `json:"expires_seconds"` // null: not before its sender or receiver is gone; negative: expired
	DType    string        `json:"dtype"`
	Shape    []int         `json:"shape"`
	Bytes    uint64        `json:"bytes"`
}

// partyJSON is a process that a transfer names.
type partyJSON struct {
	ID      string `json:"id"`
	Pid     int    `json:"pid"` // 0: unknown, since the process has left
	Command string `json:"command"`
	Alive   bool   `json:"alive"`
}

func (p partyJSON) String() string {
	switch {
	case p.Pid == 0:
		return p.ID + " (gone)"
	case !p.Alive:
		return fmt.Sprintf("%d %s (dead)", p.Pid, clean(p.Command))
	}
	return fmt.Sprintf("%d %s", p.Pid, clean(p.Command))
}

func transfersOf(s *pool.Snapshot) []transferJSON {
	parties := map[pool.ProcessID]partyJSON{}
	for x := range s.Processes() {
		parties[x.ID] = partyJSON{ID: x.ID.String(), Pid: x.Pid, Command: x.Command, Alive: x.Alive}
	}
	party := func(id pool.ProcessID) partyJSON {
		if p, ok := parties[id]; ok {
			return p
		}
		return partyJSON{ID: id.String()}
	}
	arrays := map[handle.Handle]pool.ArrayInfo{}
	for a := range s.Arrays() {
		arrays[a.Handle] = a
	}
	found := []transferJSON{}
	for x := range s.Transfers() {
		t := transferJSON{Handle: x.Transfer.Handle, Ticket: x.Transfer.Ticket.Index(), Sender: party(x.Sender), Age: seconds(x.Age), Shape: []int{}}
		if x.Receiver != 0 {
			r := party(x.Receiver)
			t.Receiver = &r
		}
		if x.Expires != 0 {
			d := seconds(x.Expires)
			t.Expires = &d
		}
		if a, ok := arrays[t.Handle]; ok {
			t.DType, t.Shape, t.Bytes = a.DType.String(), append(t.Shape, a.Shape...), a.Bytes
		}
		found = append(found, t)
	}
	return found
}

// Run shows the transfers.
func (c *transfersCmd) Run(e *env) error {
	s, err := pool.Peek(c.Name, e.options())
	if err != nil {
		return err
	}
	defer s.Close()
	found := transfersOf(s)
	v := struct {
		Name      string         `json:"name"`
		Transfers []transferJSON `json:"transfers"`
	}{c.Name, found}
	return e.emit(v, func(w io.Writer) {
		if len(found) == 0 {
			fmt.Fprintf(w, "no transfers are in flight in %s\n", clean(c.Name))
			return
		}
		t := newTable("HANDLE", ">TICKET", "FROM", "TO", ">AGE", "EXPIRES", "DTYPE", "SHAPE", ">BYTES")
		for _, x := range found {
			t.row(x.Handle, x.Ticket, x.Sender, x.to(), age(fromSeconds(x.Age)), x.expires(), cut(x.DType, 24), shapeText(x.Shape), human(x.Bytes))
		}
		t.write(w)
	})
}

func (x *transferJSON) to() string {
	if x.Receiver == nil {
		return "anybody"
	}
	return x.Receiver.String()
}

func (x *transferJSON) expires() string {
	switch {
	case x.Expires == nil && x.Receiver != nil:
		return "with receiver"
	case x.Expires == nil:
		return "after sender"
	case *x.Expires < 0:
		return "expired"
	}
	return "in " + age(fromSeconds(*x.Expires))
}
