package pool

import (
	"fmt"
	"slices"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// Fault is a law of the format that a segment breaks.
type Fault struct {
	Law      string `json:"law"`
	Place    string `json:"place"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s: expected %s, found %s", f.Law, f.Place, f.Expected, f.Found)
}

// Report is what a verification found.
type Report struct {
	Faults  []Fault `json:"faults"`
	More    int     `json:"more"`    // faults beyond the first 1000
	Quiet   bool    `json:"quiet"`   // no other process was attached, so that the laws of a pool at rest were checked too
	Indexes bool    `json:"indexes"` // the derived indexes were checked: nobody died inside the lock
	Arrays  int     `json:"arrays"`  // alive
}

// Clean tells whether no fault was found.
func (r *Report) Clean() bool { return len(r.Faults) == 0 }

// maxFaults bounds a report.
const maxFaults = 1000

// VerifyOptions say how thorough a verification is.
type VerifyOptions struct {
	Content bool // also compare the content of sealed arrays with their hashes, and read the text of attributes
}

// Verify checks every law of the format. It holds the segment lock, so that other processes wait for it at their slow
// steps, and goes on beside those that need no lock: what changes while it looks is looked at again, and never reported. Laws that
// hold only at rest are checked when no other process is attached.
func (p *Pool) Verify(o VerifyOptions) (Report, error) {
	if err := p.enter(); err != nil {
		return Report{}, err
	}
	defer p.leave()
	c := newChecker(p.arena, o)
	if err := p.lock(); err != nil {
		return Report{}, err
	}
	defer p.unlock()
	p.lockStripes()
	defer p.unlockStripes()
	c.report.Indexes = true
	attached := c.slotWords()
	c.report.Quiet = c.quiet()
	c.check()
	if c.report.Quiet && !slices.Equal(attached, c.slotWords()) {
		c.forgetRest() // somebody came meanwhile; to retain an array he needs no lock
	}
	return c.report, nil
}

// VerifyImage checks a copy of a segment's file, without a slot and without changing it. If the copy was made while
// processes were attached, laws that hold only at rest are not checked, and the indexes only if nobody held the lock.
func VerifyImage(path string, o VerifyOptions) (Report, error) {
	a, err := arena.OpenImage(path)
	if fe := (*arena.FormatError)(nil); asFormat(err, &fe) {
		return Report{Faults: []Fault{{Law: "superblock", Place: fe.What, Expected: fmt.Sprint(fe.Want), Found: fmt.Sprint(fe.Got)}}}, nil
	}
	if err != nil {
		return Report{}, fmt.Errorf("pool: verify: %w", err)
	}
	return checkImage(a, o), nil
}

// checkImage checks an arena that is laid over a copy.
func checkImage(a *arena.Arena, o VerifyOptions) Report {
	c := newChecker(a, o)
	c.image = true
	c.report.Indexes = a.Ctl.Lock.Load() == 0
	c.report.Quiet = c.quiet()
	c.check()
	return c.report
}

// quiet tells whether no process is attached but this one.
func (c *checker) quiet() bool {
	for slot := range c.a.Slots {
		if id, used := c.a.Ident(slot); used && id != c.a.Self() {
			return false
		}
	}
	return true
}

// slotWords returns the words of the process table.
func (c *checker) slotWords() []uint64 {
	words := make([]uint64, len(c.a.Slots))
	for i := range words {
		words[i] = c.a.Slots[i].Word.Load()
	}
	return words
}

// forgetRest takes back what was found by the laws of a pool at rest: it was not at rest.
func (c *checker) forgetRest() {
	c.report.Quiet = false
	c.report.Faults = slices.DeleteFunc(c.report.Faults, func(f Fault) bool {
		return slices.ContainsFunc(Laws, func(l Law) bool { return l.Rest && l.Name == f.Law })
	})
}

// checker walks a segment. Local. It reads each word once into a local, and decides on that.
type checker struct {
	pool    *Pool // only for reading metadata; has no tables of its own
	a       *arena.Arena
	want    *alloc.Allocator // indexes as they should be
	tickets []uint32         // by descriptor: open tickets, and entries of rings
	named   []uint64         // by descriptor: values that name it
	pages   []uint32         // by page: descriptor plus one of the run, or of the slab's first block seen
	slabs   map[int]uint32   // by first page: class
	blocks  map[layout.Extent]int
	content bool
	image   bool
	report  Report
}

func newChecker(a *arena.Arena, o VerifyOptions) *checker {
	return &checker{pool: &Pool{arena: a, pages: a.Geo.Pages()}, a: a, want: alloc.NewShadow(&a.Geo), tickets: make([]uint32, len(a.Descs)),
		named: make([]uint64, len(a.Descs)), pages: make([]uint32, a.Geo.Pages()), slabs: map[int]uint32{}, blocks: map[layout.Extent]int{}, content: o.Content}
}

// fault adds a fault to the report.
func (c *checker) fault(law, place string, expected, found any) {
	if len(c.report.Faults) >= maxFaults {
		c.report.More++
		return
	}
	c.report.Faults = append(c.report.Faults, Fault{Law: law, Place: place, Expected: fmt.Sprint(expected), Found: fmt.Sprint(found)})
}

func (c *checker) check() {
	c.control()
	c.slots()
	c.committed()
	c.want.Reset()
	for n := range c.a.Tickets {
		c.ticket(n)
	}
	c.names()
	c.rings()
	for i := range c.pool.descs() {
		c.block(i)
	}
	c.indexes()
	if c.image {
		c.unused()
	}
}

// indexes compares the derived indexes with what follows from the truth.
func (c *checker) indexes() {
	if !c.report.Indexes {
		return
	}
	c.want.Finish()
	alloc.New(c.a).Diff(c.want, func(ix alloc.Index, place string, got, want uint64) {
		c.fault(string(ix), place, fmt.Sprintf("%#x", want), fmt.Sprintf("%#x", got))
	})
}

// used tells whether a slot is in use by this incarnation.
func (c *checker) used(id layout.Ident) bool {
	slot := id.Slot()
	if slot < 0 || slot >= len(c.a.Slots) || uint64(uint32(id)) != uint64(slot+1) {
		return false
	}
	now, used := c.a.Ident(slot)
	return used && now == id
}
