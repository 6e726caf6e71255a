// Package selfexec starts the running test binary again, as a child process that does something else.
package selfexec

import (
	"os"
	"os/exec"
)

// Emulator is the environment variable that names the program under which the binary runs, if the machine cannot run it
// itself: qemu-aarch64-static, for example.
const Emulator = "NDPOOL_EMULATOR"

// Command returns a command that runs this binary with the arguments.
func Command(args ...string) *exec.Cmd {
	if emulator := os.Getenv(Emulator); emulator != "" {
		return exec.Command(emulator, append([]string{os.Args[0]}, args...)...)
	}
	return exec.Command(os.Args[0], args...)
}
