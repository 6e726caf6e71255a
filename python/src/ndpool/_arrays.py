"""What can be done with an array that lies in a pool, whichever that is.

All functions may be called from any thread. Those that want an array in a pool raise MismatchError for others.
"""

from __future__ import annotations

from typing import Final

from . import _core
from ._create import Array
from .errors import MessageError, NdpoolError

__all__ = ["check_hash", "handle", "is_private", "is_sealed", "is_shared", "seal", "send"]

MESSAGE: Final = 40  #: bytes of a message without a view

# Transfers that keep arrays which make_transferable promised to keep, by segment and handle of the block.
_keepers: dict[tuple[bytes, int], bytes] = {}


def is_shared(a: object) -> bool:
    """Tells whether an array, or what an array is based on, lies in a pool."""
    return _core.block_of(a) is not None


def is_sealed(a: Array) -> bool:
    """Tells whether an array is immutable for everybody."""
    return _core.is_sealed(a)


def is_private(a: Array) -> bool:
    """Tells whether no other process was ever told of an array."""
    return _core.is_private(a)


def handle(a: Array) -> int:
    """Returns the handle of the block that an array lies in, and makes it known to others, who may retain it."""
    return _core.handle(a)


def send(a: Array, to: int | None = None) -> bytes:
    """Opens a transfer of an array, to be adopted once: by anybody, or by the process with the id to.

    Returns 16 bytes, or a message of 40 or more if the array is a view of what is stored. The transfer keeps the array,
    so the sender may forget it at once. One to anybody outlives its sender by the pool's grace; one to a process
    lives as long as that. Raises DeadError if that is not attached, TableFullError if too many transfers are in
    flight."""
    if _keepers:
        end_keeper(a)
    return _core.send(a, to or 0)


def seal(a: Array, hash: bool = False) -> Array:
    """Makes an array immutable for everybody, for ever, and returns the read-only array that takes its place.

    A store into it, also by C code, ends in a fault. With hash the content's hash is stored, for check_hash. Wants this
    process to be the only holder and the array given to be its only reference: raises HeldError, SealedError."""
    return _core.seal(a, hash)


def check_hash(a: Array) -> None:
    """Compares a sealed array with its hash. Raises HashError if it is not what was sealed."""
    _core.check_hash(a)


def segment_of(message: bytes) -> bytes:
    """Returns the segment that a message names."""
    if len(message) < MESSAGE or message[:2] != b"nd":
        raise MessageError(f"read message: got {len(message)} bytes, expected {MESSAGE} or more that begin with 'nd'")
    return message[8:24]


def keep(a: Array) -> None:
    """Opens a transfer that keeps an array until it is first sent, or until this process ended and the grace is
    over."""
    block = _core.block_of(a)
    if block is not None and (block.pool.segment, block.handle) not in _keepers:
        _keepers[block.pool.segment, block.handle] = _core.send(a, 0)


def end_keeper(a: object) -> None:
    """Ends the transfer that keeps an array. The caller has a reference to it and is about to send it."""
    block = _core.block_of(a)
    transfer = None if block is None else _keepers.pop((block.pool.segment, block.handle), None)
    if block is not None and transfer is not None:
        try:
            block.pool.recall(transfer)
        except NdpoolError:
            pass  # somebody recalled it already, or the pool is closed
