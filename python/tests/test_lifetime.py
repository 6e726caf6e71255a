"""Arrays end with their last reference, whatever kind of reference that is, and never before."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ndpool

Array = np.ndarray[Any, Any]
MB = 1 << 20


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{name}")


class Holder:
    """Something that can hold an array, and itself."""

    def __init__(self, a: Any) -> None:
        self.a, self.me = a, self


REFERENCES: dict[str, Callable[[Array], Any]] = {
    "the array": lambda a: a,
    "its block": lambda a: a.base,
    "slice": lambda a: a[2:5],
    "step": lambda a: a[::-2],
    "slice of a slice": lambda a: a[1:][1:][1:],
    "0-d": lambda a: a[3, ...],
    "empty slice": lambda a: a[64:],
    "reshape": lambda a: a.reshape(8, 8),
    "transpose": lambda a: a.reshape(8, 8).T,
    "asarray": np.asarray,
    "view": lambda a: a.view("u1"),
    "subclass": lambda a: a.view(np.recarray),
    "masked": np.ma.asarray,
    "broadcast": lambda a: np.broadcast_to(a, (3, 64)),
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, 3),
    "memoryview": memoryview,
    "memoryview of a memoryview": lambda a: memoryview(a)[3:].cast("B"),
    "memoryview of the block": lambda a: memoryview(a.base),
    "frombuffer": lambda a: np.frombuffer(a, "u1"),
    "asarray of a memoryview": lambda a: np.asarray(memoryview(a)[::2]),
    "dlpack": np.from_dlpack,
    "ctypes": lambda a: (ctypes.c_char * 8).from_buffer(a),
    "ctypes pointer": lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
    "flat": lambda a: a.flat,
    "iterator": iter,
    "nditer": lambda a: np.nditer(a),
    "method": lambda a: a.sum,
    "record": lambda a: a.view([("x", "f4"), ("y", "f4")])[3],
    "closure": lambda a: lambda: a,
    "list": lambda a: [a],
}


@pytest.mark.parametrize("way", REFERENCES)
def test_block_goes_with_its_last_reference(pool: ndpool.Pool, way: str) -> None:
    """Each kind of reference keeps the block, and the block goes back with it."""
    a = pool.zeros(64)
    kept = REFERENCES[way](a)
    handle = a.base.handle
    del a
    gc.collect()
    assert [info.handle for info in pool.arrays()] == [handle]
    del kept
    gc.collect()
    assert pool.stats().arrays == 0


def test_all_references_at_once(pool: ndpool.Pool) -> None:
    """The block goes with the last of many references, in whatever order they go."""
    for seed in range(20):
        a = pool.zeros(64)
        kept = [make(a) for make in REFERENCES.values()]
        del a
        random.Random(seed).shuffle(kept)
        while kept:
            assert pool.stats().arrays == 1
            kept.pop()
            gc.collect(0)
        assert pool.stats().arrays == 0


def test_values_keep_nothing(pool: ndpool.Pool) -> None:
    """What is computed from an array does not keep it."""
    a = pool.ones((8, 8))
    kept = [
        a + 1,
        a.copy(),
        a[[1, 2]],
        a[a > 0],
        a.sum(),
        a[3, 3],
        a.tolist(),
        a.tobytes(),
        a.T.reshape(-1),
        a.dtype,
        a.shape,
    ]
    del a
    assert pool.stats().arrays == 0
    assert kept[0][0, 0] == 2


def test_base_is_the_block(pool: ndpool.Pool) -> None:
    """Every array of the pool has its Block at the end of its bases."""
    a = pool.zeros((4, 6))
    block = a.base
    assert isinstance(block, ndpool.Block)
    assert (block.address, block.nbytes, block.readonly) == (a.ctypes.data, a.nbytes, False)
    assert a[1:].base is a and a[1:][:, 2:].T.base is a
    assert not a.flags.owndata and type(a) is np.ndarray
    with pytest.raises(ValueError, match="own"):
        a.resize((400, 600))


def test_two_pools_keep_their_arrays_apart(pool: ndpool.Pool) -> None:
    """Arrays of two pools of a process are told apart, and end each in its own."""
    with ndpool.Pool.anonymous(capacity=MB) as other:
        a, b = pool.zeros(3), other.zeros(3)
        assert pool.owns(a) and not pool.owns(b) and other.owns(b) and not other.owns(a)
        del b
        assert (pool.stats().arrays, other.stats().arrays) == (1, 0)


def test_close_under_live_arrays(name: str) -> None:
    """A closed pool's arrays go on, and the last of them ends the pool."""
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.full((4, 4), 3.0)
    b = a[1:].T
    c = p.arange(10)
    p.close()
    assert p.closed and exists(name)
    a += 1
    del a
    assert b.sum() == 48 and c.sum() == 45
    del b
    assert exists(name)
    c[:] = 7
    del c
    assert not exists(name)


