package victim

import "syscall"

// apart keeps the terminal's Ctrl-C from a worker, which the program that started it ends by itself, and lets it die with that.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
