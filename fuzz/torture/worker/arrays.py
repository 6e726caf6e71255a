"""Arrays, from their allocation to their end: see work_arrays.go."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

import ndpool
from ndpool import errors

from .faults import Fault, must_refuse
from .hidden import is_whole
from .lane import Lane
from .pattern import block_of, fill, pattern, raw

Order = Literal["C", "F"]
DTYPES: Final[list[np.dtype[Any]]] = [
    np.dtype(x)
    for x in (
        "<u8", "<u8", "<u8", "?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16", ">f4",
        ">i8", "<M8[ns]", "<m8[10ms]", "S7", "<U3", "V5", [("x", "<f4"), ("y", "<f4"), ("id", "<u4")],
        [("a", "u1"), ("m", "<f8", (3,)), ("t", [("p", "i1"), ("q", "?")])],
    )
]  # fmt: skip


def some_shape(lane: Lane, n: int) -> tuple[int, ...]:
    kind = lane.rng.randrange(100)
    if kind == 0:
        return (lane.rng.randrange(4), 0, lane.rng.randrange(4))
    dims = 64 if kind == 1 else 9 + lane.rng.randrange(4) if kind < 5 else lane.rng.randrange(5)
    shape = []
    for _ in range(dims - 1):
        shape.append(1 + (lane.rng.randrange(4) if n > 4 else 0))
        n //= shape[-1]
    return (*shape, max(n, 1)) if dims else ()


def spec(lane: Lane) -> tuple[tuple[int, ...], np.dtype, Order]:
    dtype = lane.rng.choice(DTYPES)
    size = 1 << (20 + lane.rng.randrange(4) if lane.rng.randrange(300) == 0 else 3 + lane.rng.randrange(16))
    shape = some_shape(lane, 1 + lane.rng.randrange(max(size // max(dtype.itemsize, 1), 1)))
    return shape, dtype, "F" if lane.rng.randrange(4) == 0 else "C"


def alloc(lane: Lane) -> None:
    shape, dtype, order = spec(lane)
    if lane.rng.randrange(5) == 0:
        a = lane.pool.zeros(shape, dtype, order)
        if raw(a).any():
            raise Fault(f"new array {ndpool.handle(a):016x} of zeros has others")
    else:
        a = lane.pool.empty(shape, dtype, order)
    keep_new(lane, a, shape, dtype, order)


def keep_new(lane: Lane, a: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, order: Order) -> None:
    if a.shape != shape or a.dtype != dtype or not a.flags.writeable or not a.flags[order]:
        raise Fault(f"new array: got {a.dtype} {a.shape}, expected {dtype} {shape} {order}")
    if lane.worker.plant == "nofill" and a.nbytes > 100 and lane.rng.randrange(10) == 0:
        lane.hold(a)
    fill(a)
    lane.remark(f"{ndpool.handle(a):016x}")
    lane.hold(a)


def alloc_wait(lane: Lane) -> None:
    """Allocates much, and waits for room; it does not wait for what can never be."""
    if lane.rng.randrange(10) == 0:
        must_refuse("wait for more than the pool has", errors.FullError, lambda: lane.pool.empty(1 << 40, "u1", timeout=1))
        return
    n = 1 << (16 + lane.rng.randrange(8))
    a = lane.pool.empty((n,), "u1", timeout=lane.rng.random() * 0.02)
    lane.make_room()
    keep_new(lane, a, (n,), np.dtype("u1"), "C")


def private(lane: Lane) -> None:
    """Works on arrays that nobody is ever told of: their handles are not asked for."""
    sizes = [lane.rng.randrange(1 << lane.rng.randrange(14)) for _ in range(1 + lane.rng.randrange(8))]
    made = [lane.pool.empty(n, "u1") for n in sizes]
    for k, a in enumerate(made):
        raw(a)[:] = pattern(k, a.nbytes)
    lane.pause()
    for k, a in enumerate(made):
        if not np.array_equal(raw(a), pattern(k, a.nbytes)):
            raise Fault(f"private array of {a.nbytes} bytes has changed")
        lane.worker.tally.checked(a.nbytes)


def flood(lane: Lane) -> None:
    """Takes all there is, so that others are short of it, and gives it back."""
    made = []
    for _ in range(64):
        made.append(lane.pool.empty(1 << (12 + lane.rng.randrange(10)), "u1"))


def check_any(lane: Lane) -> None:
    a = lane.any()
    if lane.worker.plant == "flip" and a.flags.writeable and a.nbytes and is_whole(a):
        raw(a)[lane.rng.randrange(a.nbytes)] ^= 1
    lane.check(a)


def retain_again(lane: Lane) -> None:
    handle = ndpool.handle(lane.any())
    lane.make_room()
    try:
        a = lane.pool.retain(handle, readonly=lane.rng.randrange(2) == 0)
    except errors.StaleError as e:
        if any(ndpool.handle(x) == handle for x in lane.held):
            raise Fault(f"retain {handle:016x}, which is held: {e!r}") from e
        return
    lane.hold(a)


def seal(lane: Lane) -> None:
    hashed = lane.rng.randrange(2) == 0
    a = lane.held.pop(lane.rng.randrange(len(lane.held)))
    block = block_of(a)
    lane.held = [x for x in lane.held if block_of(x) is not block]  # views of it must not be used then
    lane.held.append(a)
    try:
        lane.held[-1] = ndpool.seal(a, hash=hashed)
    except errors.MismatchError:
        if is_whole(a):
            raise
        return  # a part of a block
    a = lane.held[-1]
    if not ndpool.is_sealed(a) or a.flags.writeable:
        raise Fault(f"array {ndpool.handle(a):016x} is not sealed")
    if hashed:
        ndpool.check_hash(a)
    lane.check(a)


def check_hash(lane: Lane) -> None:
    """Compares content and hash, if there is one."""
    try:
        ndpool.check_hash(lane.any())
    except errors.MismatchError:
        pass
