package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/ndpool/ndpool/arena/layout"
)

// versionCmd shows versions.
type versionCmd struct{}

// Help tells what --help tells beyond the flags.
func (versionCmd) Help() string {
	return `Commands and libraries work on a pool if format and fingerprint are the same.

Example:

    ndpool version`
}

// Run shows the versions.
func (versionCmd) Run(e *env) error {
	v := struct {
		Version     string `json:"version"`
		Format      int    `json:"format"`
		Fingerprint string `json:"fingerprint"`
		Go          string `json:"go"`
		Platform    string `json:"platform"`
	}{"(devel)", layout.Version, fmt.Sprintf("%016x", uint64(layout.Fingerprint)), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	return e.emit(v, func(w io.Writer) {
		fmt.Fprintf(w, "ndpool %s, format %d, fingerprint %s, %s %s\n", v.Version, v.Format, v.Fingerprint, v.Go, v.Platform)
	})
}
