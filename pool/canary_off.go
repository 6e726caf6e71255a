//go:build !ndpool_crash

package pool

// canary is a deliberately wrong recovery, to prove that the crash tests can fail. It exists in the crash build only.
const canary = ""
