"""ndpool's Python package: arrays of a pool go through multiprocessing's pipes by reference; its own queue for many to many."""

import multiprocessing as mp
import os
import platform
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from crew import UNREAD, source_of, sum_of
from peer import Arrays, Sample

import ndpool

READY = 30  # seconds that the others may take to start
U1 = np.dtype(np.uint8)
SPAWN = mp.get_context("spawn")


class Pool(Arrays):
    name = "ndpool, Python"
    pooled = True
    recovers = True

    @staticmethod
    def version() -> str:
        return f"{ndpool.__version__}, Python {platform.python_version()}, numpy {np.__version__}"

    def __init__(self, place: str, capacity: int, arrays: int) -> None:
        limits = {"arrays": max(1024, arrays)} if arrays else {}
        self.use(ndpool.Pool.create("peers", dir=place, capacity=capacity, **limits))

    def use(self, pool: ndpool.Pool) -> None:
        self.pool, self.empty, self.put = pool, pool.empty, pool.array

    def pass_on(self) -> str:
        return self.pool.dir

    @classmethod
    def attach(cls, passed: str) -> "Pool":
        peer = cls.__new__(cls)
        peer.use(ndpool.Pool.open("peers", dir=passed))
        return peer

    def alloc(self, size: int) -> np.ndarray:
        return self.empty(size, U1)

    def close(self) -> None:
        self.pool.close()

    @classmethod
    def crowd(cls, place: str, seconds: float, producers: int, consumers: int, size: int) -> Iterator[Sample]:
        """Through a queue of the pool, which bounds what is unread."""
        with ndpool.Pool.create("peers", dir=place, capacity="256M") as pool:
            jobs = pool.queue("jobs", maxsize=UNREAD * producers)
            start, counts = SPAWN.Barrier(producers + consumers + 1), SPAWN.SimpleQueue()
            consume = [SPAWN.Process(target=consumer, args=(place, start, seconds, counts)) for _ in range(consumers)]
            produce = [SPAWN.Process(target=producer, args=(place, start, seconds, size)) for _ in range(producers)]
            for process in consume + produce:
                process.start()
            start.wait(READY)
            join(produce)
            for _ in range(consumers):
                jobs.put(None)
            join(consume)
            yield {"value": sum(counts.get() for _ in range(consumers)) / seconds}
            jobs.close()

    @classmethod
    def recovery(cls, place: str, seconds: float, holds: int) -> Iterator[Sample]:
        """From the kill until all arrays of the dead process are gone."""
        capacity = (64 << 20) + 64 * holds
        with ndpool.Pool.create("peers", dir=place, capacity=capacity, arrays=holds + 1024) as pool:
            end = time.perf_counter() + seconds
            while True:
                here, there = SPAWN.Pipe()
                process = SPAWN.Process(target=holder, args=(place, holds, there))
                process.start()
                here.recv()
                if pool.stats().arrays != holds:
                    raise RuntimeError(f"{pool.stats().arrays} arrays are there, not {holds}")
                begin = time.perf_counter()
                os.kill(process.pid or 0, signal.SIGKILL)
                while not pool.reap().processes:
                    pass
                took = time.perf_counter() - begin
                if pool.stats().arrays:
                    raise RuntimeError(f"{pool.stats().arrays} arrays are left of a dead process")
                process.join()
                yield {"value": took * 1e3}
                if time.perf_counter() > end:
                    return


def join(processes: list[Any]) -> None:
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"another process ended with exit code {process.exitcode}")


def producer(place: str, start: Any, seconds: float, size: int) -> None:
    with ndpool.Pool.open("peers", dir=place) as pool, pool.queue("jobs") as jobs:
        source = source_of(size)
        start.wait(READY)
        end = time.perf_counter() + 1.25 * seconds
        while time.perf_counter() < end:
            jobs.put(pool.array(source))


def consumer(place: str, start: Any, seconds: float, counts: Any) -> None:
    """Counts what it reads in the later part of the time."""
    with ndpool.Pool.open("peers", dir=place) as pool, pool.queue("jobs") as jobs:
        start.wait(READY)
        count, begin = 0, time.perf_counter() + 0.25 * seconds
        while (array := jobs.get()) is not None:
            sum_of(array)
            del array
            count += begin <= time.perf_counter() < begin + seconds
        counts.put(count)


def holder(place: str, holds: int, ready: Any) -> None:
    pool = ndpool.Pool.open("peers", dir=place)
    arrays = [pool.empty(64, U1) for _ in range(holds)]
    for array in arrays:
        array[:] = 1
    ready.send(len(arrays))
    time.sleep(600)


PEER = Pool
