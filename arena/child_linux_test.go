package arena

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/selfexec"
)

// Tests of death need processes that can die. The test binary starts itself again with childEnv set; the child obeys one
// word per line from its standard input and answers with one line each.

const childEnv = "NDPOOL_ARENA_TEST_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		runChild(task)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

type childTask struct {
	Task string
	Loc  Location
}

// startChild starts a process that attaches to the segment and does its task. It is killed at the end of the test.
func startChild(t testing.TB, task string, loc Location, files ...*os.File) *child {
	t.Helper()
	env, err := json.Marshal(childTask{task, loc})
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: selfexec.Command()}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	c.cmd.ExtraFiles = files
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// say sends a line, and expect reads one.
func (c *child) say(t testing.TB, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		t.Fatal(err)
	}
}

func (c *child) expect(t testing.TB, prefix string) string {
	t.Helper()
	if !c.out.Scan() || !strings.HasPrefix(c.out.Text(), prefix) {
		t.Fatalf("child said %q, want %q", c.out.Text(), prefix)
	}
	return strings.TrimPrefix(c.out.Text(), prefix)
}

// ident reads who the child is.
func (c *child) ident(t testing.TB) layout.Ident {
	t.Helper()
	id, err := strconv.ParseUint(c.expect(t, "ident "), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return layout.Ident(id)
}

func (c *child) kill(t testing.TB) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
}

func (c *child) wait() error { return c.cmd.Wait() }

func runChild(env string) {
	var task childTask
	must(json.Unmarshal([]byte(env), &task))
	a, err := Open(task.Loc, false, never)
	must(err)
	if task.Task == "store-read-only" {
		ro, err := a.ReadOnly(0, 64)
		must(err)
		fmt.Println("storing")
		ro[0] = 1
		return
	}
	_, err = a.Claim()
	must(err)
	fmt.Println("ident", uint64(a.Self()))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		obey(a, strings.Fields(in.Text()))
	}
}

// obey does what the parent says.
func obey(a *Arena, words []string) {
	switch words[0] {
	case "lock":
		taken, err := a.Lock(10 * time.Second)
		fmt.Println("locked", taken, err)
	case "unlock":
		a.Unlock()
		fmt.Println("unlocked")
	case "count": // under the lock, with plain stores
		n, err := strconv.Atoi(words[1])
		must(err)
		for range n {
			_, err := a.Lock(10 * time.Second)
			must(err)
			a.Ctl.Next.Put(a.Ctl.Next.Get() + 1)
			a.Unlock()
		}
		fmt.Println("counted")
	case "bury":
		slot, err := strconv.Atoi(words[1])
		must(err)
		g, err := a.Bury(slot)
		fmt.Println("buried", g != nil, err)
	case "alive":
		id, err := strconv.ParseUint(words[1], 10, 64)
		must(err)
		fmt.Println("alive", a.Alive(layout.Ident(id)))
	case "close": // all descriptors of the segment, as daemons do
		fmt.Println("closed", closeStray(a))
	case "reuse": // their numbers, for another file
		for range 20 {
			_, err := unix.Open(words[1], unix.O_RDWR|unix.O_CLOEXEC, 0)
			must(err)
		}
		fmt.Println("reused")
	case "punch":
		fmt.Println("punched", a.PunchChunk(0), a.CommitPages(0, 1))
	case "leave":
		a.Leave(func() {})
		a.Close()
		fmt.Println("left")
	}
}

// closeStray closes all descriptors from 3 on that lead to the segment, and counts them.
func closeStray(a *Arena) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	must(err)
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		must(err)
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && fd >= 3 && to == a.Path() {
			must(unix.Close(fd))
			n++
		}
	}
	return n
}

func must(err error) {
	if err != nil {
		fmt.Println("child failed:", err)
		os.Exit(1)
	}
}

// TestKill lets a process die of SIGKILL: its byte is free, its incarnation dead, and one sweeper buries it.
func TestKill(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		c := startChild(t, "attach", loc)
		id := c.ident(t)
		if !a.Alive(id) || int(a.Slots[id.Slot()].Pid.Load()) != c.cmd.Process.Pid {
			t.Fatalf("child %#x: alive %v, pid %d", id, a.Alive(id), a.Slots[id.Slot()].Pid.Load())
		}
		c.say(t, fmt.Sprint("alive ", uint64(a.Self())))
		c.expect(t, "alive true")
		c.kill(t)
		eventually(t, "death of the child", func() bool { return !a.Alive(id) })
		g, err := a.Bury(id.Slot())
		if err != nil || g == nil {
			t.Fatalf("Bury: %v %v", g, err)
		}
		g.Done()
	})
}

// TestLeaveInChild leaves as it should, and nothing is left to bury.
func TestLeaveInChild(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		c := startChild(t, "attach", loc)
		id := c.ident(t)
		c.say(t, "leave")
		c.expect(t, "left")
		if _, used := a.Ident(id.Slot()); used || a.Alive(id) {
			t.Errorf("slot in use %v, alive %v", used, a.Alive(id))
		}
	})
}

