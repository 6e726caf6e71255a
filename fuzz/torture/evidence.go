package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// deadKept is of how many dead workers the events are kept.
const deadKept = 64

// bury notes that a worker is dead, and forgets about those that died long ago.
func (t *torture) bury(c *child) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = append(t.dead, c)
	if len(t.dead) > deadKept {
		os.Remove(t.dead[0].events)
		t.dead = t.dead[1:]
	}
}

// keepEvidence leaves the last events of all workers, an image of the pool, and what is wrong, in a directory that it names.
func (t *torture) keepEvidence() {
	if t.quiet || t.kept {
		return
	}
	t.kept = true
	dir, err := os.MkdirTemp(t.evidence, "ndpool-torture-failed-")
	if err == nil {
		err = errors.Join(t.keepEvents(dir), t.keepImage(filepath.Join(dir, "pool.image")), t.keepWords(filepath.Join(dir, "README")))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "torture: keep what can be understood: %v\n", err)
	}
	if dir != "" {
		fmt.Fprintf(os.Stderr, "torture: events of each worker and an image of the pool (ndpool verify --image) are in %s\n", dir)
	}
}

// keepEvents copies the events of each worker, in their order.
func (t *torture) keepEvents(dir string) error {
	files, err := filepath.Glob(filepath.Join(t.house.events, "worker-*"))
	for _, f := range files {
		text, e := os.ReadFile(f)
		lines := strings.Split(strings.Trim(string(text), "\x00"), "\n")
		slices.Sort(lines)
		for k := range lines {
			lines[k] = strings.TrimRight(lines[k], " \x00")
		}
		err = errors.Join(err, e, os.WriteFile(filepath.Join(dir, filepath.Base(f)), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	}
	return err
}

// keepImage copies the pool's file while nobody takes a step that needs its lock, if the lock is to be had.
func (t *torture) keepImage(path string) error {
	if t.p == nil {
		return nil
	}
	from, err := t.p.File()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(path)
	if err != nil {
		return err
	}
	defer to.Close()
	copied := func() error { return sparse(to, from) }
	if err := t.p.Freeze(copied); err != nil {
		return errors.Join(err, copied())
	}
	return nil
}

// sparse copies a file, and leaves holes where it has zeros.
func sparse(to *os.File, from io.ReaderAt) error {
	b := make([]byte, 1<<16)
	for off := int64(0); ; off += int64(len(b)) {
		n, err := from.ReadAt(b, off)
		if strings.Trim(string(b[:n]), "\x00") != "" {
			if _, err := to.WriteAt(b[:n], off); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return to.Truncate(off + int64(n))
		}
		if err != nil {
			return err
		}
	}
}

// keepWords tells what is wrong, and how to have it again.
func (t *torture) keepWords(path string) error {
	text := fmt.Sprintf("%v\n\nAgain: %s\n\nWorkers that were there, and the last ones that died, by seed and process:\n",
		t.failure(), t.command())
	t.mu.Lock()
	for _, x := range t.places {
		if x.now != nil {
			text += fmt.Sprintf("  there  %v\n", x.now)
		}
	}
	for _, c := range t.dead {
		text += fmt.Sprintf("  dead   %v\n", c)
	}
	t.mu.Unlock()
	return os.WriteFile(path, []byte(text), 0o600)
}
