//go:build !linux

package arena

import (
	"errors"
	"testing"
)

// fileWorlds has no file to offer here.
func fileWorlds(*testing.T, Spec, func(*testing.T, world)) {}

func TestUnsupported(t *testing.T) {
	if _, err := Create(Location{Dir: t.TempDir(), Name: "x"}, testSpec(), noFormat); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Create: %v", err)
	}
	if _, err := Open(Location{Dir: t.TempDir(), Name: "x"}, false, never); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Open: %v", err)
	}
}