def test_close_without_arrays_removes_the_file(name: str) -> None:
    """A pool that nobody uses goes when it is closed, and closing again does nothing."""
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.zeros(3)
    del a
    assert exists(name)
    p.close()
    assert not exists(name)
    p.close()
    with pytest.raises(ndpool.errors.ClosedError):
        p.zeros(3)


def test_array_outlives_its_pool_variable(name: str) -> None:
    """An array keeps its pool, also if nobody else knows of it, and nobody is warned while it does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        a = ndpool.Pool.create(name, capacity=MB).arange(100)
        gc.collect()
        assert a.sum() == 4950 and exists(name)
        b = a[::2]
        del a
        gc.collect()
        assert b.sum() == 2450 and exists(name)
        del b
        assert not exists(name)
    assert [str(w.message) for w in caught] == []


def test_with_block_may_end_before_its_arrays(name: str) -> None:
    """Leaving the with statement closes the pool and leaves its arrays."""
    with ndpool.Pool.create(name, capacity=MB) as p:
        a = p.ones(1000)
    assert p.closed and a.sum() == 1000
    del a
    assert not exists(name)


@pytest.mark.parametrize("in_cycle", ["array", "view", "pool and array"])
def test_cycles_are_collected(name: str, in_cycle: str) -> None:
    """Arrays in cycles of objects go with the collection of the cycle."""
    p = ndpool.Pool.create(name, capacity=MB)
    q = ndpool.Pool.open(name)
    gc.disable()
    try:
        a = p.zeros(10)
        holder = Holder({"array": a, "view": a[1:], "pool and array": [p, a, p.send]}[in_cycle])
        del a, holder
        assert q.stats().arrays == 1
        gc.collect()
        assert q.stats().arrays == 0
    finally:
        gc.enable()
        p.close()
        q.close()
    assert not exists(name)


def test_weak_references(pool: ndpool.Pool) -> None:
    """Arrays, Blocks and Pools can be referred to weakly, and callbacks run when they go."""
    a = pool.zeros(3)
    told: list[str] = []
    of_array, of_block = (
        weakref.ref(a, lambda _: told.append("array")),
        weakref.ref(a.base, lambda _: told.append("block")),
    )
    weakref.finalize(a.base, told.append, "finalized")
    assert of_array() is a and of_block() is a.base and weakref.ref(pool)() is pool
    view = a[1:].view("u1")
    del a
    assert told == [] or told == ["array"]  # a view of a view leads to the block by its parent
    assert of_block() is not None
    del view
    assert of_block() is None and sorted(told) == ["array", "block", "finalized"]
    assert pool.stats().arrays == 0


def test_callback_may_use_the_pool(pool: ndpool.Pool) -> None:
    """A weak reference's callback, which runs amidst a release, may allocate and release."""
    made: list[Array] = []
    a = pool.zeros(3)
    ref = weakref.ref(a, lambda _: made.append(pool.ones(5)))
    del a
    assert ref() is None and made[0].sum() == 5
    assert pool.stats().arrays == 1


def test_many_arrays_in_random_order(name: str) -> None:
    """Ten thousand arrays of all sizes, which go in random order, keep their content and leave nothing."""
    rng = random.Random(4711)
    with ndpool.Pool.create(name, capacity=64 * MB, arrays=12_000) as p:
        kept: list[tuple[int, Array]] = []
        for k in range(10_000):
            a = p.empty(rng.choice((0, 1, 7, 64, 500, 2000)), "i4")
            a.fill(k)
            kept.append((k, a))
        del a
        assert p.stats().arrays == 10_000
        rng.shuffle(kept)
        for _ in range(5_000):
            k, a = kept.pop()
            assert (a == k).all()
        del a
        assert p.stats().arrays == len(kept) == 5_000
        assert p.verify().clean
        for k, a in kept:
            assert (a == k).all()
        del a
        kept.clear()
        assert p.stats().arrays == 0 and p.stats().live == 0
        assert p.verify().clean


