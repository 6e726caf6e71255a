package pool

import (
	"github.com/ndpool/ndpool/internal/selfexec"
	"os"
	"os/exec"
	"testing"
)

// children are what the test binary does instead of testing when it is started as a child process, by name.
var children = map[string]func(args []string){}

const childEnv = "NDPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		children[name](os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// child returns a command that runs one of the children.
func child(name string, args ...string) *exec.Cmd {
	cmd := selfexec.Command(args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}
