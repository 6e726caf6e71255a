package dtype_test

import (
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

type celsius float32

type inner struct {
	A uint8
	B [2][3]int16 `ndpool:"b"`
}

type outer struct {
	ID    uint64 `ndpool:"id"`
	_     [4]byte
	Temp  celsius
	In    [2]inner
	skip  [3]byte `ndpool:"-"`
	Valid bool    `json:"valid"`
}

func check[T any](t *testing.T, want string) {
	t.Helper()
	typ, err := dtype.Of[T]()
	require.NoError(t, err)
	assert.Equal(t, want, typ.String())
	assert.NoError(t, dtype.Matches[T](typ))
	assert.Equal(t, int(unsafe.Sizeof(*new(T))), typ.Size())
}

func TestOf(t *testing.T) {
	t.Parallel()
	check[bool](t, "|b1")
	check[int8](t, "|i1")
	check[int16](t, dtype.Int16.String())
	check[int32](t, dtype.Int32.String())
	check[int64](t, dtype.Int64.String())
	check[uint8](t, "|u1")
	check[uint16](t, dtype.Uint16.String())
	check[uint32](t, dtype.Uint32.String())
	check[uint64](t, dtype.Uint64.String())
	check[float32](t, dtype.Float32.String())
	check[float64](t, dtype.Float64.String())
	check[complex64](t, dtype.Complex64.String())
	check[complex128](t, dtype.Complex128.String())
	check[celsius](t, dtype.Float32.String())
	check[time.Duration](t, dtype.Int64.String())
	check[struct{}](t, `{"itemsize":0,"aligned":true,"fields":[]}`)
	if unsafe.Sizeof(0) == 8 {
		check[int](t, dtype.Int64.String())
		check[uint](t, dtype.Uint64.String())
	}
	if dtype.Native() == dtype.Little {
		check[outer](t, `{"itemsize":48,"aligned":true,"fields":[["id","<u8",0],["Temp","<f4",12],`+
			`["In",{"itemsize":14,"aligned":true,"fields":[["A","|u1",0],["b","<i2",2,[2,3]]]},16,[2]],["Valid","|b1",47]]}`)
	}
	_ = outer{}.skip
}

func refuse[T any](t *testing.T, want error) {
	t.Helper()
	_, err := dtype.Of[T]()
	assert.ErrorIs(t, err, want)
}

func TestOfRefuses(t *testing.T) {
	t.Parallel()
	refuse[*int](t, dtype.ErrUnsupported)
	refuse[string](t, dtype.ErrUnsupported)
	refuse[[]byte](t, dtype.ErrUnsupported)
	refuse[map[int]int](t, dtype.ErrUnsupported)
	refuse[any](t, dtype.ErrUnsupported)
	refuse[error](t, dtype.ErrUnsupported)
	refuse[uintptr](t, dtype.ErrUnsupported)
	refuse[unsafe.Pointer](t, dtype.ErrUnsupported)
	refuse[[4]float32](t, dtype.ErrUnsupported)
	refuse[struct{ X []int }](t, dtype.ErrUnsupported)
	refuse[struct {
		X []int `ndpool:"-"`
	}](t, dtype.ErrUnsupported)
	refuse[struct{ _ *int }](t, dtype.ErrUnsupported)
	refuse[struct{ X [2]inner2 }](t, dtype.ErrUnsupported)
	refuse[struct {
		X int8
		Y int8 `ndpool:"X"`
	}](t, dtype.ErrInvalid)
	refuse[struct{ X [1 << 31]byte }](t, dtype.ErrInvalid)
	_, err := dtype.Of[struct{ X [2]inner2 }]()
	assert.ErrorContains(t, err, "field dtype_test.inner2.S")
}

type inner2 struct{ S string }

// TestOfIsOneRecord asks from many goroutines at once: all get the same record.
func TestOfIsOneRecord(t *testing.T) {
	t.Parallel()
	type local struct{ X, Y int32 }
	var wg sync.WaitGroup
	types := make([]dtype.Type, 8)
	for i := range types {
		wg.Go(func() { types[i], _ = dtype.Of[local]() })
	}
	wg.Wait()
	for _, typ := range types {
		assert.True(t, typ == types[0])
	}
}

func TestMatchesRaw(t *testing.T) {
	t.Parallel()
	ok := func(err error) { t.Helper(); assert.NoError(t, err) }
	no := func(err error) { t.Helper(); assert.ErrorIs(t, err, dtype.ErrMismatch) }
	other := dtype.Big
	if dtype.Native() == dtype.Big {
		other = dtype.Little
	}
	ok(dtype.Matches[uint16](dtype.Float16))
	ok(dtype.Matches[int64](dtype.Datetime64(dtype.Second, 10)))
	ok(dtype.Matches[time.Duration](dtype.Timedelta64(dtype.Nanosecond, 1)))
	ok(dtype.Matches[[5]byte](dtype.Bytes(5)))
	ok(dtype.Matches[[16]uint8](dtype.Void(16)))
	ok(dtype.Matches[[7]rune](dtype.Unicode(7)))
	ok(dtype.Matches[[7]uint32](dtype.Unicode(7)))

	no(dtype.Matches[int16](dtype.Float16))
	no(dtype.Matches[uint64](dtype.Datetime64(dtype.Second, 10)))
	no(dtype.Matches[uint8](dtype.Bool))
	no(dtype.Matches[bool](dtype.Uint8))
	no(dtype.Matches[uint8](dtype.Bytes(1)))
	no(dtype.Matches[[4]byte](dtype.Bytes(5)))
	no(dtype.Matches[[5]int8](dtype.Bytes(5)))
	no(dtype.Matches[[6]rune](dtype.Unicode(7)))
	no(dtype.Matches[[1]float32](dtype.Float32))
	no(dtype.Matches[float32](dtype.Float64))
	no(dtype.Matches[float32](dtype.Int32))
	no(dtype.Matches[float32](dtype.Float32.WithOrder(other)))
	no(dtype.Matches[uint16](dtype.Float16.WithOrder(other)))
	no(dtype.Matches[[7]rune](dtype.Unicode(7).WithOrder(other)))
	no(dtype.Matches[int64](dtype.Datetime64(dtype.Second, 1).WithOrder(other)))
	no(dtype.Matches[float32](dtype.Type{}))
	no(dtype.Matches[[8]byte](point(t)))
	no(dtype.Matches[string](dtype.Bytes(16)))
	assert.ErrorIs(t, dtype.Matches[string](dtype.Bytes(16)), dtype.ErrUnsupported)
	assert.ErrorContains(t, dtype.Matches[float32](dtype.Float32.WithOrder(other)), "byte order")
}

func TestMatchesStructs(t *testing.T) {
	t.Parallel()
	type row struct {
		Name [5]byte
		At   int64
		Half [2]uint16
		Tags [3][4]byte
	}
	typ, err := dtype.StructAt(40, // in another order than their offsets
		dtype.Field{Name: "tags", Type: dtype.Bytes(4), Offset: 20, Shape: []int{3}},
		dtype.Field{Name: "when", Type: dtype.Datetime64(dtype.Nanosecond, 1), Offset: 8},
		dtype.Field{Name: "name", Type: dtype.Bytes(5)},
		dtype.Field{Name: "half", Type: dtype.Float16, Offset: 16, Shape: []int{2}})
	require.NoError(t, err)
	require.Equal(t, uintptr(32), unsafe.Sizeof(row{}))
	require.ErrorIs(t, dtype.Matches[row](typ), dtype.ErrMismatch)

	fit, err := dtype.StructAt(32, typ.Fields()...)
	require.NoError(t, err)
	require.NoError(t, dtype.Matches[row](fit))
	for i := range fit.Fields() {
		moved := fit.Fields()
		if moved[i].Offset > 0 {
			moved[i].Offset--
			typ, err := dtype.StructAt(32, moved...)
			require.NoError(t, err)
			require.ErrorIs(t, dtype.Matches[row](typ), dtype.ErrMismatch)
		}
		typ, err := dtype.StructAt(32, append(fit.Fields()[:i], fit.Fields()[i+1:]...)...)
		require.NoError(t, err)
		require.ErrorIs(t, dtype.Matches[row](typ), dtype.ErrMismatch)
	}
	require.ErrorIs(t, dtype.Matches[row](dtype.Float32), dtype.ErrMismatch)
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	typ, err := dtype.Of[outer]()
	require.NoError(t, err)
	other, err := dtype.FromRecord(typ.Record())
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_ = dtype.Matches[float32](dtype.Float32)
		_ = dtype.Matches[uint16](dtype.Float16)
		_ = dtype.Matches[outer](other)
		_, _ = dtype.Of[outer]()
		_, _ = dtype.Of[complex128]()
		_, _ = dtype.FromCode(dtype.Float32.Code())
		_ = typ.Equal(other)
	}))
	assert.Equal(t, 2*unsafe.Sizeof(uint64(0)), unsafe.Sizeof(typ))
}

func BenchmarkMatchesFloat32(b *testing.B) {
	for b.Loop() {
		_ = dtype.Matches[float32](dtype.Float32)
	}
}

func BenchmarkMatchesStruct(b *testing.B) {
	typ, _ := dtype.Of[outer]()
	for b.Loop() {
		_ = dtype.Matches[outer](typ)
	}
}

func BenchmarkFromCode(b *testing.B) {
	for b.Loop() {
		_, _ = dtype.FromCode(dtype.Float32.Code())
	}
}

func BenchmarkFromRecord(b *testing.B) {
	typ, _ := dtype.Of[outer]()
	rec := typ.Record()
	for b.Loop() {
		_, _ = dtype.FromRecord(rec)
	}
}
