package main

import "syscall"

// apart keeps the terminal's Ctrl-C from the workers, which flow ends by itself, and lets them die with it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
