//go:build !amd64 || race

package spin

import "sync/atomic"

func release(p *uint32) { atomic.StoreUint32(p, 0) }
