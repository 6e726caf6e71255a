package pool

import (
	"errors"
	"fmt"

	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/ring"
)

// change makes one change of the catalog, all or nothing, and returns its number. stage is called under the lock, allocates
// nothing, and may be called again from the start. need is how many entries it may take at most.
func (p *Pool) change(need int, stage func(c *catalog.Change) error) (version uint64, err error) {
	c := new(catalog.Change)
	for {
		if err := p.lock(); err != nil {
			return 0, err
		}
		p.flushLocked()
		err := p.changeLocked(c, stage)
		from := p.names.Committed()
		p.unlock()
		if err == nil {
			p.nameBell().Ring(ring.All)
		}
		if !errors.Is(err, catalog.ErrFull) {
			return c.Version(), err
		}
		if err := p.growNames(from, need-c.Staged); err != nil {
			return 0, err
		}
	}
}

// nameBell is where processes wait for a name.
func (p *Pool) nameBell() ring.Bell {
	return ring.NewBell(&p.arena.Ctl.NamesSeq, &p.arena.Ctl.NamesFlag)
}

// changeLocked does that under the lock, with the entries that there are. A catalog that is torn is made anew, once.
func (p *Pool) changeLocked(c *catalog.Change, stage func(c *catalog.Change) error) (err error) {
	for range 2 {
		*c = p.names.Begin()
		if err = stage(c); err == nil {
			if c.Commit() != nil {
				p.rebuildLocked() // it is decided, and so the rebuild carries it out
			}
			return nil
		}
		if undone := c.Abandon(); undone != nil || errors.Is(err, catalog.ErrTorn) {
			p.rebuildLocked()
		}
		if !errors.Is(err, catalog.ErrTorn) {
			break
		}
	}
	return err
}

// growNames commits memory for n more entries of the catalog outside the lock, then makes them free under it. from is how many
// had memory when none was free. It fails if those were as many as there can be; another process may have committed all since.
func (p *Pool) growNames(from, n int) error {
	limit := len(p.arena.Names)
	if from == limit {
		return errNoEntry
	}
	to, err := p.arena.CommitNames(from, min(from+max(n, 1), limit))
	if err != nil {
		return err
	}
	if err := p.lock(); err != nil {
		return err
	}
	if now := p.names.Committed(); now < to {
		p.arena.Ctl.Names.Store(uint32(to))
		p.alloc.Names.AddRange(now, to)
	}
	p.unlock()
	return nil
}

// disownLocked removes the names of a slot whose process is gone, in one change. It takes no entries.
func (p *Pool) disownLocked(c *catalog.Change, slot int) error {
	return p.changeLocked(c, func(c *catalog.Change) error {
		c.Disown(slot)
		return nil
	})
}

var errNotEmpty = fmt.Errorf("%w: the group has names in it", ErrGroup)

// Remove removes an array's name, or a group that has no names in it; so do groups go that were made for its sake. The array
// lives on while somebody holds it. It fails with ErrNoName, and with ErrGroup for a group with names.
func (p *Pool) Remove(path string) error {
	_, err := p.remove(path, func(c *catalog.Change, e int) (int, error) {
		if !p.names.IsEmpty(e) {
			return 0, errNotEmpty
		}
		c.Leave(e)
		return 1, nil
	})
	return err
}

// RemoveTree removes a name and all names in it, at once, and returns how many there were, without groups that were made for
// the sake of others. The empty path is the whole catalog.
func (p *Pool) RemoveTree(path string) (n int, err error) {
	if path == "" {
		return p.removeAll()
	}
	return p.remove(path, func(c *catalog.Change, e int) (int, error) { return c.LeaveTree(e) })
}

func (p *Pool) removeAll() (n int, err error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	_, err = p.change(0, func(c *catalog.Change) error {
		n, err = c.LeaveAll()
		return err
	})
	return n, p.nameError("remove", "/", err)
}

func (p *Pool) remove(path string, leave func(c *catalog.Change, e int) (int, error)) (n int, err error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	if err = catalog.CheckPath(path); err == nil {
		_, err = p.change(0, func(c *catalog.Change) error {
			e, err := p.names.Find(path)
			if err == nil {
				n, err = leave(c, e)
			}
			return err
		})
	}
	if err != nil {
		return 0, p.nameError("remove", path, err)
	}
	return n, nil
}
