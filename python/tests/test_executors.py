"""Arrays through concurrent.futures: processes of every start method, and threads."""

from __future__ import annotations

import gc
import multiprocessing as mp
import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Array = np.ndarray[Any, Any]
WAIT = 30


def triple(a: Array) -> bool:
    """Changes an array in place, and tells whether it lies in a pool."""
    a *= 3
    return ndpool.is_shared(a)


def rows(a: Array, k: int) -> Array:
    """Returns a part of an array."""
    return a[k : k + 2]


def make(p: ndpool.Pool, n: int) -> Array:
    """Makes an array in a pool."""
    return p.full((n, n), n, "i4")


def fail(a: Array) -> None:
    """Fails with an array in the exception."""
    raise ValueError("bad array", a, {"tail": a[2:]})


def die(a: Array) -> None:
    """Ends amidst the work, with an array."""
    assert a.size
    os.kill(os.getpid(), signal.SIGKILL)


def nap(a: Array, seconds: float) -> float:
    """Is busy for a while."""
    time.sleep(seconds)
    return float(a.sum())


@pytest.fixture(scope="module", params=["fork", "forkserver", "spawn"])
def ctx(request: pytest.FixtureRequest) -> Any:
    """One way of starting processes."""
    return mp.get_context(request.param)


@pytest.fixture(scope="module")
def arena() -> Iterator[ndpool.Pool]:
    """A pool for all tests."""
    with ndpool.Pool.create(f"ndpytest-{os.getpid()}-futures-{uuid.uuid4().hex}", capacity="32M") as p:
        yield p
        p.reap()
        assert p.verify().clean


@pytest.fixture(scope="module")
def executor(ctx: Any, arena: ndpool.Pool) -> Iterator[ProcessPoolExecutor]:
    """Two workers, which were forked when there was no array to inherit."""
    with ProcessPoolExecutor(2, mp_context=ctx) as e:
        for future in [e.submit(time.sleep, 0.01) for _ in range(4)]:
            future.result(WAIT)
        yield e


def settle(p: ndpool.Pool, arrays: int) -> None:
    """Waits until the pool has that many arrays, and no transfer."""
    until = time.monotonic() + 5
    while True:
        p.reap()
        stats = p.stats()
        if (stats.arrays, stats.transfers) == (arrays, 0) or time.monotonic() > until:
            break
        gc.collect()  # threads of executors may have had exceptions until now
        time.sleep(0.005)
    assert (stats.arrays, stats.transfers) == (arrays, 0)


@pytest.fixture
def shared(arena: ndpool.Pool) -> Iterator[ndpool.Pool]:
    """The pool, which has nothing before and after each test."""
    yield arena
    settle(arena, 0)


def test_submit(executor: ProcessPoolExecutor, shared: ndpool.Pool) -> None:
    """Arguments arrive by reference, private ones by value."""
    a, private = shared.ones(10), np.ones(10)
    assert executor.submit(triple, a[::2]).result(WAIT) is True
    assert executor.submit(triple, private).result(WAIT) is False
    assert a.tolist() == [3, 1] * 5 and (private == 1).all()


def test_map(executor: ProcessPoolExecutor, shared: ndpool.Pool) -> None:
    """Results of map are views of the memory that was sent."""
    a = shared.array(np.arange(40).reshape(10, 4))
    parts = list(executor.map(rows, [a] * 5, range(0, 10, 2), timeout=WAIT, chunksize=2))
    assert [p.tolist() for p in parts] == [a[k : k + 2].tolist() for k in range(0, 10, 2)]
    parts[3][:] = -1
    assert (a[6:8] == -1).all() and (a[:6] >= 0).all()
    settle(shared, 1)


def test_results_of_workers(executor: ProcessPoolExecutor, shared: ndpool.Pool) -> None:
    """Arrays that workers made come back by reference, in whatever order, and go one by one."""
    futures: list[Future[Array]] = [executor.submit(make, shared, n) for n in range(1, 17)]
    for future in as_completed(futures, WAIT):
        a = future.result()
        assert shared.owns(a) and (a == len(a)).all()
        futures.remove(future)
    del future, a
    settle(shared, 0)


def test_exceptions_with_arrays(ctx: Any, shared: ndpool.Pool) -> None:
    """Arrays in a worker's exception come back by reference; the worker keeps its last exception, as Python has it."""
    with ProcessPoolExecutor(1, mp_context=ctx) as e:
        assert e.submit(pow, 2, 3).result(WAIT) == 8
        a = shared.arange(5)
        error = e.submit(fail, a).exception(WAIT)
        assert isinstance(error, ValueError) and error.args[0] == "bad array"
        error.args[1][4] = 44
        assert error.args[2]["tail"].tolist() == [2, 3, 44] and a[4] == 44
        del error
        assert isinstance(e.submit(int, "x").exception(WAIT), ValueError)
        settle(shared, 1)


def test_errors_of_the_pool(executor: ProcessPoolExecutor, shared: ndpool.Pool) -> None:
    """A pool that is full for a worker tells so here, with its numbers."""
    error = executor.submit(make, shared, 1 << 14).exception(WAIT)
    assert isinstance(error, errors.FullError) and isinstance(error, MemoryError)
    assert error.asked is not None and error.asked >= 1 << 30 and error.capacity == shared.capacity


def test_results_outlive_their_workers(ctx: Any, shared: ndpool.Pool) -> None:
    """What workers returned is there when they have ended, also if nobody has looked at it until then."""
    with ProcessPoolExecutor(1, mp_context=ctx) as e:
        futures = [e.submit(make, shared, n) for n in (3, 4)]
    assert [f.result(0).shape for f in futures] == [(3, 3), (4, 4)]
    p = shared.processes()
    a = futures[1].result(0)
    del futures
    settle(shared, 1)
    assert (a == 4).all() and len(p) >= 1


def test_killed_worker(ctx: Any, shared: ndpool.Pool) -> None:
    """A worker that dies breaks the executor as ever; its arrays are let go of, and the caller's stay."""
    a = shared.full(10, 2.0)
    with ProcessPoolExecutor(1, mp_context=ctx) as e:
        assert e.submit(nap, a, 0).result(WAIT) == 20
        with pytest.raises(BrokenProcessPool):
            e.submit(die, a).result(WAIT)
    settle(shared, 1)
    assert a.sum() == 20


def test_cancelled_work(ctx: Any, shared: ndpool.Pool) -> None:
    """Work that is cancelled before it is sent has no transfer."""
    a = shared.ones(10)
    with ProcessPoolExecutor(1, mp_context=ctx) as e:
        futures = [e.submit(nap, a, 0.05) for _ in range(10)]
        e.shutdown(wait=True, cancel_futures=True)
        assert any(f.cancelled() for f in futures)
        assert all(f.result(0) == 10 for f in futures if not f.cancelled())
    settle(shared, 1)


def test_threads(shared: ndpool.Pool) -> None:
    """Threads have the array itself, and what they make lies in the pool."""
    a = shared.ones((8, 100))
    with ThreadPoolExecutor(4) as e:
        assert all(e.map(triple, list(a), timeout=WAIT))
        made = list(e.map(make, [shared] * 20, range(20), timeout=WAIT))
        assert e.submit(lambda: a).result(WAIT) is a
        error = e.submit(fail, a).exception(WAIT)
    assert (a == 3).all() and ndpool.is_private(a)
    assert all((m == n).all() for n, m in enumerate(made))
    assert error is not None and error.args[1] is a
    del made, error, e
    settle(shared, 1)
