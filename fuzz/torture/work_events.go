package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// The last operations of a worker lie in a file that it has mapped: what it did is known when it was killed, and telling takes
// no system call. Event n, from 1, is record n modulo the number of records.
const (
	eventCount = 200
	eventSize  = 96
)

// events is that file; none if it has no bytes.
type events struct {
	mu sync.Mutex
	b  []byte
	n  int
}

// openEvents goes on after the largest number in the file, if there is one.
func openEvents(path string) (*events, error) {
	e := &events{}
	if path == "" {
		return e, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() < eventCount*eventSize {
		// Written, not only made longer: a hole in a full tmpfs is a fault when it is touched.
		if _, err := f.WriteAt(make([]byte, eventCount*eventSize), 0); err != nil {
			return e, nil
		}
	}
	if e.b, err = syscall.Mmap(int(f.Fd()), 0, eventCount*eventSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err != nil {
		return nil, err
	}
	for k := range eventCount {
		n, _ := strconv.Atoi(string(e.b[k*eventSize : k*eventSize+12]))
		e.n = max(e.n, n)
	}
	return e, nil
}

// add records an operation before it begins.
func (e *events) add(lane int, op, detail string) {
	if e.b == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	text := strings.Map(plain, fmt.Sprintf("%012d %d %s %s", e.n, lane, op, detail))
	text = text[:min(len(text), eventSize-1)]
	r := e.b[e.n%eventCount*eventSize:][:eventSize]
	n := copy(r, text)
	for ; n < eventSize-1; n++ {
		r[n] = ' '
	}
	r[eventSize-1] = '\n'
}

func plain(c rune) rune {
	if c < ' ' || c > '~' {
		return '?'
	}
	return c
}
