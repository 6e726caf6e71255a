//go:build ndpool_crash

package main

import "github.com/ndpool/ndpool/internal/shm"

// arm lets this process die right after the k-th store to shared memory from now; 0: it lives.
func arm(k int) {
	if k > 0 {
		shm.Arm(k, shm.Kill)
	}
}

// disarm takes that back.
func disarm() { shm.Disarm() }
