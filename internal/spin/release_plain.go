//go:build amd64 && !race

package spin

// See internal/shm/release_plain.go.
func release(p *uint32) { *p = 0 }