// TestSweeperDies kills a process that sweeps: the next one may sweep again.
func TestSweeperDies(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		dead, sweeper := startChild(t, "attach", loc), (*child)(nil)
		id := dead.ident(t)
		sweeper = startChild(t, "attach", loc)
		sweeper.ident(t)
		dead.kill(t)
		eventually(t, "death of the child", func() bool { return !a.Alive(id) })
		sweeper.say(t, fmt.Sprint("bury ", id.Slot()))
		sweeper.expect(t, "buried true")
		if g, err := a.Bury(id.Slot()); g != nil || err != nil {
			t.Fatalf("Bury beside a living sweeper: %v %v", g, err)
		}
		sweeper.kill(t)
		var g *Grave
		eventually(t, "death of the sweeper", func() bool {
			var err error
			if g, err = a.Bury(id.Slot()); err != nil {
				t.Fatal(err)
			}
			return g != nil
		})
		g.Done()
	})
}

// TestLockOwnerKilled takes the lock over from a dead process, and is told.
func TestLockOwnerKilled(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		c := startChild(t, "attach", loc)
		c.ident(t)
		c.say(t, "lock")
		c.expect(t, "locked false <nil>")
		c.kill(t)
		if taken, err := a.Lock(10 * time.Second); err != nil || !taken {
			t.Fatalf("Lock: taken %v, %v", taken, err)
		}
		a.Unlock()
		if taken, err := a.Lock(time.Second); err != nil || taken {
			t.Fatalf("the next Lock: taken %v, %v", taken, err)
		}
		a.Unlock()
	})
}

// TestTakerKilled kills the process that took the lock over before it is done: the next one is told too.
func TestTakerKilled(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		first, second := startChild(t, "attach", loc), startChild(t, "attach", loc)
		first.ident(t)
		second.ident(t)
		first.say(t, "lock")
		first.expect(t, "locked false <nil>")
		second.say(t, "lock")
		first.kill(t)
		second.expect(t, "locked true <nil>")
		second.kill(t)
		if taken, err := a.Lock(10 * time.Second); err != nil || !taken {
			t.Fatalf("Lock: taken %v, %v", taken, err)
		}
		a.Unlock()
		if got := a.Ctl.Takeovers.Load(); got != 2 {
			t.Errorf("%d takeovers, want 2", got)
		}
	})
}

// TestLockOwnerStopped does not rob a stopped process: whoever waits is told who it is.
func TestLockOwnerStopped(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		c := startChild(t, "attach", loc)
		id := c.ident(t)
		c.say(t, "lock")
		c.expect(t, "locked false <nil>")
		if err := c.cmd.Process.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		_, err := a.Lock(100 * time.Millisecond)
		var e *LockError
		if !errors.As(err, &e) || e.Pid != c.cmd.Process.Pid || e.Slot != id.Slot() || e.Waited < 100*time.Millisecond {
			t.Fatalf("got %v", err)
		}
		if err := c.cmd.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		c.say(t, "unlock")
		c.expect(t, "unlocked")
		if taken, err := a.Lock(10 * time.Second); err != nil || taken {
			t.Fatalf("after SIGCONT: taken %v, %v", taken, err)
		}
		a.Unlock()
	})
}

// TestLockCountsInChildren counts with plain stores from several processes.
func TestLockCountsInChildren(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		const each = 3000
		children := []*child{startChild(t, "attach", loc), startChild(t, "attach", loc), startChild(t, "attach", loc)}
		for _, c := range children {
			c.ident(t)
		}
		for _, c := range children {
			c.say(t, fmt.Sprint("count ", each))
		}
		for _, c := range children {
			c.expect(t, "counted")
		}
		if got := a.Ctl.Next.Load(); got != uint32(len(children)*each) {
			t.Errorf("counted %d, want %d", got, len(children)*each)
		}
	})
}

// TestStrayClose closes all descriptors of the segment in a child, as daemons do, and uses their numbers for another file.
// The child does not seem dead, nobody seems dead to it, and it does not touch the other file.
func TestStrayClose(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		c := startChild(t, "attach", loc)
		id := c.ident(t)
		c.say(t, "close")
		if n := c.expect(t, "closed "); n == "0" {
			t.Fatal("there was nothing to close")
		}
		look := func(when string) {
			if !a.Alive(id) {
				t.Errorf("%s: the child seems dead", when)
			}
			c.say(t, fmt.Sprint("alive ", uint64(a.Self())))
			c.expect(t, "alive true")
			c.say(t, "bury 0")
			c.expect(t, "buried false")
			c.say(t, "punch")
			if got := c.expect(t, "punched "); strings.Contains(got, "<nil>") {
				t.Errorf("%s: the child went on without a descriptor: %s", when, got)
			}
		}
		look("closed")
		other := filepath.Join(loc.Dir, "other")
		precious := strings.Repeat("x", int(a.Geo.FileSize))
		if err := os.WriteFile(other, []byte(precious), 0o600); err != nil {
			t.Fatal(err)
		}
		c.say(t, "reuse "+other)
		c.expect(t, "reused")
		look("reused")
		if got, err := os.ReadFile(other); err != nil || string(got) != precious {
			t.Errorf("the child changed a file that is not the segment: %v", err)
		}
		c.kill(t)
		eventually(t, "death of the child", func() bool { return !a.Alive(id) })
	})
}
