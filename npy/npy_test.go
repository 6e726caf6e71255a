package npy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// vectors is testdata/vectors.json, which testdata/generate.py makes with numpy.
type vectors struct {
	Vectors  []vector
	Refused  []struct{ What, File string }
	Archives []string // of the same tree
}

type vector struct {
	DType      dtype.Type
	Shape      []int
	Fortran    bool
	Version    []int    // nil: the one that numpy chooses
	Unwritable bool     // numpy cannot
	Base       []int    // shape of the array that it is a view of
	View       [][]*int // start, stop and step
	File       string
}

func (v *vector) UnmarshalJSON(b []byte) error {
	type plain vector
	var text struct {
		*plain
		DType string
	}
	text.plain = (*plain)(v)
	err := json.Unmarshal(b, &text)
	if err == nil {
		v.DType, err = dtype.Parse(text.DType)
	}
	return err
}

func loadVectors(tb testing.TB) (v vectors) {
	b, err := os.ReadFile("testdata/vectors.json")
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(b, &v))
	return v
}

func decode(tb testing.TB, text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(tb, err)
	return b
}

// newPool makes a pool in which nothing may be left at the end.
func newPool(tb testing.TB) *pool.Pool {
	tb.Helper()
	p, err := pool.Create("npy", pool.Options{Anonymous: true, Capacity: 4 << 20})
	require.NoError(tb, err)
	tb.Cleanup(func() {
		requireEmpty(tb, p)
		r, err := p.Verify(pool.VerifyOptions{})
		require.NoError(tb, err)
		require.Empty(tb, r.Faults)
		require.NoError(tb, p.Close())
	})
	return p
}

func requireEmpty(tb testing.TB, p *pool.Pool) {
	tb.Helper()
	s, err := p.Stats()
	require.NoError(tb, err)
	require.Zero(tb, s.Arrays)
}

// pattern fills an array as the vectors are: the n-th byte in memory is 7 n + 3.
func pattern(tb testing.TB, a *pool.Array) []byte {
	tb.Helper()
	b, err := a.Bytes()
	require.NoError(tb, err)
	for n := range b {
		b[n] = byte(7*n + 3)
	}
	return b
}

// patterned returns a new array with the pattern in it.
func patterned(tb testing.TB, p *pool.Pool, s pool.Spec) *pool.Array {
	tb.Helper()
	a, err := p.New(s)
	require.NoError(tb, err)
	pattern(tb, a)
	return a
}

func TestRead(t *testing.T) {
	p := newPool(t)
	for _, v := range loadVectors(t).Vectors {
		if v.Unwritable || v.View != nil {
			continue
		}
		a, err := npy.Read(bytes.NewReader(decode(t, v.File)), p)
		require.NoError(t, err, v.DType)
		require.True(t, v.DType.Equal(a.DType()), "%v: got %v", v.DType, a.DType())
		require.Equal(t, v.Shape, append([]int{}, a.Shape()...))
		want := patterned(t, p, pool.Spec{DType: v.DType, Shape: v.Shape, Fortran: v.Fortran})
		b, err := a.Bytes()
		require.NoError(t, err)
		expected, err := want.Bytes()
		require.NoError(t, err)
		require.Equal(t, expected, b, v.DType)
		require.Equal(t, want.Strides(), a.Strides())
		want.Release()
		a.Release()
	}
}

// TestWrite wants the very bytes that numpy writes.
func TestWrite(t *testing.T) {
	p := newPool(t)
	n := 0
	for _, v := range loadVectors(t).Vectors {
		if v.View != nil || v.Version != nil {
			continue
		}
		for _, fortran := range []bool{false, true} {
			if fortran != v.Fortran && len(v.Shape) > 1 {
				continue
			}
			a := patterned(t, p, pool.Spec{DType: v.DType, Shape: v.Shape, Fortran: fortran})
			var b bytes.Buffer
			err := npy.Write(&b, a)
			a.Release()
			if v.Unwritable {
				require.ErrorIs(t, err, npy.ErrLayout)
				require.Zero(t, b.Len())
				continue
			}
			require.NoError(t, err)
			require.Equal(t, decode(t, v.File), b.Bytes(), "%v %v", v.DType, v.Shape)
			n++
		}
	}
	require.Greater(t, n, 70)
}

// TestWriteView wants the elements of views with gaps in C order, as numpy writes them.
func TestWriteView(t *testing.T) {
	p := newPool(t)
	n := 0
	for _, v := range loadVectors(t).Vectors {
		if v.View == nil {
			continue
		}
		n++
		a := patterned(t, p, pool.Spec{DType: v.DType, Shape: v.Base})
		var ranges []pool.Range
		for _, r := range v.View {
			stop := -math.MaxInt // before the first, going down
			if r[1] != nil {
				stop = *r[1]
			}
			ranges = append(ranges, pool.Range{Start: *r[0], Stop: stop, Step: *r[2]})
		}
		w, err := a.View(ranges...)
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, npy.Write(&b, w))
		require.Equal(t, decode(t, v.File), b.Bytes(), v.View)
		w.Release()
		a.Release()
	}
	require.Equal(t, 4, n)
}

func TestWriteTransposed(t *testing.T) {
	p := newPool(t)
	a := patterned(t, p, pool.Spec{DType: dtype.Int16, Shape: []int{2, 3}})
	defer a.Release()
	w, err := a.Transpose()
	require.NoError(t, err)
	defer w.Release()
	var b bytes.Buffer
	require.NoError(t, npy.Write(&b, w))
	require.Contains(t, b.String(), "'fortran_order': True, 'shape': (3, 2), }")
	back, err := npy.Read(&b, p)
	require.NoError(t, err)
	defer back.Release()
	require.Equal(t, w.Strides(), back.Strides())
}

// TestVersions wants the oldest version that can hold the header.
func TestVersions(t *testing.T) {
	p := newPool(t)
	wide := func(n int, name string) dtype.Type {
		var fields []dtype.Field
		for k := range n {
			fields = append(fields, dtype.Field{Name: name + string(rune('A'+k%26)) + string(rune('A'+k/26)), Type: dtype.Int8})
		}
		d, err := dtype.Struct(fields...)
		require.NoError(t, err)
		return d
	}
	for _, c := range []struct {
		dt   dtype.Type
		want byte
	}{{wide(600, "é"), 1}, {wide(900, strings.Repeat("x", 40)), 1}, {wide(900, strings.Repeat("\x7f", 20)), 2}, {wide(3, "√"), 3}} {
		a := patterned(t, p, pool.Spec{DType: c.dt, Shape: []int{3}})
		var b bytes.Buffer
		require.NoError(t, npy.Write(&b, a))
		require.Equal(t, c.want, b.Bytes()[6])
		require.Zero(t, (b.Len()-a.Size())%64)
		back, err := npy.Read(bytes.NewReader(b.Bytes()), p)
		require.NoError(t, err)
		require.True(t, c.dt.Equal(back.DType()))
		back.Release()
		a.Release()
	}
}
