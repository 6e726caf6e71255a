//go:build ndpool_crash

package pool

// canary is a deliberately wrong recovery, to prove that the crash tests can fail: "sweep" leaves a dead process's BUSY
// blocks, "rebuild" does not rebuild, "transit" does not clear surplus pseudo-holders, "names" does not end a change of the catalog,
// "rings" does not count what entries name.
var canary = ""
