"""What arrays must have in them: see work_pattern.go."""

from __future__ import annotations

from typing import Final

import numpy as np

import ndpool

from .faults import Fault

BYTES_SEED: Final = 11  #: of the pattern of bytes in queues


def pattern(seed: int, size: int) -> np.ndarray:
    """What the bytes of a block must be: it follows from its handle."""
    words = np.arange(size // 8 + 1, dtype=np.uint64) * np.uint64(8 * 0x9E3779B97F4A7C15 % 2**64) + np.uint64(seed)
    return words.view(np.uint8)[:size]


def block_of(a: np.ndarray) -> ndpool.Block | None:
    """The block that an array lies in, at the end of its chain of bases; None for private memory, and for an array that was
    sealed, whose memory is elsewhere since."""
    x: object = a if ndpool.is_shared(a) else None
    while x is not None and not isinstance(x, ndpool.Block):
        x = getattr(x, "base", None)
    return x


def raw(a: np.ndarray) -> np.ndarray:
    """All bytes of the block that an array lies in."""
    block = block_of(a)
    assert block is not None
    return np.frombuffer(memoryview(block), np.uint8) if block.nbytes else np.empty(0, np.uint8)


def fill(a: np.ndarray) -> None:
    raw(a)[:] = pattern(ndpool.handle(a), a.nbytes)


def check(a: np.ndarray, seed: int | None = None) -> int:
    """Compares an array, or a view of one, with what its block must be. Returns the bytes."""
    block = block_of(a)
    if block is None:
        raise Fault(f"array {a.dtype} {a.shape} is in no pool")
    if a.size == 0 or a.itemsize == 0:
        return 0
    want = pattern(ndpool.handle(a) if seed is None else seed, block.nbytes)
    place = a.__array_interface__["data"][0] - block.address
    shown = np.ndarray(a.shape, a.dtype, want, place, a.strides)
    if a.tobytes() != shown.tobytes():
        got, expect = a.tobytes(), shown.tobytes()
        k = next(k for k in range(len(got)) if got[k] != expect[k])
        raise Fault(
            f"array {block.handle:016x}, {a.dtype} {a.shape} at byte {place}: byte {k} of {len(got)}: got {got[k]:#x}, "
            f"expected {expect[k]:#x}"
        )
    return int(a.nbytes)
