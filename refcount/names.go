package refcount

import "github.com/ndpool/ndpool/arena/layout"

// The pseudo-holder NAMED says that values of the catalog name a block, as IN TRANSIT says that tickets carry it. All of
// this file wants the segment lock.

const namedWord, namedBit = layout.Named / 64, uint64(1) << (layout.Named % 64)

// NamedBit is the word and the bit of the pseudo-holder NAMED.
func NamedBit() (word int, bit uint64) { return namedWord, namedBit }

// Name counts a value that is about to name block i. Precondition: the caller has a reference to the block, which is LIVE.
//
// The bit and the bump come before the record that justifies them, so that the block outlives the caller's own release
// from the moment the value counts. A death before that leaves a bit without a record, which the taker of the lock clears.
func (t *Table) Name(i int) {
	if t.set(i, namedWord, namedBit) {
		t.Bump(i)
	}
	t.CountName(i)
}

// Unname uncounts a value that names block i no more. It reports freed as DropLocked does. First the record, then the bit if it
// was the last, then tryFree: a death in between leaves a bit without a record.
func (t *Table) Unname(i int) (freed bool) {
	d := &t.descs[i]
	if left := d.Names.Get(); left > 1 {
		d.Names.Publish(left - 1)
		return false
	}
	d.Names.Publish(0)
	t.clear(i, namedWord, namedBit)
	return t.TryFree(i)
}

// CountName counts a value that names block i, in a rebuild without more. ForgetNames makes the count zero before.
func (t *Table) CountName(i int) { t.descs[i].Names.Publish(t.descs[i].Names.Get() + 1) }

// ForgetNames makes the number of values that name block i zero, in a rebuild.
func (t *Table) ForgetNames(i int) {
	if t.descs[i].Names.Get() != 0 {
		t.descs[i].Names.Publish(0)
	}
}

// BackNamed sets the pseudo-holder NAMED of block i if its values want it, in a rebuild: see BackTransit.
func (t *Table) BackNamed(i int) {
	if t.descs[i].Names.Get() > 0 && t.set(i, namedWord, namedBit) {
		t.Bump(i)
	}
}
