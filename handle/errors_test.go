package handle

import (
	"testing"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	parse := func(*testing.T) error { _, err := ParseHandle("123"); return err }
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrInvalid": {Is: ErrInvalid, Provoke: parse},
		"Error":      {Is: ErrInvalid, As: new(*Error), Says: `^handle: check .+: got .*3.*, expected .*16`, Provoke: parse},
		"ErrFrame":   {Is: ErrFrame, Says: "got .+, expected .+", Provoke: func(*testing.T) error { return new(Message).UnmarshalBinary(make([]byte, 64)) }},
		"ErrBounds": {Is: ErrBounds, Says: "got 50 to 110, expected 0 to 100", Provoke: func(*testing.T) error {
			return View{DType: dtype.Uint8, Shape: []int{60}, Strides: []int{1}, Offset: 50}.Within(100)
		}},
	}, nil)
}
