"""Making arrays in a pool: numpy's creation functions, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from . import _core

    Shape = int | Sequence[int]

__all__ = ["Array", "Creators", "Order"]

Array = np.ndarray[Any, np.dtype[Any]]
Order = Literal["K", "A", "C", "F"]


def _order_of(a: Array, order: str | None) -> str:
    """Returns C or F, since the elements of a stored array have no gaps and one of these two orders.

    K and A, which keep the order of a, are F for an array in Fortran order and C for all others."""
    if order in ("C", "F"):
        return order
    if order not in ("K", "A", None):
        raise ValueError(f"order: got {order!r}, expected 'C', 'F', 'A' or 'K'")
    return "F" if a.flags.fnc else "C"


class Creators:
    """numpy's creation functions, for a pool.

    Each returns a plain numpy.ndarray that lies in the pool and ends with its last reference, in this process and all
    others. Arguments are those of numpy's function of that name. Each has one more:

    timeout: seconds to wait for room if the pool is full; 0: not at all; None: for ever.

    Errors: FullError, TableFullError and NoMemoryError if there is no room, DTypeError for an element type that
    cannot be shared, such as object, SpecError for a shape that no array can have, ClosedError after close(). All may
    be called from any thread, and by a forked child. No interpreter lock is held while waiting.
    """

    __slots__ = ()

    _core: _core.Pool

    def empty(
        self,
        shape: Shape,
        dtype: npt.DTypeLike | None = float,
        order: Literal["C", "F"] = "C",
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array whose content is whatever was there before."""
        return self._core.empty(shape, dtype, order, False, timeout)

    def zeros(
        self,
        shape: Shape,
        dtype: npt.DTypeLike | None = float,
        order: Literal["C", "F"] = "C",
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array of zeros."""
        return self._core.empty(shape, dtype, order, True, timeout)

    def ones(
        self,
        shape: Shape,
        dtype: npt.DTypeLike | None = None,
        order: Literal["C", "F"] = "C",
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array of ones."""
        made = self._core.empty(shape, dtype, order, False, timeout)
        np.copyto(made, 1, casting="unsafe")
        return made

    def full(
        self,
        shape: Shape,
        fill_value: Any,
        dtype: npt.DTypeLike | None = None,
        order: Literal["C", "F"] = "C",
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array of fill_value, whose dtype it has unless one is given."""
        if dtype is None:
            fill_value = np.asarray(fill_value)
            dtype = fill_value.dtype
        made = self._core.empty(shape, dtype, order, False, timeout)
        np.copyto(made, fill_value, casting="unsafe")
        return made

    def array(
        self,
        object: Any,
        dtype: npt.DTypeLike | None = None,
        *,
        order: Order | None = "K",
        ndmin: int = 0,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns a copy of an array, or of what numpy makes an array of.

        order K and A keep Fortran order; all else becomes C order."""
        source = object if isinstance(object, np.ndarray) else np.array(object, dtype=dtype, order="K")
        made = self._core.empty(
            (1,) * (ndmin - source.ndim) + source.shape,
            source.dtype if dtype is None else _sized(dtype, source),
            _order_of(source, order),
            False,
            timeout,
        )
        np.copyto(made, source, casting="unsafe")
        return made

    def copy(self, a: Any, order: Order = "K", *, timeout: float | None = 0.0) -> Array:
        """Returns a copy of any array in this pool, also of one that lies in it already."""
        return self.array(a, order=order, timeout=timeout)

    def asarray(
        self, a: Any, dtype: npt.DTypeLike | None = None, order: Order | None = None, *, timeout: float | None = 0.0
    ) -> Array:
        """Returns the array itself if it lies in this pool and has that dtype and order, else a copy."""
        if type(a) is np.ndarray and self.owns(a) and _fits(a, dtype, order):
            return a
        return self.array(a, dtype, order=order, timeout=timeout)

    def ascontiguousarray(self, a: Any, dtype: npt.DTypeLike | None = None, *, timeout: float | None = 0.0) -> Array:
        """Returns asarray in C order, with at least one dimension."""
        made = self.asarray(a, dtype, "C", timeout=timeout)
        return made if made.ndim else made.reshape(1)

    def asfortranarray(self, a: Any, dtype: npt.DTypeLike | None = None, *, timeout: float | None = 0.0) -> Array:
        """Returns asarray in Fortran order, with at least one dimension."""
        made = self.asarray(a, dtype, "F", timeout=timeout)
        return made if made.ndim else made.reshape(1)

    def arange(self, *args: Any, dtype: npt.DTypeLike | None = None, timeout: float | None = 0.0) -> Array:
        """Returns what numpy.arange(start, stop, step) returns."""
        return self.array(np.arange(*args, dtype=dtype), timeout=timeout)

    def empty_like(
        self,
        prototype: Any,
        dtype: npt.DTypeLike | None = None,
        order: Order = "K",
        subok: bool = True,
        shape: Shape | None = None,
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array with the shape and dtype of another one. subok is ignored: arrays in a pool are plain."""
        return self._like(prototype, dtype, order, shape, False, timeout)

    def zeros_like(
        self,
        a: Any,
        dtype: npt.DTypeLike | None = None,
        order: Order = "K",
        subok: bool = True,
        shape: Shape | None = None,
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array of zeros with the shape and dtype of another one. subok is ignored."""
        return self._like(a, dtype, order, shape, True, timeout)

    def ones_like(
        self,
        a: Any,
        dtype: npt.DTypeLike | None = None,
        order: Order = "K",
        subok: bool = True,
        shape: Shape | None = None,
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array of ones with the shape and dtype of another one. subok is ignored."""
        made = self._like(a, dtype, order, shape, False, timeout)
        np.copyto(made, 1, casting="unsafe")
        return made

    def full_like(
        self,
        a: Any,
        fill_value: Any,
        dtype: npt.DTypeLike | None = None,
        order: Order = "K",
        subok: bool = True,
        shape: Shape | None = None,
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array of fill_value with the shape and dtype of another one. subok is ignored."""
        made = self._like(a, dtype, order, shape, False, timeout)
        np.copyto(made, fill_value, casting="unsafe")
        return made

    def owns(self, a: object) -> bool:
        """Tells whether an array lies in this pool."""
        raise NotImplementedError

    def _like(
        self, a: Any, dtype: npt.DTypeLike | None, order: str, shape: Shape | None, zero: bool, timeout: float | None
    ) -> Array:
        source: Array = np.asanyarray(a)
        return self._core.empty(
            source.shape if shape is None else shape,
            source.dtype if dtype is None else dtype,
            _order_of(source, order),
            zero,
            timeout,
        )


def _sized(dtype: npt.DTypeLike, source: Array) -> np.dtype[Any]:
    """Returns the dtype that numpy.array makes of one without a size, or a unit, for the given data."""
    wanted: np.dtype[Any] = np.dtype(dtype)
    if wanted.itemsize == 0 or wanted in (np.dtype("M8"), np.dtype("m8")):
        return source.astype(wanted).dtype
    return wanted


def _fits(a: Array, dtype: npt.DTypeLike | None, order: str | None) -> bool:
    if dtype is not None and np.dtype(dtype) != a.dtype:
        return False
    return (order != "C" or a.flags.c_contiguous) and (order != "F" or a.flags.f_contiguous)
