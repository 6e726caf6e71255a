"""Frames of streams: what a reader gets, and what becomes one."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import numpy as np

from . import _attrs, _core
from ._create import Array
from .errors import ClosedError, DTypeError, MismatchError

__all__ = ["Frame", "copied", "source"]

S = TypeVar("S", bound=ctypes.Structure | ctypes.Union | ctypes.Array[Any])

_CTYPES: Final = (ctypes.Structure, ctypes.Union, ctypes.Array, ctypes._SimpleCData)


class Frame:
    """A frame of a stream: an array, read-only, and what was published with it.

    The array is the stream's memory itself, and stays as it is while anybody refers to it, whatever the writer does. As a
    context manager a frame forgets its array at exit. Any thread may use it."""

    __slots__ = ("_array", "_attributes", "_text", "monotonic", "sequence", "skipped", "wall")

    sequence: int  #: from 1; goes on with the next writer
    skipped: int  #: frames that this reader has missed since the one before
    monotonic: int  #: nanoseconds, as time.monotonic_ns() counts: when it was published
    wall: int  #: nanoseconds, as time.time_ns() counts: when it was published

    def __init__(self, array: Array, sequence: int, skipped: int, monotonic: int, wall: int, text: bytes | None) -> None:
        self._array: Array | None = array
        self.sequence = sequence
        self.skipped = skipped
        self.monotonic = monotonic
        self.wall = wall
        self._text = text
        self._attributes: dict[str, Any] | None = None

    @property
    def array(self) -> Array:
        """The array, of whatever shape and dtype was published. Raises ClosedError after release()."""
        if self._array is None:
            raise ClosedError(f"frame {self.sequence}: its array was released")
        return self._array

    @property
    def attributes(self) -> dict[str, Any]:
        """What was published with the array; empty if nothing was. Raises AttributesError if it is damaged."""
        if self._attributes is None:
            self._attributes = _attrs.decode(self._text)
        return self._attributes

    def structure(self, cls: type[S]) -> S:
        """Returns a copy of the frame's bytes as a ctypes structure. Raises MismatchError if they are more or fewer."""
        a = self.array
        if a.nbytes != ctypes.sizeof(cls):
            raise MismatchError(f"frame {self.sequence}: got {a.nbytes} bytes ({ctypes.sizeof(cls)} of {cls.__name__})")
        made: S = cast(Any, cls).from_buffer_copy(a.tobytes())
        return made

    def release(self) -> None:
        """Forgets the array, whose memory goes with its last reference. Twice is harmless."""
        self._array = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        a = self.array
        if dtype is not None and np.dtype(dtype) != a.dtype:
            if copy is False:
                raise ValueError(f"frame {self.sequence}: as {np.dtype(dtype)} it is a copy")
            return a.astype(dtype)
        return a.copy() if copy else a

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def __repr__(self) -> str:
        what = "released" if self._array is None else f"{self._array.dtype}{list(self._array.shape)}"
        return f"<ndpool.Frame {self.sequence} {what}>"


# ---- what becomes a frame


@lru_cache(256)
def _dtype_of(cls: type[Any]) -> np.dtype[Any]:
    try:
        return np.dtype(cls)
    except (TypeError, ValueError, NotImplementedError) as e:
        raise DTypeError(f"{cls.__name__}: {e}") from None


def source(x: Any) -> Array:
    """Returns the array that a frame is copied from: of an array, a ctypes structure, or what numpy makes an array of."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, _CTYPES):
        return np.ndarray((), _dtype_of(type(x)), memoryview(x))
    return np.asarray(x)


def copied(core: _core.Pool, x: Array, timeout: float | None = 0.0) -> Array:
    """Returns a copy of an array in a pool. Raises what creating arrays raises."""
    made = core.empty(x.shape, x.dtype, "F" if x.flags.fnc else "C", timeout=timeout)
    np.copyto(made, x, casting="unsafe")
    return made
