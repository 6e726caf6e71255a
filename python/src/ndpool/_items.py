"""Items of queues: what an object is in a queue, and what becomes of it again.

A whole array is an item by itself, and so are bytes. All else is pickled as multiprocessing does it; the arrays within then
belong to the item, and the pickle speaks of them by their number. So the queue holds them itself, and nothing
that is in a queue can expire.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from . import _core
from ._create import Array
from ._frame import copied
from .errors import DTypeError

__all__ = ["Entries", "decode", "encode", "is_pickle"]

ATTACHED: Final = 0  #: kinds of entries, as in ndpool.h: belongs to the item before
ARRAY: Final = 1
BYTES: Final = 2
PICKLE: Final = 3

ATTACH_BYTES: Final = 1024  #: from which on an array within an object is copied into the pool by itself
_TAKES: Final = "it takes bytes, and numpy.ndarray of a dtype that can be shared"
_PLAIN: Final = frozenset((bool, complex, float, int, str, type(None)))


class Entries(NamedTuple):
    """An item on its way: arrays, blocks or bytes, and their kinds."""

    entries: tuple[Any, ...]
    kinds: bytes


#: Seconds that are left for waiting for room; None: for ever.
Left = Callable[[], float | None]


# ---- in


def own(core: _core.Pool, a: Array, left: Left) -> Any:
    """Returns what the queue of a pool can hold: a block that an array is all of, or a copy."""
    block = _core.block_of(a) if _core.is_whole(a) else None
    if block is not None and block.pool.segment == core.segment:
        return block if block.pool is core else core.retain(_core.handle(a))
    return copied(core, a, left())


def _is_part(core: _core.Pool, a: Array) -> bool:
    """Tells whether an array is a part of one of the pool: it goes by reference, as a pickle with its block attached."""
    block = _core.block_of(a)
    return block is not None and block.pool.segment == core.segment and not _core.is_whole(a)


def encode(core: _core.Pool, obj: Any, limit: int, left: Left, pickles: bool = True) -> Entries:
    """Returns an object as an item of at most limit entries, if it can be one. Raises what pickling raises, and FullError."""
    kind = type(obj)
    if kind is bytes:
        return Entries((obj,), b"\2")
    if not pickles:
        return _unpickled(core, obj, left)
    if kind in _PLAIN:
        return Entries((pickle.dumps(obj, 5),), b"\3")
    if kind is np.ndarray and not obj.dtype.hasobject and (limit < 2 or not _is_part(core, obj)):
        try:
            return Entries((own(core, obj, left),), b"\1")
        except DTypeError:
            pass  # of a dtype that Python alone knows
    made = _pickled(core, obj, left, ATTACH_BYTES)
    return made if len(made.kinds) <= limit else _pickled(core, obj, left, None)


def _unpickled(core: _core.Pool, obj: Any, left: Left) -> Entries:
    """Returns an array as an item by itself. Raises TypeError for all that would be pickled."""
    if type(obj) is not np.ndarray:
        name = f"{type(obj).__module__}.{type(obj).__qualname__}".removeprefix("builtins.")
        raise TypeError(f"put {name}: it would be pickled, and this end of the queue has pickles=False ({_TAKES})")
    try:
        return Entries((own(core, obj, left),), b"\1")
    except DTypeError as e:
        raise DTypeError(f"put numpy.ndarray: {e}, and this end of the queue has pickles=False ({_TAKES})") from None


def _pickled(core: _core.Pool, obj: Any, left: Left, least: int | None) -> Entries:
    file = io.BytesIO()
    pickler = _Pickler(file, core, left, least)
    pickler.dump(obj)
    return Entries((file.getbuffer(), *pickler.attached), bytes((PICKLE,)) + bytes(len(pickler.attached)))


class _Pickler(ForkingPickler):
    """Attaches arrays: those of the pool, and copies of others with at least so many bytes."""

    def __init__(self, file: io.BytesIO, core: _core.Pool, left: Left, least: int | None) -> None:
        super().__init__(file, 5)
        self.attached: list[Any] = []  # blocks, and arrays that are all of one
        self._core = core
        self._left = left
        self._least = least
        self._numbers: dict[int, int] = {}  # by handle

    def reducer_override(self, obj: Any) -> Any:
        """Says how an array is pickled: not as multiprocessing does, whose transfers could expire."""
        if type(obj) is not np.ndarray:
            return NotImplemented
        block = _core.block_of(obj)
        if block is not None and block.pool.segment == self._core.segment:
            return attached, (self._number(block, obj), None if _core.is_whole(obj) else _view(obj, block))
        if self._least is None or obj.nbytes < self._least or obj.dtype.hasobject:
            return obj.__reduce_ex__(5)
        try:
            self.attached.append(copied(self._core, obj, self._left()))
        except DTypeError:
            return obj.__reduce_ex__(5)
        return attached, (len(self.attached) - 1, None)

    def _number(self, block: _core.Block, a: Array) -> int:
        """Returns the number of an attached block, once for all arrays that lie in it."""
        number = self._numbers.get(block.handle)
        if number is None:
            number = self._numbers[block.handle] = len(self.attached)
            self.attached.append(block if block.pool is self._core else self._core.retain(_core.handle(a)))
        return number


def _view(a: Array, block: _core.Block) -> tuple[Any, ...]:
    """Returns what makes the array again of its block."""
    return a.shape, a.dtype, int(a.__array_interface__["data"][0]) - block.address, a.strides


# ---- out


def attached(number: int, view: tuple[Any, ...] | None) -> NoReturn:
    """Stands for an array that belongs to an item. Only a queue can read such a pickle."""
    raise pickle.UnpicklingError(f"array {number} belongs to an item of an ndpool.Queue, and is not there")


def _array(arrays: tuple[Array, ...], number: int, view: tuple[Any, ...] | None) -> Array:
    a = arrays[number]
    if view is None:
        return a
    shape, dtype, offset, strides = view
    return np.ndarray(shape, dtype, a.base, offset, strides)


class _Unpickler(pickle.Unpickler):
    """Reads a pickle with arrays that belong to the item."""

    def __init__(self, data: Any, arrays: tuple[Array, ...]) -> None:
        super().__init__(io.BytesIO(data))
        self._array = partial(_array, arrays)  # no method: the unpickler would hold itself, and the arrays

    def find_class(self, module: str, name: str) -> Any:
        """Finds what gives those arrays, and all else as usual."""
        if name == "attached" and module == __name__:
            return self._array
        return super().find_class(module, name)


def is_pickle(item: tuple[Any, ...]) -> bool:
    """Tells whether decode would unpickle an item."""
    return bool(item[0] == PICKLE)


def decode(item: tuple[Any, ...]) -> Any:
    """Returns the object of an item, which is its kind, what it is, and what belongs to it.

    An array or bytes that others belong to, as other languages put them, is a tuple of all."""
    kind, first = item[0], item[1]
    if kind in (ARRAY, BYTES):
        return first if len(item) == 2 else item[1:]
    if kind == PICKLE:
        return pickle.loads(first) if len(item) == 2 else _Unpickler(first, item[2:]).load()
    raise first
