package dtype

import (
	"testing"

	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	parse := func(*testing.T) error { _, err := Parse("<f3"); return err }
	match := func(*testing.T) error { return Matches[int64](Float32) }
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrInvalid":     {Is: ErrInvalid, Provoke: parse},
		"Error":          {Is: ErrInvalid, As: new(*Error), Says: `: dtype: check size of kind "f": got 3, expected 2, 4 or 8 bytes$`, Provoke: parse},
		"ErrUnsupported": {Is: ErrUnsupported, Provoke: func(*testing.T) error { _, err := Parse("|O"); return err }},
		"ErrRecord": {Is: ErrRecord, Provoke: func(t *testing.T) error {
			s, err := Struct(Field{Name: "x", Type: Uint8})
			if err != nil {
				t.Fatal(err)
			}
			_, err = FromCode(s.Code())
			return err
		}},
		"ErrMismatch":   {Is: ErrMismatch, Provoke: match},
		"MismatchError": {Is: ErrMismatch, As: new(*MismatchError), Says: `^dtype: match \[\]int64 \(8 bytes each\) with .+ \(4 bytes each\)`, Provoke: match},
	}, nil)
}
