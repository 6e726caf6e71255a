package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is this program, started anew with a role. It reads its tokens from descriptor 3 and answers on 4: pipes that block,
// read and written by system calls of their own, since the poller of package os has nothing to add.
type child struct {
	cmd      *exec.Cmd
	to, from int
}

const (
	in           = 3
	out          = 4
	mostChildren = 64
)

func (b *bench) start(role string) (*child, error) {
	var down, up [2]int
	if err := errors.Join(unix.Pipe2(down[:], unix.O_CLOEXEC), unix.Pipe2(up[:], unix.O_CLOEXEC)); err != nil {
		return nil, err
	}
	theirs, ours := os.NewFile(uintptr(down[0]), "down"), os.NewFile(uintptr(up[1]), "up")
	defer theirs.Close()
	defer ours.Close()
	size, holds := fmt.Sprint("size=", b.size), fmt.Sprint("holds=", b.holds)
	cmd := exec.Command("/proc/self/exe", "child:"+role, size, holds, "place="+b.place)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs, ours}
	// It dies with its parent, however that ends: the runtime keeps the thread that starts it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, down[1], up[0]}, nil
}

// startAll returns when all are ready.
func (b *bench) startAll(n int, role string) ([]*child, error) {
	if n < 1 || n > mostChildren {
		return nil, fmt.Errorf("%d children (1 to %d)", n, mostChildren)
	}
	cs := make([]*child, n)
	for k := range cs {
		var err error
		if cs[k], err = b.start(role); err != nil {
			return nil, err
		}
	}
	for _, c := range cs {
		if _, err := c.answer(); err != nil {
			return nil, err
		}
	}
	return cs, nil
}

func (c *child) answer() (byte, error) {
	var b [1]byte
	n, err := syscall.Read(c.from, b[:])
	if err == nil && n == 0 {
		err = errors.New("a child has ended")
	}
	return b[0], err
}

// expect waits for an answer.
func (c *child) expect(want byte) error {
	got, err := c.answer()
	if err == nil && got != want {
		err = fmt.Errorf("answer %d (want %d)", got, want)
	}
	return err
}

// finish tells the child nothing more, upon which it ends.
func (c *child) finish() error {
	syscall.Close(c.to)
	syscall.Close(c.from)
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("a child failed: %w", err)
	}
	return nil
}

func finishAll(cs []*child) error {
	for _, c := range cs {
		if err := c.finish(); err != nil {
			return err
		}
	}
	return nil
}

func write(fd int, p []byte) error {
	n, err := syscall.Write(fd, p)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d of %d bytes written", n, len(p))
	}
	return err
}

// read reads all of p; false at the end.
func read(fd int, p []byte) (bool, error) {
	for k := 0; k < len(p); {
		n, err := syscall.Read(fd, p[k:])
		if err != nil {
			return false, err
		}
		if n == 0 {
			return false, nil
		}
		k += n
	}
	return true, nil
}

func answer(b byte) error { return write(out, []byte{b}) }
