package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// enter starts this program again in a mount namespace of its own, and waits for it. It reports whether that could be done;
// if not err tells why.
func enter(ctx context.Context, dir string) (entered bool, err error) {
	for _, users := range []bool{os.Getuid() != 0, true} {
		var cmd *exec.Cmd
		if cmd, err = again(dir, users); err != nil {
			return false, err
		}
		if err = cmd.Start(); err != nil {
			continue
		}
		// Both get the terminal's Ctrl-C; other signals are meant for the one that has all the rest in hand.
		defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
		err = cmd.Wait()
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			err = exitError(max(ee.ExitCode(), 1))
		}
		return true, err
	}
	return false, fmt.Errorf("a mount namespace of its own: %w", err)
}

func again(dir string, users bool) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), houseEnv+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Unshareflags: syscall.CLONE_NEWNS}
	if users {
		a.Cloneflags = syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	cmd.SysProcAttr = a
	return cmd, nil
}

// mountTmpfs puts a file system of its own on a directory. Only this process and those that it starts see it.
func mountTmpfs(dir string) error {
	return wrap("mount tmpfs", unix.Mount("torture", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"))
}

// resizeTmpfs sets how many bytes a mounted tmpfs may have.
func resizeTmpfs(dir string, bytes uint64) error {
	return wrap("resize tmpfs", unix.Mount("torture", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV,
		fmt.Sprintf("size=%d", bytes)))
}

// usedBytes returns how many bytes of a file system are in use.
func usedBytes(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, wrap("statfs", err)
	}
	return (s.Blocks - s.Bfree) * uint64(s.Bsize), nil
}

// reserve puts memory behind bytes of a file, from an offset on.
func reserve(f *os.File, off, n int64) error { return unix.Fallocate(int(f.Fd()), 0, off, n) }

// isFull tells whether an error says that a file system is full.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) }

// ownPids lets a worker be the first process of a PID namespace of its own.
func ownPids(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
