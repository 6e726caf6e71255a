package fuzz

import (
	"flag"
	"os"
	"testing"

	"pgregory.net/rapid"

	ops "github.com/ndpool/ndpool/internal/machine"
	"github.com/ndpool/ndpool/pool"
)

// operations are what the machine does, some more often than others.
func (m *machine) operations() map[string]func(*rapid.T) {
	rare := map[string]func(*rapid.T){"": m.invariant, "recall": m.recall, "view": m.view, "seal": m.seal, "trim": m.trim, "close": m.close, "die": m.die}
	common := map[string]func(*rapid.T){"retain": m.retain, "handle": m.handle, "send": m.send, "adopt": m.adopt, "release": m.release, "open": m.open}
	return ops.Operations(rare, common, m.alloc, 6)
}

// property is the whole machine, on a segment in a real file.
func property(t *rapid.T) {
	dir, err := os.MkdirTemp(base(), "ndpool-fuzz-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	m := &machine{T: t, dir: dir, last: map[uint32]*transfer{}}
	defer m.clear()
	m.attach(false)
	t.Repeat(m.operations())
	m.finish()
}

// clear ends the children of a machine that failed: they are still attached.
func (m *machine) clear() {
	for _, p := range m.procs {
		p.end()
	}
}

// base is where segments lie: tmpfs if there is one.
func base() string {
	if st, err := os.Stat(pool.DefaultDir); err == nil && st.IsDir() {
		return pool.DefaultDir
	}
	return os.TempDir()
}

// moreSteps makes runs longer than rapid's default.
func moreSteps() {
	if f := flag.Lookup("rapid.steps"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("150")
	}
}

func TestPoolOfProcesses(t *testing.T) {
	moreSteps()
	rapid.Check(t, property)
}

func FuzzPoolOfProcesses(f *testing.F) { f.Fuzz(rapid.MakeFuzz(property)) }
