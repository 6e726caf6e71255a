//go:build ndpool_invariants || race || ndpool_crash

package invariants

// Enabled tells whether invariants are checked. It is a constant, so that checks compile away.
const Enabled = true
