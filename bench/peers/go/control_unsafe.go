package main

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counter has a cache line of its own.
type counter struct {
	n atomic.Uint64
	_ [7]uint64
}

// control is a file in place that all processes of a crowd see. It stays mapped until the process ends.
type control struct {
	stop      atomic.Uint32
	_         [15]uint32
	made, got [mostChildren]counter
}

func (b *bench) openControl() (*control, error) {
	f, err := os.OpenFile(filepath.Join(b.place, "control"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int(unsafe.Sizeof(control{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*control)(unsafe.Pointer(unsafe.SliceData(m))), nil
}

func total(cs []counter) (n uint64) {
	for k := range cs {
		n += cs[k].n.Load()
	}
	return n
}
