package victim

import (
	"os/exec"
	"syscall"
)

// apart keeps the terminal's Ctrl-C from a worker, which the program that started it ends by itself, and lets it die with that.
func apart(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
}
