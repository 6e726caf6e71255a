package spin

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMutexExcludes(t *testing.T) {
	var m Mutex
	var wg sync.WaitGroup
	n := 0
	for range 8 {
		wg.Go(func() {
			for range 10000 {
				m.Lock()
				n++
				m.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 80000, n)
}

func TestTryLock(t *testing.T) {
	var m Mutex
	require.True(t, m.TryLock())
	require.False(t, m.TryLock())
	m.Unlock()
	require.True(t, m.TryLock())
}

func BenchmarkPair(b *testing.B) {
	var m Mutex
	n := 0
	for b.Loop() {
		m.Lock()
		n++
		m.Unlock()
	}
}
