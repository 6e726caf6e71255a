"""Threads: all of them may use a pool at once, wait in it without the interpreter's lock, and be interrupted."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Array = np.ndarray[Any, Any]
MB = 1 << 20
WAIT = 30


def together(n: int, work: Callable[[int], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Does the work in n threads, and something else meanwhile in this one. Raises the first error of any."""
    failed: list[BaseException] = []
    start = threading.Barrier(n + 1)

    def run(k: int) -> None:
        try:
            start.wait(WAIT)
            work(k)
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(n)]
    for t in threads:
        t.start()
    start.wait(WAIT)
    meanwhile()
    for t in threads:
        t.join(WAIT)
        assert not t.is_alive()
    if failed:
        raise failed[0]


def test_everything_at_once(pool: ndpool.Pool) -> None:
    """Eight threads allocate, drop, send, adopt, retain and seal for two seconds; every array keeps its content."""
    until = time.monotonic() + 2
    box: list[bytes] = []  # transfers that any thread may adopt
    done = [0] * 8

    def work(k: int) -> None:
        rng = random.Random(k)
        mine: list[Array] = []
        while time.monotonic() < until:
            done[k] += 1
            act = rng.randrange(8)
            if act < 3:
                n = rng.choice((1, 10, 100, 5000))
                mine.append(pool.full(n + 1, n, "i4"))
            elif act == 3 and mine:
                box.append(pool.send(rng.choice(mine)[1:]))
            elif act == 4 and box:
                try:
                    mine.append(pool.adopt(box.pop()))
                except IndexError:
                    pass  # another thread was faster
            elif act == 5 and mine:
                mine.append(pool.retain(pool.handle(rng.choice(mine))))
            elif act == 6 and mine and rng.random() < 0.1:
                a = pool.seal(pool.full(11, 10, "i4"))
                mine.append(a)
            if len(mine) > 20:
                for _ in range(rng.randrange(1, 20)):
                    a = mine.pop(rng.randrange(len(mine)))
                    assert a.size == 0 or (a == a.flat[0]).all()
                del a

    together(8, work, lambda: [pool.verify().clean or pytest.fail("faults") for _ in range(20)])
    for transfer in box:
        pool.recall(transfer)
    gc.collect()
    assert min(done) > 100
    assert (pool.stats().arrays, pool.stats().transfers) == (0, 0)
    assert pool.verify(content=True).clean


def test_looking_while_others_work(pool: ndpool.Pool) -> None:
    """All that tells about a pool may be asked for while others change it."""
    stop = threading.Event()

    def work(k: int) -> None:
        while not stop.is_set():
            a = pool.zeros(k * 500, [("x", "f4"), ("y", "i2")])
            pool.adopt(pool.send(a[1:])) if k else pool.adopt(pool.send(a))

    def look() -> None:
        try:
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                assert pool.stats().arrays <= 6
                assert all(info.shape in ((0,), (500,), (1000,)) for info in pool.arrays())
                assert all(info.sender == pool.process for info in pool.tickets())
                assert [p.pid for p in pool.processes()] == [os.getpid()]
                assert pool.verify().clean and pool.condition() == "live" and pool.trim() >= 0
                assert pool.reap().processes == 0
        finally:
            stop.set()

    together(3, work, look)


def test_close_while_others_work(name: str) -> None:
    """Threads that work while a pool is closed get ClosedError, and what they have stays valid."""
    for _ in range(10):
        p = ndpool.Pool.create(name, capacity=4 * MB, grace=1e-6)  # for what was sent and is not adopted
        kept: list[list[Array]] = [[] for _ in range(6)]

        def work(k: int, p: ndpool.Pool = p, kept: list[list[Array]] = kept) -> None:
            with pytest.raises(errors.ClosedError):
                while True:
                    a = p.full(100, k)
                    kept[k].append(p.adopt(p.send(a)) if k % 2 else a)
                    del kept[k][:-10], a

        together(6, work, lambda p=p: (time.sleep(0.01), p.close()))  # type: ignore[misc]
        assert all((a == k).all() for k, own in enumerate(kept) for a in own)
        kept.clear()
        gc.collect()
        assert not os.path.exists(f"/dev/shm/{name}")


def test_close_of_all_at_once(name: str) -> None:
    """Closing by several threads, while the last arrays go, ends the pool once."""
    for _ in range(30):
        p = ndpool.Pool.create(name, capacity=MB)
        arrays = [p.zeros(10) for _ in range(4)]
        together(4, lambda k, p=p, arrays=arrays: (arrays.__setitem__(k, None), p.close()))  # type: ignore[misc]
        assert p.closed and not os.path.exists(f"/dev/shm/{name}")


def test_open_and_close_at_once(name: str) -> None:
    """Threads that open, use and close the same pool are members of their own."""
    with ndpool.Pool.create(name, capacity=4 * MB) as p:
        a = p.arange(10)
        h = p.handle(a)

        def work(k: int) -> None:
            for _ in range(20):
                with ndpool.Pool.open(name) as mine:
                    assert mine.retain(h).sum() == 45
                    assert mine.full(50, k).sum() == 50 * k

        together(4, work)
        gc.collect()
        assert (p.stats().processes, p.stats().arrays) == (1, 1) and p.verify().clean
        del a


