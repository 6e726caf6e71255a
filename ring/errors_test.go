package ring

import (
	"testing"

	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrTorn": {Is: ErrTorn, Provoke: func(*testing.T) error { _, err := Lay(newBytes(3, 0)); return err }}, // no kind is 0
	}, nil)
}
