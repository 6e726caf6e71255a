//go:build ndpool_crash

package shm

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// sitesEnv names the file that deaths are told to, for scripts/coverage.
const sitesEnv = "NDPOOL_CRASH_SITES"

// tellSite adds the line of the store that the process dies after to the file of sitesEnv, if there is one. Many processes
// write it, each line by one call.
func tellSite() {
	name := os.Getenv(sitesEnv)
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic("shm: " + err.Error())
	}
	defer f.Close()
	if _, err := f.WriteString(storeSite() + "\n"); err != nil {
		panic("shm: " + err.Error())
	}
}

// storeSite returns file:line of the call into this package.
func storeSite() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "github.com/ndpool/ndpool/internal/shm.") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !more {
			return "unknown:0"
		}
	}
}
