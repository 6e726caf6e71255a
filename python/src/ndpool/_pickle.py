"""Arrays in the messages of multiprocessing.

Importing ndpool registers a reducer for numpy.ndarray with multiprocessing's pickler, which all its queues, pipes,
pools and process arguments use, and concurrent.futures with them. An array in a pool, or a basic view of one, then
goes by reference. All other arrays, and those of subclasses, go by value as before. Plain pickle, copy and everything
else are not touched: there an array is a value, also if it lies in a pool.
"""

from __future__ import annotations

import logging
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import numpy as np

from . import _arrays, _core
from ._attach import address_of
from ._create import Array
from ._default import default_pool
from ._pool import Pool
from ._queue import Queue, reduce_queue
from .errors import NdpoolError

__all__ = ["install", "make_transferable", "setup", "uninstall"]

log: Final = logging.getLogger("ndpool")


class _Install:
    """Which private arrays are moved into a pool when they are sent."""

    min_bytes: int | None = None  #: None: none
    pool: Pool | None = None  #: None: the default pool


_keepers: Final = _arrays._keepers
_reduce_core: Final = _core.reduce


def reduce(a: Array) -> Any:
    """Says how multiprocessing is to send an array. The core does it for an array in a pool."""
    if _keepers:
        _arrays.end_keeper(a)
    sent = _reduce_core(a)
    if sent is not None:
        return sent if sent[1][1][0] == "/" else _by_descriptor(a, sent)
    if _Install.min_bytes is not None and a.nbytes >= _Install.min_bytes:
        sent = _move(a)
        if sent is not None:
            return sent
    return a.__reduce_ex__(4)


def _by_descriptor(a: Array, sent: tuple[Any, ...]) -> tuple[Any, ...]:
    """Replaces the path of a pool without a name by one that leads to it while this process lives."""
    block = _core.block_of(a)
    rebuild, (message, path) = sent
    return rebuild, (message, path if block is None else address_of(block.pool))


def _move(a: Array) -> tuple[Any, ...] | None:
    """Copies a private array into the pool and sends that. Returns None if it cannot be, and the array goes by
    value."""
    if a.dtype.hasobject:
        return None
    try:
        moved = (_Install.pool or default_pool()).copy(a)
        sent = _reduce_core(moved)
    except (NdpoolError, OSError) as e:
        log.debug("%d bytes are sent by value: %s", a.nbytes, e)
        return None
    return sent if sent is None or sent[1][1][0] == "/" else _by_descriptor(moved, sent)


def install(min_bytes: int = 65536, pool: Pool | None = None) -> None:
    """From now on private arrays of at least min_bytes are copied into the pool when multiprocessing sends them.

    They then cost one copy instead of several, and none at the receiver. Without a pool it is the default one. An array
    that cannot lie in a pool, or finds no room, goes by value; the logger "ndpool" tells at level DEBUG.
    Holds for this process and those that are forked from it. Calling it again replaces what was said."""
    if min_bytes < 0:
        raise ValueError(f"install: min_bytes: got {min_bytes} (at least 0)")
    _Install.min_bytes, _Install.pool = min_bytes, pool


def uninstall() -> None:
    """Takes back install. Arrays in a pool still go by reference."""
    _Install.min_bytes, _Install.pool = None, None


def make_transferable(arr: Any, *, transfer_required: bool = True) -> Array:
    """Returns the array itself if it lies in a pool, else a copy in the default pool.

    With transfer_required it stays, also if this process forgets it, until it was sent and everybody has let go of
    it, or until this process has ended and the pool's grace is over. Else it ends with its last reference like any
    array. Raises DTypeError for what cannot be shared, FullError, TableFullError."""
    made: Array = arr if type(arr) is np.ndarray and _arrays.is_shared(arr) else default_pool().array(arr)
    if transfer_required:
        _arrays.keep(made)
    return made


def setup() -> None:
    """Registers the reducers. Called once, by the import."""
    ForkingPickler.register(np.ndarray, reduce)
    ForkingPickler.register(Queue, reduce_queue)