# ---- waiting for room


def fill(p: ndpool.Pool) -> Array:
    """Takes nearly all of a pool of 16 MiB."""
    return p.empty(15 * MB, "u1")


@pytest.fixture
def small(name: str) -> Any:
    """A pool of 16 MiB."""
    with ndpool.Pool.create(name, capacity=16 * MB) as p:
        yield p
        assert p.verify().clean


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4])
def test_timeout(small: ndpool.Pool, seconds: float) -> None:
    """Who waits for room gets FullError after about the time that was given."""
    held = fill(small)
    begin = time.monotonic()
    with pytest.raises(errors.FullError) as caught:
        small.empty(8 * MB, "u1", timeout=seconds)
    took = time.monotonic() - begin
    assert seconds - 0.01 <= took < seconds + 0.5
    e = caught.value
    assert e.asked is not None and e.asked >= 8 * MB and e.capacity == 16 * MB and e.pid == os.getpid()
    assert e.held is not None and e.held >= held.nbytes and e.free is not None and e.free <= MB


def test_no_hope(small: ndpool.Pool) -> None:
    """What can never have room is not waited for."""
    begin = time.monotonic()
    with pytest.raises(errors.FullError):
        small.empty(17 * MB, "u1", timeout=None)
    assert time.monotonic() - begin < 1


def test_room_by_another_thread(small: ndpool.Pool) -> None:
    """Who waits gets the room that another thread makes, soon after."""
    held = [fill(small)]
    freed: list[float] = []

    def free() -> None:
        time.sleep(0.2)
        freed.append(time.monotonic())
        held.clear()

    thread = threading.Thread(target=free)
    thread.start()
    a = small.zeros(8 * MB, "u1", timeout=None)
    assert 0 <= time.monotonic() - freed[0] < 1 and not a.any()
    thread.join(WAIT)


def test_room_by_another_process(small: ndpool.Pool) -> None:
    """Who waits gets the room that another process makes, also when that is killed."""
    for how in ("drop", "kill"):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            held = fill(small)
            os.write(w, b"x")
            time.sleep(0.2)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            del held
            time.sleep(WAIT)
            os._exit(0)
        assert os.read(r, 1) == b"x"
        begin = time.monotonic()
        a = small.zeros(8 * MB, "u1", timeout=WAIT)
        assert 0.1 < time.monotonic() - begin < 5, how
        del a
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(r)
        os.close(w)
        small.reap()


def test_waiting_lets_other_threads_run(small: ndpool.Pool) -> None:
    """A thread that waits for room does not keep the interpreter."""
    held = fill(small)
    counted = 0
    waiting = True

    def wait() -> None:
        nonlocal waiting
        with pytest.raises(errors.FullError):
            small.empty(8 * MB, "u1", timeout=0.5)
        waiting = False

    thread = threading.Thread(target=wait)
    longest, begin = 0.0, time.monotonic()
    last = begin
    thread.start()
    while waiting and time.monotonic() - begin < 10:
        counted += 1
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    thread.join(WAIT)
    assert counted > 1000 and longest < 0.3 and held.size


def test_many_wait_for_room(small: ndpool.Pool) -> None:
    """Threads that want more than there is all get their turn."""

    def work(k: int) -> None:
        for n in range(10):
            a = small.empty(6 * MB, "u1", timeout=WAIT)
            a[:: 1 << 16] = k
            time.sleep(0.001)
            assert (a[:: 1 << 16] == k).all(), n
            del a

    together(5, work)
    assert small.stats().arrays == 0


def test_interrupt_while_waiting(small: ndpool.Pool) -> None:
    """Ctrl-C ends a wait without end, within a second, by KeyboardInterrupt; the pool is as before."""
    held = fill(small)
    sent: list[float] = []

    def interrupt() -> None:
        time.sleep(0.3)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            small.empty(8 * MB, "u1", timeout=None)
        assert time.monotonic() - sent[0] < 1
    finally:
        thread.join(WAIT)
        signal.signal(signal.SIGINT, old)
    assert small.stats().arrays == 1 and held.size == 15 * MB


def test_interrupted_program(name: str) -> None:
    """A program that waits for room ends by Ctrl-C as any other, and leaves no pool."""
    program = f"""
import signal, ndpool
signal.signal(signal.SIGINT, signal.default_int_handler)
pool = ndpool.Pool({name!r}, capacity="4M")
a = pool.empty(3 << 20, "u1")
print("ready", flush=True)
pool.empty(3 << 20, "u1", timeout=None)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait(WAIT)
    assert process.returncode == -signal.SIGINT and err.endswith("KeyboardInterrupt\n")
    assert not os.path.exists(f"/dev/shm/{name}")


def test_signal_handlers_run_while_waiting(small: ndpool.Pool) -> None:
    """A handler that does not raise is run, and the wait goes on for its time."""
    held = fill(small)
    rang: list[float] = []
    old = signal.signal(signal.SIGALRM, lambda *_: rang.append(time.monotonic()))
    begin = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(errors.FullError):
            small.empty(8 * MB, "u1", timeout=0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - begin >= 0.49 and 0.1 <= rang[0] - begin < 0.4 and held.size
