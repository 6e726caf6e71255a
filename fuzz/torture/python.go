package main

import (
	"embed"
	"os"
	"os/exec"
)

// pythonFiles is the package "worker" in Python.
//
//go:embed worker/*.py
var pythonFiles embed.FS

// unpackPython puts the package where interpreters find it, for as long as the house stands.
func (h *house) unpackPython() error { return os.CopyFS(h.aside, pythonFiles) }

// pythonWorker returns what runs a worker in Python. The package is found by the environment and not by the current directory,
// so that nothing there is taken for it, and an exec of the worker finds it, too. Nothing is written beside it.
func (h *house) pythonWorker(interpreter string) *exec.Cmd {
	cmd := exec.Command(interpreter, "-B", "-P", "-m", "worker")
	path := h.aside
	if more := os.Getenv("PYTHONPATH"); more != "" {
		path += string(os.PathListSeparator) + more
	}
	cmd.Env = append(os.Environ(), "PYTHONPATH="+path)
	return cmd
}
