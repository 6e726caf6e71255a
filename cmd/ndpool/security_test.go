package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// TestNothingSteersATerminal: what others have named is escaped, in tables and in JSON, and pretends to be no other line.
func TestNothingSteersATerminal(t *testing.T) {
	const escape = "\x1b]0;owned\x07\x1b[2J\u009b31m"
	dir := t.TempDir()
	name := "a" + escape + "\nzz  live"
	p, err := pool.Create(name, pool.Options{Dir: dir, Capacity: 1 << 20})
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, os.Link(filepath.Join(dir, name), filepath.Join(dir, "bad\xff\xfe")))
	require.NoError(t, os.Link(filepath.Join(dir, name), filepath.Join(dir, "b\nzz  live"))) // nothing else in it that is escaped
	a, err := p.Zeros(dtype.Uint8, 10)
	require.NoError(t, err)
	defer a.Release()
	_, err = p.Publish("na"+escape+"me\nforged", a, pool.Publish{Attrs: pool.Attrs{escape: escape}})
	require.NoError(t, err)
	q, err := p.Queue("q"+escape+"\nu", pool.RingOptions{Entries: 4})
	require.NoError(t, err)
	defer q.Close()
	for _, verb := range []string{"ls", "show", "ps", "stat", "names", "rings", "transfers", "verify", "top"} {
		for _, form := range []string{"--json", ""} {
			args := []string{"--dir", dir, verb}
			if form != "" {
				args = append([]string{form}, args...)
			}
			if verb != "ls" {
				args = append(args, name)
			}
			if verb == "top" {
				args = append(args, "--once")
			}
			var out, errs strings.Builder
			require.Zero(t, run(args, &out, &errs), "%s: %s", verb, errs.String())
			for _, text := range []string{out.String(), errs.String()} {
				require.True(t, utf8.ValidString(text), "%s %s: %q", verb, form, text)
				require.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }), "%s %s: %q", verb, form, text)
			}
			if form != "" {
				require.True(t, json.Valid([]byte(out.String())), verb)
			} else if verb == "ls" {
				require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 4, "a name that pretends to be a line: %s", out.String())
			}
		}
	}
	var out strings.Builder
	require.Zero(t, run([]string{"--dir", dir, "ls", "-q"}, &out, &out))
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 3)
}
