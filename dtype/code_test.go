package dtype_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
)

// TestCodesAreCanonical walks all kinds with telling orders, units, flags and sizes: what is
// accepted must be as many types as numpy has, and each must have one text and one code.
func TestCodesAreCanonical(t *testing.T) {
	t.Parallel()
	sizes := []uint64{0, 1, 2, 3, 4, 5, 8, 12, 16, 32, 1<<31 - 4, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	seen := map[string]uint64{}
	for low := range uint64(1 << 11) { // all kinds, 8 orders
		for _, unit := range []uint64{0, 1, 2, 12, 13, 14, 255} {
			for _, flags := range []uint64{0, 1, 2, 3, 255} {
				for _, size := range sizes {
					code := low | unit<<16 | flags<<24 | size<<32
					typ, err := dtype.FromCode(code)
					if err != nil {
						continue
					}
					if typ.Code() != code {
						t.Fatalf("code %#x became %#x", code, typ.Code())
					}
					if other, ok := seen[typ.String()]; ok {
						t.Fatalf("%v has the codes %#x and %#x", typ, other, code)
					}
					seen[typ.String()] = code
				}
			}
		}
	}
	// b1; 2 of i1,u1; 2*2*3 of i,u; 2*3 of f; 2*2 of c; M,m: 2*2*(1 generic + 4 units*11 multiples); S, V 12 each; U 2*7.
	const want = 1 + 2 + 12 + 6 + 4 + 2*2*(1+4*11) + 2*12 + 2*7
	assert.Len(t, seen, want)
	for text, code := range seen {
		typ, err := dtype.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, code, typ.Code(), text)
	}
}

func TestHostileCodes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.Uint64().Draw(t, "code")
		typ, err := dtype.FromCode(code)
		if err == nil && typ.Code() != code {
			t.Fatalf("%#x became %v %#x", code, typ, typ.Code())
		}
		_, _ = dtype.FromStored(code, rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "record"))
	})
}

func TestEveryBitOfACodeCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := plain().Draw(t, "type")
		flipped := typ.Code() ^ 1<<rapid.IntRange(0, 63).Draw(t, "bit")
		other, err := dtype.FromCode(flipped)
		if err == nil && (other.Equal(typ) || other.Code() != flipped) {
			t.Fatalf("%v and %v", typ, other)
		}
	})
}

func TestFromStored(t *testing.T) {
	t.Parallel()
	typ := point(t)
	again, err := dtype.FromStored(typ.Code(), typ.Record())
	require.NoError(t, err)
	assert.True(t, again.Equal(typ))

	plain, err := dtype.FromStored(dtype.Float32.Code(), nil)
	require.NoError(t, err)
	assert.Equal(t, dtype.Float32, plain)

	_, err = dtype.FromStored(dtype.Float32.Code(), typ.Record())
	require.ErrorIs(t, err, dtype.ErrInvalid)
	_, err = dtype.FromStored(typ.Code()+1<<32, typ.Record())
	require.ErrorIs(t, err, dtype.ErrInvalid)
	_, err = dtype.FromStored(typ.Code(), nil)
	require.ErrorIs(t, err, dtype.ErrInvalid)
	_, err = dtype.FromCode(typ.Code())
	require.ErrorIs(t, err, dtype.ErrRecord)
	assert.True(t, dtype.IsStructuredCode(typ.Code()))
	assert.False(t, dtype.IsStructuredCode(dtype.Void(8).Code()))
}

func TestCodeErrorsTellNumbers(t *testing.T) {
	t.Parallel()
	for code, want := range map[uint64]string{
		0:                              "kind: got '\\x00'",
		uint64('i') | 1<<8 | 3<<32:     "size of kind \"i\": got 3, expected 1, 2, 4 or 8 bytes",
		uint64('i') | 3<<8 | 4<<32:     "byte order in code: got 3, expected 1 or 2",
		uint64('i') | 1<<8 | 1<<32:     "byte order in code: got 1, expected 0 for single bytes",
		uint64('U') | 1<<8 | 6<<32:     "got 6, expected a multiple of 4",
		uint64('M') | 1<<8:             "multiple of the generic time unit: got 0, expected 1",
		uint64('m') | 1<<8 | 14<<16:    "time unit: got 14, expected 0 to 13",
		uint64('S') | 1<<63:            "got 2147483648, expected at most 2147483647",
		uint64('f') | 1<<8 | 16<<32:    "no long double",
		uint64('b') | 1<<24 | 1<<32:    "flags in code: got 1",
		uint64('b') | 1<<16 | 1<<32:    "unit in code: got 1",
		uint64('O') | 8<<32:            "kind: got 'O'",
		uint64('V') | 1<<24 | 0xff<<32: "a type without fields",
	} {
		_, err := dtype.FromCode(code)
		assert.ErrorContains(t, err, want)
	}
}
