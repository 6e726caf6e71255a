package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// command runs a program in the root of the repository, and says so. Its output is shown if it fails. Told to end, it ends
// with all that it has started.
func (j *job) command(ctx context.Context, env []string, name string, args ...string) error {
	fmt.Fprintf(j.log, "coverage: %s %s\n", name, strings.Join(args, " "))
	start := time.Now()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = j.root, append(os.Environ(), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = 10 * time.Second
	out, err := c.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(out, 4000))
	}
	fmt.Fprintf(j.log, "coverage: took %.0f s\n", time.Since(start).Seconds())
	return ctx.Err()
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// source returns the trimmed lines of a file, from 1.
func source(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := append([]string{""}, strings.Split(string(b), "\n")...)
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines, nil
}
