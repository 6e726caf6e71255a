"""The speed of the Python package beside what it replaces: pytest --benchmark-only prints medians and ratios by group.

Numbers that are compared were measured in one run. A round trip is: send through a pipe, the other process reads the
first element and answers one byte. Both ends of a pipe run on one processor: what it costs to wake another one that
sleeps is more than all the rest, and differs from one moment to the next.
"""

import multiprocessing as mp
import os
from collections.abc import Callable, Iterator
from multiprocessing import connection, shared_memory
from typing import Any

import numpy as np
import pytest

import ndpool

KIB, MIB = 1 << 10, 1 << 20
SIZES = [16, 4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB]


# ---- allocate and drop 4 KiB


@pytest.mark.benchmark(group="allocate and drop 4 KiB")
def test_alloc_pool(benchmark: Any, pool: ndpool.Pool) -> None:
    empty, dtype = pool.empty, np.dtype(np.uint8)
    benchmark(lambda: empty(4096, dtype))


@pytest.mark.benchmark(group="allocate and drop 4 KiB")
def test_alloc_numpy(benchmark: Any) -> None:
    empty, dtype = np.empty, np.dtype(np.uint8)
    benchmark(lambda: empty(4096, dtype))


@pytest.mark.benchmark(group="allocate and drop 4 KiB")
def test_alloc_shared_memory(benchmark: Any) -> None:
    def cycle() -> None:
        s = shared_memory.SharedMemory(create=True, size=4096)
        s.close()
        s.unlink()

    benchmark(cycle)


# ---- copy 16 MiB into new memory


@pytest.mark.benchmark(group="copy 16 MiB into new shared memory")
def test_copy_warm(benchmark: Any) -> None:
    """A plain copy into memory that was touched before: the lower bound."""
    a, b = np.ones(16 * MIB, np.uint8), np.zeros(16 * MIB, np.uint8)
    benchmark(lambda: np.copyto(b, a))


@pytest.mark.benchmark(group="copy 16 MiB into new shared memory")
def test_copy_pool(benchmark: Any, pool: ndpool.Pool) -> None:
    """Allocates a block that was used before, and copies."""
    a = np.ones(16 * MIB, np.uint8)
    pool.array(a)
    benchmark(lambda: pool.array(a))


@pytest.mark.benchmark(group="copy 16 MiB into new shared memory")
def test_copy_shared_memory(benchmark: Any) -> None:
    a = np.ones(16 * MIB, np.uint8)

    def cycle() -> None:
        s = shared_memory.SharedMemory(create=True, size=16 * MIB)
        np.copyto(np.ndarray(a.shape, a.dtype, s.buf), a)
        s.close()
        s.unlink()

    benchmark(cycle)


# ---- send through a pipe, read the first element, answer


def answer(pipe: "connection.Connection[Any, Any]") -> None:
    """The other side: looks at the first element or byte of whatever comes."""
    while (got := pipe.recv()) is not None:
        pipe.send_bytes(bytes([int(got.flat[0] if isinstance(got, np.ndarray) else got[0]) & 1]))
        del got


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[None]:
    """Stays on one processor, as do the children that are started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def trip(pool: ndpool.Pool, one_cpu: None) -> Iterator[Callable[[Any], bytes]]:
    """A function that makes a round trip."""
    here, there = mp.get_context("fork").Pipe()
    child = mp.get_context("fork").Process(target=answer, args=(there,))
    child.start()

    def go(what: Any) -> bytes:
        here.send(what)
        return here.recv_bytes()

    yield go
    here.send(None)
    child.join()


@pytest.mark.benchmark(group="round trip through a pipe")
def test_trip_plain_16_bytes(benchmark: Any, trip: Callable[[Any], bytes]) -> None:
    benchmark(trip, b"0123456789abcdef")


@pytest.mark.benchmark(group="round trip through a pipe")
@pytest.mark.parametrize("size", SIZES)
def test_trip_by_reference(benchmark: Any, pool: ndpool.Pool, trip: Callable[[Any], bytes], size: int) -> None:
    a = pool.ones(size, np.uint8)
    benchmark(trip, a)


@pytest.mark.benchmark(group="round trip through a pipe")
@pytest.mark.parametrize("size", [s for s in SIZES if s <= 16 * MIB])
def test_trip_pickled(benchmark: Any, trip: Callable[[Any], bytes], size: int) -> None:
    a = np.ones(size, np.uint8)
    benchmark(trip, a)


# ---- an array there and back: the measure of pyarraypool


def echo(pipe: "connection.Connection[Any, Any]") -> None:
    """The other side: sends back whatever comes."""
    while (got := pipe.recv()) is not None:
        pipe.send(got)
        del got


@pytest.fixture(scope="module")
def there_and_back(pool: ndpool.Pool, one_cpu: None) -> Iterator[Callable[[Any], Any]]:
    """A function that sends an array and gets it back."""
    here, there = mp.get_context("fork").Pipe()
    child = mp.get_context("fork").Process(target=echo, args=(there,))
    child.start()

    def go(what: Any) -> Any:
        here.send(what)
        return here.recv()

    yield go
    here.send(None)
    child.join()


@pytest.mark.benchmark(group="doubles there and back")
@pytest.mark.parametrize("n", [10, 100_000])
def test_back_by_reference(benchmark: Any, pool: ndpool.Pool, there_and_back: Callable[[Any], Any], n: int) -> None:
    a = pool.ones(n)
    benchmark(there_and_back, a)


@pytest.mark.benchmark(group="doubles there and back")
@pytest.mark.parametrize("n", [10, 100_000])
def test_back_pickled(benchmark: Any, there_and_back: Callable[[Any], Any], n: int) -> None:
    a = np.ones(n)
    benchmark(there_and_back, a)


@pytest.mark.benchmark(group="pickle and unpickle in one process, as pyarraypool measures")
@pytest.mark.parametrize("n", [10, 100_000])
@pytest.mark.parametrize("how", ["by reference", "pickled"])
def test_same_process(benchmark: Any, pool: ndpool.Pool, n: int, how: str) -> None:
    a = pool.ones(n) if how == "by reference" else np.ones(n)
    dumps, loads = mp.reduction.ForkingPickler.dumps, mp.reduction.ForkingPickler.loads
    benchmark(lambda: loads(dumps(a)))
