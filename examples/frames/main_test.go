package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/pool"
)

const asProgram = "NDPOOL_FRAMES_PROGRAM"

// TestMain lets the test binary be the program.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Setenv(asProgram, "1") // for the children
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// onPool gives a pool of the test's own, which is checked at the end, and gone.
func onPool(t *testing.T) settings {
	s := settings{pool: fmt.Sprintf("ndpool-frames-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")), stream: "frames", frames: 60}
	p, err := pool.Create(s.pool, pool.Options{Capacity: 64 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		report, err := p.Verify(pool.VerifyOptions{})
		require.NoError(t, err)
		require.Empty(t, report.Faults)
		require.NoError(t, p.Close())
		require.NoFileExists(t, "/dev/shm/"+s.pool)
	})
	return s
}

func TestDemo(t *testing.T) {
	s := onPool(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-pool", s.pool, "-frames", "60"}, &out))
	require.Regexp(t, `^read \d+ frames, skipped \d+, mixed 0, the last one is \d+; the writer was killed
read 60 frames, skipped 0, mixed 0, the last one is \d+; the writer ended
$`, out.String())
}

// TestOthers has each language read what each other one writes.
func TestOthers(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	python := os.Getenv("NDPOOL_PYTHON")
	if python == "" {
		t.Skip("NDPOOL_PYTHON names no interpreter that has the package ndpool")
	}
	writers := map[string]func(s settings, role string) []string{
		"go": func(s settings, role string) []string { return []string{self, role, "-pool", s.pool} },
		"python": func(s settings, role string) []string {
			return []string{python, "../frames.py", role, "--pool", s.pool}
		},
	}
	for from, write := range writers {
		for to, read := range writers {
			for _, latest := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s-%s-%v", from, to, latest), func(t *testing.T) {
					s := onPool(t)
					reader := read(s, "read")
					if latest {
						reader = append(reader, map[string]string{"go": "-latest", "python": "--latest"}[to])
					}
					exchange(t, reader, append(write(s, "write"), map[string]string{"go": "-frames", "python": "--frames"}[from], "60"))
				})
			}
		}
	}
}

// exchange starts a reader, and when it waits a writer of 60 frames.
func exchange(t *testing.T, reader, writer []string) {
	r := exec.CommandContext(t.Context(), reader[0], reader[1:]...)
	r.Stderr = os.Stderr
	stdout, err := r.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.Start())
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "waiting for frames")
	told, err := exec.CommandContext(t.Context(), writer[0], writer[1:]...).Output()
	require.NoError(t, err)
	require.Equal(t, "wrote 60 frames, the last one is 60\n", string(told))
	told, err = io.ReadAll(lines)
	require.NoError(t, err)
	require.NoError(t, r.Wait())
	var read, skipped, mixed, last int
	_, err = fmt.Sscanf(string(told), "read %d frames, skipped %d, mixed %d, the last one is %d; the writer ended", &read, &skipped, &mixed, &last)
	require.NoError(t, err, "%s", told)
	require.Equal(t, []int{60, 0, 60}, []int{read + skipped, mixed, last}, "%s", told)
}

func TestNoSuchRole(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"dance"}, io.Discard), "dance")
}
