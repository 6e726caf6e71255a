"""Streams when processes are killed: readers are told, writers go on, and nothing stays behind."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from test_queue_mp import start

import ndpool
from ndpool import errors

WAIT = 20  #: seconds, for anything that could hang

WRITE = """
    import sys, time, numpy as np, ndpool
    pool = ndpool.Pool.open(sys.argv[1])
    w = pool.writer("s", frames=8)
    n = int(sys.argv[2])
    for k in range(n or 10**9):
        out = w.empty(500, "i8")
        out[:] = k
        w.publish(out, attributes={"k": k})
        if k == 0 or k + 1 == n:
            print("published", flush=True)
    time.sleep(60)
"""

READ = """
    import sys, time, ndpool
    pool = ndpool.Pool.open(sys.argv[1])
    r = pool.reader("s", every=True)
    print(r.next().sequence, flush=True)
    if sys.argv[2] == "stay":
        time.sleep(60)
    for frame in r:
        pass
"""


def kill(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.communicate()


@pytest.fixture
def tidy(pool: ndpool.Pool) -> Iterator[None]:
    """Nothing is left in the pool when the stream's name is gone."""
    yield
    pool.reap()
    if "s" in pool:
        pool.remove("s")
    assert pool.stats().arrays == 0


def test_the_writer_dies(pool: ndpool.Pool, name: str, tidy: None) -> None:
    """Who waits is told within a second, once; the next writer goes on with the sequence."""
    with pool.reader("s") as r:
        child = start(WRITE, name, "3")
        assert child.stdout is not None and child.stdout.readline()
        assert [r.next(WAIT).sequence for _ in range(3)] == [1, 2, 3]
        timer = threading.Timer(0.1, child.kill)
        timer.start()
        begin = time.monotonic()
        with pytest.raises(errors.WriterDied) as died:
            r.latest(timeout=WAIT)
        assert time.monotonic() - begin < 3 and isinstance(died.value, errors.StreamEnded)
        kill(child)
        with pytest.raises(TimeoutError):
            r.latest(timeout=0.1)
        newest = r.newest()
        assert newest is not None and newest.sequence == 3 and newest.attributes == {"k": 2}, "the frames stay"
        with pool.writer("s") as w:
            assert w.publish(1) == 4
            frame = r.next(0)
            assert frame.sequence == 4 and frame.skipped == 0
        with pytest.raises(errors.StreamEnded):
            r.next(0)
    del frame, newest


def test_iteration_raises(pool: ndpool.Pool, name: str, tidy: None) -> None:
    with pool.reader("s") as r:
        child = start(WRITE, name, "1")
        kill(child)
        got = []
        with pytest.raises(errors.WriterDied):
            for frame in r:
                got.append(frame.sequence)
        assert got == [1]
        del frame


def test_killed_anywhere(pool: ndpool.Pool, name: str, tidy: None) -> None:
    """Every frame that a reader gets is whole, wherever the writer was killed."""
    last = 0
    with pool.reader("s") as r, pool.reader("s") as each:
        for wait in (0.0, 0.01, 0.03, 0.05, 0.08):
            child = start(WRITE, name, "0")
            end = time.monotonic() + wait
            while True:
                try:
                    frame = r.latest(WAIT) if time.monotonic() < end else r.next(0.05)
                except (errors.WriterDied, TimeoutError):
                    break
                assert frame.sequence > last
                last = frame.sequence
                assert (frame.array == frame.attributes["k"]).all() and frame.array.shape == (500,)
                if time.monotonic() >= end:
                    child.kill()
            kill(child)
            pool.reap()
            while True:
                try:
                    frame = each.next(0)
                except (errors.StreamEnded, TimeoutError):
                    break
                assert (frame.array == frame.attributes["k"]).all()
            report = pool.verify(content=True)
            assert report.clean, [str(f) for f in report.faults]
    del frame


def test_a_dead_reader_does_not_block(pool: ndpool.Pool, name: str, tidy: None) -> None:
    """The writer of a lossless stream goes on when a reader that it waits for is killed, within a second or so."""
    with pool.writer("s", frames=2, lossless=True) as w:
        w.publish(0)
        child = start(READ, name, "stay")
        w.publish(1, timeout=WAIT)
        w.publish(2, timeout=WAIT)
        with pytest.raises(TimeoutError):
            w.publish(3, timeout=0.05)
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            w.publish(3, timeout=0.1)  # who is stopped lives
        timer = threading.Timer(0.1, child.kill)
        timer.start()
        begin = time.monotonic()
        w.publish(3, timeout=WAIT)
        assert time.monotonic() - begin < 3
        kill(child)


def test_readers_killed_while_reading(pool: ndpool.Pool, name: str, tidy: None) -> None:
    """A writer of a lossless stream publishes on while its readers come and are killed."""
    with pool.writer("s", frames=4, lossless=True) as w:
        w.publish(np.zeros(500))
        for _ in range(4):
            child = start(READ, name, "go on")
            for k in range(150):
                w.publish(np.full(500, k), timeout=WAIT)
                if k == 50:
                    child.kill()
            kill(child)
    pool.reap()


def test_frames_of_a_dead_writer(pool: ndpool.Pool, name: str, tidy: None) -> None:
    """A reader keeps what it took, also when the writer is dead and the stream gone."""
    with pool.reader("s") as r:
        child = start(WRITE, name, "1")
        frame = r.latest(WAIT)
        kill(child)
        pool.reap()
        pool.remove("s")
    assert (frame.array == 0).all() and pool.stats().arrays == 1
    del frame
    assert pool.stats().arrays == 0
