package layout_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/arena/layout/internal/render"
)

// TestGeneratedFilesAreCurrent renders everything again and compares with the committed files.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := render.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, f.Data) {
			t.Errorf("%s is stale: run go generate in arena/layout", f.Path)
		}
	}
}

func TestFingerprintIsOfThisLayout(t *testing.T) {
	m, err := render.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Fingerprint(); got != layout.Fingerprint {
		t.Errorf("fingerprint: got %#x, committed %#x", got, uint64(layout.Fingerprint))
	}
	text := m.Canonical()
	if strings.Contains(text, "Fingerprint 0x") || strings.Contains(text, "Shared") {
		t.Error("the canonical text depends on itself or on comments")
	}
}

// TestHeaderCompiles compiles the committed header alone, then a program that prints every place, and compares those
// with what Go uses.
func TestHeaderCompiles(t *testing.T) {
	if !t.Run("current", TestFingerprintIsOfThisLayout) {
		t.Skip("the header is stale")
	}
	for _, cc := range compilers(t) {
		t.Run(filepath.Base(cc), func(t *testing.T) {
			header, err := filepath.Abs("../../python/csrc")
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			alone := filepath.Join(dir, "alone.c")
			if err := os.WriteFile(alone, []byte("#include \"ndpool_layout.h\"\n#include \"ndpool_layout.h\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, cc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I", header, alone)
			src, bin := filepath.Join(dir, "places.c"), filepath.Join(dir, "places")
			program, want := placesProgram(t)
			if err := os.WriteFile(src, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, cc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", header, "-o", bin, src)
			if got := run(t, bin); got != want {
				t.Errorf("places in C:\n%s\nplaces in Go:\n%s", got, want)
			}
		})
	}
}

func compilers(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"gcc", "clang"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	if path, err := exec.LookPath("cc"); err == nil && len(found) == 0 {
		found = append(found, path)
	}
	if len(found) == 0 {
		t.Skip("NO C COMPILER FOUND: the C header is not checked")
	}
	return found
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// placesProgram returns a C program that prints sizes, offsets, constants, masks and classes, and what it must print.
func placesProgram(t *testing.T) (program, want string) {
	t.Helper()
	m, err := render.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	var c, w strings.Builder
	show := func(expr string, v uint64) {
		fmt.Fprintf(&c, "    printf(\"%%s %%llu\\n\", %q, (unsigned long long)(%s));\n", expr, expr)
		fmt.Fprintf(&w, "%s %d\n", expr, v)
	}
	for _, s := range m.Structs {
		show("sizeof(ndpool_"+s.C+")", uint64(s.Size))
		for _, f := range s.Fields {
			show("offsetof(ndpool_"+s.C+", "+f.C+")", uint64(f.Offset))
			show("sizeof(((ndpool_"+s.C+" *)0)->"+f.C+")", uint64(f.Type.Size()))
		}
	}
	for _, g := range m.Consts {
		for _, k := range g.Consts {
			show(k.C, k.Value)
		}
	}
	show("NDPOOL_FINGERPRINT", layout.Fingerprint)
	for i, b := range layout.Magic {
		show(fmt.Sprintf("NDPOOL_MAGIC[%d]", i), uint64(b))
	}
	for i, k := range layout.Classes {
		show(fmt.Sprintf("ndpool_classes[%d].size", i), uint64(k.Size))
		show(fmt.Sprintf("ndpool_classes[%d].pages", i), uint64(k.Pages))
		show(fmt.Sprintf("ndpool_classes[%d].blocks", i), uint64(k.Blocks))
	}
	for g := uint64(0); g <= layout.MaxClassSize/layout.Granule; g++ {
		show(fmt.Sprintf("ndpool_class_of[%d]", g), uint64(layout.ClassOf(g*layout.Granule)))
	}
	showWords(show)
	return "#include <stdio.h>\n#include \"ndpool_layout.h\"\n\nint main(void)\n{\n" + c.String() + "    return 0;\n}\n", w.String()
}

// showWords packs words by the functions of Go and lets C split them.
func showWords(show func(string, uint64)) {
	split := func(word uint64, part string, v uint64) {
		show(fmt.Sprintf("(UINT64_C(%d) & NDPOOL_%s_MASK) >> NDPOOL_%s_SHIFT", word, part, part), v)
	}
	state := uint64(layout.State(0x123456<<16).To(layout.Private, 0xab))
	split(state, "STATE_KIND", uint64(layout.Private))
	split(state, "STATE_OWNER", 0xab)
	split(state, "STATE_EPOCH", 0x123457)
	split(uint64(layout.State(0).To(layout.Live, 0).Seal()), "STATE_SEALED", 1)
	split(uint64(layout.PageRun(12345, 678)), "EXTENT_FIRST", 12345)
	split(uint64(layout.PageRun(12345, 678)), "EXTENT_PAGES", 678)
	split(uint64(layout.SlabBlock(7, 99, 63)), "EXTENT_CLASS", 7)
	split(uint64(layout.SlabBlock(7, 99, 63)), "EXTENT_BLOCK", 63)
	split(uint64(layout.MakeIdent(17, 0xdeadbeef)), "IDENT_SLOT", 18)
	split(uint64(layout.MakeIdent(17, 0xdeadbeef)), "IDENT_INCARNATION", 0xdeadbeef)
	lock := uint64(layout.MakeLock(layout.MakeIdent(17, 0xdeadbeef)).WithWaiters())
	split(lock, "LOCK_OWNER", 18)
	split(lock, "LOCK_WAITERS", 1)
	split(lock, "LOCK_INCARNATION", 0xdeadbeef&(1<<23-1))
	split(uint64(layout.MakeSlot(layout.SlotSweeping, 0xdeadbeef)), "SLOT_WORD_INCARNATION", 0xdeadbeef)
	split(uint64(layout.MakeTicket(layout.TicketExpired, 0xdeadbeef)), "TICKET_WORD_NONCE", 0xdeadbeef)
	split(uint64(layout.MakeSlab(19, 200, 0x12345678)), "SLAB_FIRST", 0x12345678)
	split(uint64(layout.MakeSlab(19, 200, 0x12345678)), "SLAB_FREE", 200)
}