def test_all_memory_comes_back(name: str) -> None:
    """After many rounds the whole pool can still be had in one piece."""
    with ndpool.Pool.create(name, capacity=8 * MB) as p:
        for seed in range(5):
            rng = random.Random(seed)
            kept = []
            with pytest.raises(ndpool.errors.FullError):
                while True:
                    kept.append(p.empty(rng.randrange(1, MB), "u1"))
            rng.shuffle(kept)
            while kept:
                kept.pop()
            whole = p.zeros(p.stats().capacity - 64 * 1024, "u1")
            del whole
        assert p.verify().clean


def test_failures_keep_nothing(pool: ndpool.Pool) -> None:
    """An error has no reference to the arrays it is about, but for those of its traceback."""
    held = pool.zeros(3)
    transfer = pool.send(held)
    wrong: list[Callable[[Array], Any]] = [
        lambda a: pool.send(a, to=12345),
        lambda a: pool.seal(a[1:]),
        lambda a: ndpool.check_hash(a),
        lambda a: pool.array(a, dtype=object),
        lambda a: pool.full_like(a, "text"),
        lambda a: pool.zeros_like(a, shape=-1),
        lambda a: pool.zeros_like(a, order="Z"),  # type: ignore[arg-type]
        lambda a: pool.retain(a.base.handle + (1 << 32)),
        lambda a: pool.adopt(transfer[:8] + bytes(8)),
    ]
    errors: list[BaseException] = []

    def fail(work: Callable[[Array], Any]) -> None:
        a = pool.zeros(3)
        before = sys.getrefcount(a)
        try:
            work(a)
        except Exception as e:
            errors.append(e.with_traceback(None))
        assert sys.getrefcount(a) == before

    for work in wrong:
        fail(work)
    assert len(errors) == len(wrong)
    assert pool.stats().arrays == 1
    assert pool.recall(transfer) == 1


def test_traceback_keeps_arrays_only_as_python_does(pool: ndpool.Pool) -> None:
    """Arrays in the frames of a traceback go with the exception."""

    def fail() -> None:
        a = pool.zeros(3)
        a[5] = 1

    try:
        fail()
    except IndexError as e:
        error: BaseException | None = e
    assert pool.stats().arrays == 1
    error = None
    gc.collect()
    assert pool.stats().arrays == 0 and error is None


def test_creation_that_fails_midway_returns_the_block(pool: ndpool.Pool) -> None:
    """An array whose filling fails is not kept."""
    for work in (
        lambda: pool.full(3, "text", float),
        lambda: pool.full(3, [1, 2]),
        lambda: pool.array(["x"], dtype=int),
    ):
        with pytest.raises(ValueError):
            work()
        gc.collect()
        assert pool.stats().arrays == 0


def test_last_reference_in_another_thread(pool: ndpool.Pool) -> None:
    """An array may go in another thread than it came from."""
    kept = [pool.zeros(100) for _ in range(50)]
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join(20)
    assert pool.stats().arrays == 0


def test_two_attachments_of_one_process(name: str) -> None:
    """Two Pools of one name are two members; an array lives until both have let go."""
    p, q = ndpool.Pool.create(name, capacity=MB), ndpool.Pool.open(name)
    a = p.arange(5)
    b = q.adopt(p.send(a))
    p.close()
    del a
    assert b.sum() == 10 and q.stats().arrays == 1
    b[0] = 90
    q.close()
    assert b.sum() == 100 and exists(name)
    del b
    assert not exists(name)


def test_unlinked_pool_goes_on(name: str) -> None:
    """Arrays of a pool that lost its name go on, and a new pool may have the name."""
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.arange(5)
    ndpool.unlink(name)
    with ndpool.Pool.create(name, capacity=MB) as q:
        assert q.stats().arrays == 0 and q.segment != p.segment
        b = p.adopt(p.send(a))
        assert b.sum() == 10
        del a, b
        p.close()
        assert exists(name)
    assert not exists(name)


def test_reattached_pool_after_the_last_array(name: str) -> None:
    """A name is free again as soon as the last array of a closed pool went."""
    for k in range(20):
        p = ndpool.Pool.create(name, capacity=MB)
        a = p.full(10, k)
        p.close()
        with pytest.raises(ndpool.errors.ExistError):
            ndpool.Pool.create(name)
        assert (a == k).all()
        del a


def test_interned_and_scalar_results_do_not_keep(pool: ndpool.Pool) -> None:
    """Arrays without elements and 0-d arrays are blocks like all others."""
    kept = [pool.zeros(()), pool.zeros(0), pool.zeros((3, 0, 2)), pool.array(5)]
    assert pool.stats().arrays == 4 and len({a.base.handle for a in kept}) == 4
    kept.clear()
    assert pool.stats().arrays == 0
