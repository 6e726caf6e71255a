package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
)

// trace is what happened in a run in lockstep, a line each.
type trace struct {
	text  bytes.Buffer
	names map[string]string // of handles, tickets and messages, in the order in which they came
}

func newTrace() *trace { return &trace{names: map[string]string{}} }

// random matches what is never the same in two pools: handles, tickets, and messages.
var random = regexp.MustCompile(`\b[0-9a-f]{16}\b|\bndpool1:\S+`)

func (t *trace) add(format string, args ...any) {
	line := random.ReplaceAllStringFunc(fmt.Sprintf(format, args...), func(x string) string {
		if t.names[x] == "" {
			t.names[x] = fmt.Sprintf("#%d", len(t.names)+1)
		}
		return t.names[x]
	})
	t.text.WriteString(line + "\n")
}

// digest returns a short word for the whole trace.
func (t *trace) digest() string {
	sum := sha256.Sum256(t.text.Bytes())
	return fmt.Sprintf("%x", sum[:8])
}

// write writes the trace to a file, if there is one.
func (t *trace) write(path string) error {
	if path == "" {
		return nil
	}
	return os.WriteFile(path, t.text.Bytes(), 0o644)
}
