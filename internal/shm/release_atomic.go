//go:build !amd64 || race

package shm

import "sync/atomic"

// Elsewhere, and for the race detector, a release store is the atomic store (STLR on arm64).

func release64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

func release32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }
