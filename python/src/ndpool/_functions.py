"""The methods of the default pool, as functions. See ndpool.Pool for what each does; timeout is a method's only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt

from . import _arrays, _core
from ._create import Array, Order
from ._default import default_pool
from ._queue import Queue
from ._streams import StreamReader, StreamWriter

if TYPE_CHECKING:
    from ._create import Shape

__all__ = [
    "adopt",
    "arange",
    "array",
    "asarray",
    "ascontiguousarray",
    "asfortranarray",
    "copy",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "queue",
    "reader",
    "recall",
    "retain",
    "writer",
    "zeros",
    "zeros_like",
]


def empty(shape: Shape, dtype: npt.DTypeLike | None = float, order: Literal["C", "F"] = "C") -> Array:
    """Returns an array in the default pool, whose content is whatever was there before."""
    return default_pool().empty(shape, dtype, order)


def zeros(shape: Shape, dtype: npt.DTypeLike | None = float, order: Literal["C", "F"] = "C") -> Array:
    """Returns an array of zeros in the default pool."""
    return default_pool().zeros(shape, dtype, order)


def ones(shape: Shape, dtype: npt.DTypeLike | None = None, order: Literal["C", "F"] = "C") -> Array:
    """Returns an array of ones in the default pool."""
    return default_pool().ones(shape, dtype, order)


def full(shape: Shape, fill_value: Any, dtype: npt.DTypeLike | None = None, order: Literal["C", "F"] = "C") -> Array:
    """Returns an array of fill_value in the default pool."""
    return default_pool().full(shape, fill_value, dtype, order)


def array(object: Any, dtype: npt.DTypeLike | None = None, *, order: Order | None = "K", ndmin: int = 0) -> Array:
    """Returns a copy in the default pool of an array, or of what numpy makes an array of."""
    return default_pool().array(object, dtype, order=order, ndmin=ndmin)


def copy(a: Any, order: Order = "K") -> Array:
    """Returns a copy of any array in the default pool."""
    return default_pool().copy(a, order)


def asarray(a: Any, dtype: npt.DTypeLike | None = None, order: Order | None = None) -> Array:
    """Returns the array itself if it lies in the default pool and has that dtype and order, else a copy there."""
    return default_pool().asarray(a, dtype, order)


def ascontiguousarray(a: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """Returns asarray in C order, with at least one dimension."""
    return default_pool().ascontiguousarray(a, dtype)


def asfortranarray(a: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """Returns asarray in Fortran order, with at least one dimension."""
    return default_pool().asfortranarray(a, dtype)


def arange(*args: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """Returns numpy.arange(start, stop, step) in the default pool."""
    return default_pool().arange(*args, dtype=dtype)


def empty_like(
    prototype: Any,
    dtype: npt.DTypeLike | None = None,
    order: Order = "K",
    subok: bool = True,
    shape: Shape | None = None,
) -> Array:
    """Returns an array in the default pool with the shape and dtype of another one. subok is ignored."""
    return default_pool().empty_like(prototype, dtype, order, subok, shape)


def zeros_like(
    a: Any, dtype: npt.DTypeLike | None = None, order: Order = "K", subok: bool = True, shape: Shape | None = None
) -> Array:
    """Returns an array of zeros in the default pool with the shape and dtype of another one. subok is ignored."""
    return default_pool().zeros_like(a, dtype, order, subok, shape)


def ones_like(
    a: Any, dtype: npt.DTypeLike | None = None, order: Order = "K", subok: bool = True, shape: Shape | None = None
) -> Array:
    """Returns an array of ones in the default pool with the shape and dtype of another one. subok is ignored."""
    return default_pool().ones_like(a, dtype, order, subok, shape)


def full_like(
    a: Any,
    fill_value: Any,
    dtype: npt.DTypeLike | None = None,
    order: Order = "K",
    subok: bool = True,
    shape: Shape | None = None,
) -> Array:
    """Returns an array of fill_value in the default pool with the shape and dtype of another one. subok is ignored."""
    return default_pool().full_like(a, fill_value, dtype, order, subok, shape)


def retain(handle: int, *, readonly: bool = False) -> Array:
    """Returns the whole array of a handle of the default pool. Raises StaleError, PrivateError, ForeignError."""
    return default_pool().retain(handle, readonly=readonly)


def adopt(transfer: bytes, *, readonly: bool = False) -> Array:
    """Returns the array of a transfer or a message, which can be adopted once.

    A message finds the pool, of those open here, by the segment that it names; 16 bytes are of the default pool.
    Raises SpentError, RecalledError, ExpiredError, ForgedError, NotReceiverError, MessageError, ForeignError."""
    if len(transfer) < _arrays.MESSAGE:
        return default_pool().adopt(transfer, readonly=readonly)
    return _pool_of(transfer).adopt(transfer, readonly=readonly)


def recall(transfer: bytes) -> None:
    """Takes back a transfer that this process opened. Raises SpentError if it was adopted already."""
    pool = default_pool()._core if len(transfer) < _arrays.MESSAGE else _pool_of(transfer)
    pool.recall(transfer)


def writer(
    path: str,
    *,
    frames: int | None = None,
    lossless: bool | None = None,
    readers: int | None = None,
    persistent: bool = False,
) -> StreamWriter:
    """Becomes the writer of a stream of the default pool."""
    return default_pool().writer(path, frames=frames, lossless=lossless, readers=readers, persistent=persistent)


def reader(path: str, *, every: bool = False, from_now: bool = False) -> StreamReader:
    """Opens a reader of a stream of the default pool."""
    return default_pool().reader(path, every=every, from_now=from_now)


def queue(path: str | None = None, *, maxsize: int = 0, persistent: bool = False, pickles: bool = True) -> Queue:
    """Opens a queue of the default pool, or makes one."""
    return default_pool().queue(path, maxsize=maxsize, persistent=persistent, pickles=pickles)


def _pool_of(message: bytes) -> _core.Pool:
    from ._attach import attach

    return attach(_arrays.segment_of(message), "")
