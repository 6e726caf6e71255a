package pool

import (
	"context"

	"github.com/ndpool/ndpool/dtype"
)

// PublishValue publishes a copy of a Go value without pointers, a struct for example, as an array of one element without
// dimensions: see dtype.Of and StreamWriter.Publish. It waits for room in the pool, too, until ctx is done.
func PublishValue[T any](ctx context.Context, w *StreamWriter, v *T, attrs ...Attrs) (sequence uint64, err error) {
	dt, err := dtype.Of[T]()
	if err != nil {
		return 0, &NameError{Verb: "publish", Path: w.path, Err: err}
	}
	a, err := w.ref.pool.NewContext(ctx, Spec{DType: dt})
	if err != nil {
		return 0, &NameError{Verb: "publish", Path: w.path, Err: err}
	}
	defer a.Release()
	to, err := Value[T](a)
	if err != nil {
		return 0, &NameError{Verb: "publish", Path: w.path, Err: err}
	}
	*to = *v
	return w.Publish(ctx, a, attrs...)
}

// Value returns the one element of an array, without a copy. It fails as Slice does, and with ErrMismatch if there is not one.
// A store through the pointer faults if the array is read-only, as that of a frame is.
func Value[T any](a *Array) (*T, error) {
	xs, err := Slice[T](a)
	if err != nil {
		return nil, err
	}
	if len(xs) != 1 {
		return nil, &MismatchError{What: "elements", Got: len(xs), Want: 1}
	}
	return &xs[0], nil
}
