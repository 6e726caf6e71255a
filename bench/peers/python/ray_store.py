"""Ray: put() copies into its object store, tasks of actors get a view of that, references are counted.

A local Ray with one node, no dashboard, actors that take no CPU of its count. Starting it takes seconds, so all measurements of
one process share one; `open` tells what it takes. Actors are Ray's own processes, so workloads with others are methods here.
"""

import atexit
import contextlib
import glob
import logging
import multiprocessing as mp
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}.items():
    os.environ[name] = value  # it calls home otherwise; read at import
os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # actors import this file, too

import numpy as np  # noqa: E402
import ray  # noqa: E402
from crew import UNREAD, source_of, sum_of  # noqa: E402
from peer import Cannot, Peer, Sample  # noqa: E402
from taken import private  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
FOLDER = "/tmp/ndpool-peers-ray-"
STORE = 6 * GIB  # a GiB is handed over while the one before is still being freed
SETUP = 25  # seconds that arrays may take until they are there
STUCK = 60  # seconds until an actor that does not answer is given up
clock = time.perf_counter


class Session:
    """The one Ray of this process, and its actors."""

    running: "Session | None" = None

    def __init__(self) -> None:
        sweep()
        self.folder = f"{FOLDER}{os.getpid()}"  # with sockets in it, whose paths must be short: not in the measurement's place
        atexit.register(self.end)
        shm = os.statvfs("/dev/shm")
        begin = clock()
        context = ray.init(
            num_cpus=2,
            object_store_memory=min(STORE, shm.f_bavail * shm.f_frsize // 2),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=self.folder,
        )
        self.took = clock() - begin
        self.address: str = context.address_info["gcs_address"]
        self.readers: list[Any] = []
        self.producers: list[Any] = []

    @classmethod
    def get(cls) -> "Session":
        if cls.running is None:
            cls.running = cls()
        return cls.running

    def need(self, readers: int, producers: int = 0) -> tuple[list[Any], list[Any]]:
        """So many actors, that have answered once."""
        while len(self.readers) < readers:
            self.readers.append(Reader.remote())
        while len(self.producers) < producers:
            self.producers.append(Producer.remote())
        for actors, n in ((self.readers, readers), (self.producers, producers)):
            ray.get([actor.ready.remote() for actor in actors[:n]], timeout=STUCK)
        return self.readers[:readers], self.producers[:producers]

    def end(self) -> None:
        atexit.unregister(self.end)
        Session.running = None
        ray.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


def sweep() -> None:
    """Removes what processes have left that were killed: Ray's own processes end by themselves then."""
    for folder in glob.glob(f"{FOLDER}*"):
        if not os.path.exists(f"/proc/{folder[len(FOLDER) :]}"):
            shutil.rmtree(folder, ignore_errors=True)


@ray.remote(num_cpus=0)
class Reader:
    def ready(self) -> None:
        """It is there."""

    def read(self, array: np.ndarray) -> int:
        return sum_of(array) & 255

    def first(self, array: np.ndarray) -> int:
        return int(array[:8].view(np.uint64)[0]) & 255


@ray.remote(num_cpus=0)
class Producer:
    def ready(self) -> None:
        """It is there."""

    def produce(self, readers: list[Any], size: int, seconds: float) -> float:
        """Messages a second that were read, in the later part of the time."""
        source, unread, count, done = source_of(size), [], 0, 0
        warm = clock() + seconds / 4
        end = warm + seconds
        while (now := clock()) < end:
            if now < warm:
                done = 0
            if len(unread) < UNREAD:
                unread.append(readers[count % len(readers)].read.remote(ray.put(source)))
                count += 1
            else:
                ready, unread = ray.wait(unread, num_returns=1)
                done += len(ready)
        ray.wait(unread, num_returns=len(unread), timeout=STUCK)
        return done / seconds


COPIES = "its objects are copies of what is there already: nothing is allocated alone"


class Ray(Peer):
    name = "Ray"
    pooled = True
    lacks = {  # noqa: RUF012
        **dict.fromkeys(("pair", "churn", "touch"), COPIES),
        "recovery": "a dead process's objects go at a time that cannot be seen from outside",
    }

    @staticmethod
    def version() -> str:
        return ray.__version__

    def __init__(self, place: str = "", capacity: int = 0, arrays: int = 0) -> None:
        Session.get()

    def pass_on(self) -> Any:
        raise Cannot("its own processes only")

    @classmethod
    def attach(cls, passed: Any) -> "Ray":
        raise Cannot("its own processes only")

    def alloc(self, size: int) -> Any:
        return ray.put(np.zeros(size, np.uint8))

    def put(self, source: np.ndarray) -> Any:
        return ray.put(source)

    def array(self, item: Any) -> np.ndarray:
        return ray.get(item)

    def free(self, item: Any) -> None:
        """It goes with its last reference."""

    def give(self, item: Any) -> Any:
        return item

    def take(self, token: Any) -> Any:
        return token

    def drop(self, item: Any) -> None:
        """It goes with its last reference."""

    def close(self) -> None:
        """The Ray of this process stays for the next measurement."""

    @classmethod
    def handover(cls, place: str, seconds: float, size: int) -> Iterator[Sample]:
        yield rounds(seconds, size, 1)

    @classmethod
    def fanout(cls, place: str, seconds: float, readers: int, size: int) -> Iterator[Sample]:
        yield rounds(seconds, size, readers)

    @classmethod
    def pass_(cls, place: str, seconds: float, size: int) -> Iterator[Sample]:
        (reader,), _ = Session.get().need(1)
        item = ray.put(np.full(size, 7, np.uint8))

        def step() -> None:
            check([reader.first.remote(item)], 7)

        yield timed(step, seconds)

    @classmethod
    def crowd(cls, place: str, seconds: float, producers: int, consumers: int, size: int) -> Iterator[Sample]:
        readers, makers = Session.get().need(consumers, producers)
        rates = ray.get([maker.produce.remote(readers, size, seconds) for maker in makers], timeout=STUCK)
        yield {"value": sum(rates)}

    @classmethod
    def open(cls, place: str, seconds: float, what: str) -> Iterator[Sample]:
        """Create: all of Ray. Attach: another process that joins it."""
        if what == "create":
            if Session.running is not None:
                Session.running.end()
            yield {"value": Session.get().took * 1e6, "n": 1}
        else:
            found = list(join_times(Session.get().address, 3))
            yield {"value": statistics.median(found) * 1e6, "n": len(found)}

    @classmethod
    def many(cls, place: str, seconds: float, count: int, size: int) -> Iterator[Sample]:
        yield alive(count, size, count, as_far_as_it_goes=True)

    @classmethod
    def memory(cls, place: str, seconds: float, count: int, size: int) -> Iterator[Sample]:
        yield alive(count, size, count * size, as_far_as_it_goes=False)


def rounds(seconds: float, size: int, readers: int) -> Sample:
    source = source_of(size)
    words = source.view(np.uint64)
    base, number = int(words[1:].sum()), 0
    actors, _ = Session.get().need(readers)

    def step() -> None:
        nonlocal number
        number += 1
        words[0] = number
        item = ray.put(source)
        check([actor.read.remote(item) for actor in actors], (base + number) & 255)

    return timed(step, seconds)


def check(answers: list[Any], want: int) -> None:
    for got in ray.get(answers, timeout=STUCK):
        if got != want:
            raise RuntimeError(f"a reader read {got}, and {want} was sent")


def timed(step: Callable[[], None], seconds: float) -> Sample:
    """The median time of a step in microseconds, after a warm-up of a quarter of the time."""
    end = clock() + seconds / 4
    step()
    while clock() < end:
        step()
    found, end = [], clock() + seconds
    while not found or clock() < end:
        begin = clock()
        step()
        found.append(clock() - begin)
    found.sort()
    return {"value": statistics.median(found) * 1e6, "n": len(found), "p99": found[int(0.99 * (len(found) - 1))] * 1e6}


# ---- joining


def join_times(address: str, n: int) -> Iterator[float]:
    context = mp.get_context("spawn")
    for _ in range(n):
        here, there = context.Pipe()
        process = context.Process(target=join, args=(address, there), daemon=True)
        process.start()
        there.close()
        try:
            if not here.poll(STUCK):
                raise RuntimeError(f"a process has not joined within {STUCK} s")
            yield here.recv()
            process.join(10)
        finally:
            process.kill()
            process.join()


def join(address: str, told: Any) -> None:
    begin = clock()
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    told.send(clock() - begin)
    ray.shutdown()


# ---- memory


def alive(count: int, size: int, share: int, as_far_as_it_goes: bool) -> Sample:
    """Memory taken by so many objects: by the store's file, by this process, and by the one that keeps the store."""
    keeper = raylet()
    ray.get(ray.put(np.zeros(size, np.uint8)))
    before = store(keeper), private() + private_of(keeper)
    begin = clock()
    items: list[Any] = []
    while len(items) < count and clock() < begin + SETUP:
        items.append(ray.put(np.ones(size, np.uint8)))
    if len(items) < count and not as_far_as_it_goes:
        raise Cannot(f"too slow: {len(items):,} alive after {SETUP} s")
    shared, own = store(keeper) - before[0], private() + private_of(keeper) - before[1]
    share = share * len(items) // count
    sample = {"value": (shared + own) / share, "shared_bytes": shared, "private_bytes": own, "reached": len(items)}
    sample["seconds"] = round(clock() - begin, 3)
    if len(items) < count:
        sample["why"] = f"too slow: {SETUP} s"
    return sample


def raylet() -> int:
    """The process that keeps the store: the child of this one that has it open."""
    Session.get()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as f:
            if int(f.read().rpartition(")")[2].split()[1]) == os.getpid() and store(int(pid)):
                return int(pid)
    raise RuntimeError("the store's process was not found")


def store(pid: int) -> int:
    """Bytes of memory behind the store's file, which has no name any more."""
    total = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/dev/shm/plasma"):
                total += os.stat(f"/proc/{pid}/fd/{fd}").st_blocks * 512
    return total


def private_of(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) << 10 for line in f if line.startswith("Anonymous:"))


PEER = Ray
