package main

import (
	"fmt"
	"strings"
	"sync"
)

// ledger knows which items were put and which were got, as the workers have said. What a worker did and had no time to say before
// it was killed is not in it: so a killed producer may have put a few more, and a killed consumer may have got a few more.
type ledger struct {
	mu   sync.Mutex
	puts map[account]int             // of each producer: how many it said that it has put
	gots map[account]map[uint64]bool // of each producer: which have been got
	risk map[string]int              // of each queue: how many killed consumers may have got and not said
	got  int
}

// account is a producer's items in a queue.
type account struct {
	ring string
	who  uint64
}

func newLedger() *ledger {
	return &ledger{puts: map[account]int{}, gots: map[account]map[uint64]bool{}, risk: map[string]int{}}
}

// put notes how many items a producer has put.
func (l *ledger) put(ring string, who uint64, line string) error {
	n := 0
	if _, err := fmt.Sscan(line, &n); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts[account{ring, who}] = n
	return nil
}

// take notes items that a consumer has got: pairs of who and number.
func (l *ledger) take(ring, line string) error {
	for _, word := range strings.Fields(line) {
		var who, number uint64
		if _, err := fmt.Sscanf(word, "%d:%d", &who, &number); err != nil {
			return err
		}
		if err := l.takeOne(ring, who, number); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) takeOne(ring string, who, number uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := account{ring, who}
	if l.gots[a] == nil {
		l.gots[a] = map[uint64]bool{}
	}
	if l.gots[a][number] {
		return found("item %d of process %d in %s was got twice", number, who, ring)
	}
	l.gots[a][number] = true
	l.got++
	return nil
}

// killed notes that a consumer was killed, who may have got so many items that it did not tell of.
func (l *ledger) killed(ring string, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.risk[ring] += most
}

// balance wants that all items were got that were put, but for what killed consumers had in hand, and none that was not put.
func (l *ledger) balance() (lost int, err error) {
	missing := map[string]int{}
	for a, n := range l.puts {
		for k := range n {
			if !l.gots[a][uint64(k+1)] {
				missing[a.ring]++
			}
		}
	}
	for ring, n := range missing {
		if lost += n; n > l.risk[ring] {
			return lost, found("%d items of %s were put and never got; killed consumers had at most %d in hand", n, ring, l.risk[ring])
		}
	}
	for a, numbers := range l.gots {
		for number := range numbers {
			if number > uint64(l.puts[a]+batch) {
				return lost, found("item %d of process %d in %s was got, which put %d", number, a.who, a.ring, l.puts[a])
			}
		}
	}
	return lost, nil
}
