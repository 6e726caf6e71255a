//go:build !ndpool_invariants && !race && !ndpool_crash

// Package invariants says by a constant whether costly self-checks are compiled in.
package invariants

// Enabled tells whether invariants are checked. It is a constant, so that checks compile away.
const Enabled = false
