"""Locks of names: one writer or many readers, between processes and threads, and what becomes of them when somebody dies."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors


def test_a_lock(pool: ndpool.Pool) -> None:
    pool["a/x"] = np.zeros(3)
    lock = pool.lock("a/x")
    assert isinstance(lock, ndpool.NameLock) and lock.name == "a/x" and "a/x" in repr(lock)
    assert lock.acquire() and not lock.torn
    lock.release()
    assert lock.acquire(timeout=0) and lock.acquire(0) is False
    lock.release()
    with pool.lock("a/x") as held:
        assert not held.torn
        pool["a/x"][:] += 1
        pool["a/x"] = pool["a/x"]  # names do not wait for it
    with pool.lock("a") as group, pool.lock("a/x"):
        assert group.name == "a"
    assert pool["a/x"].tolist() == [1, 1, 1]


def test_errors(pool: ndpool.Pool) -> None:
    with pytest.raises(errors.NoNameError):
        pool.lock("a")
    pool["a"] = 1
    lock = pool.lock("a")
    for side in (lock, lock.shared):
        with pytest.raises(errors.NotLockedError):
            side.release()
        with pytest.raises(ValueError):
            side.acquire(-1)
        with pytest.raises(TypeError):
            side.acquire("soon")  # type: ignore[arg-type]
    with lock, pytest.raises(errors.NotLockedError):
        lock.shared.release()
    with lock.shared, pytest.raises(errors.NotLockedError):
        lock.release()
    with pytest.raises(RuntimeError):
        lock.release()
    pool.close()
    with pytest.raises(errors.ClosedError):
        lock.acquire()


def test_a_thread_does_not_wait_for_itself(pool: ndpool.Pool) -> None:
    pool["a"] = pool["b"] = 1
    for first, second in (
        (pool.lock("a"), pool.lock("a")),
        (pool.lock("a"), pool.lock("a").shared),
        (pool.lock("a").shared, pool.lock("a")),
        (pool.lock("a").shared, pool.lock("a").shared),
    ):
        with first:
            with pytest.raises(RuntimeError, match="'a'"):
                second.acquire()
            with pytest.raises(RuntimeError, match="'a'"), second:
                pass
            with pool.lock("b"):
                pass
        with second:
            pass
    with pool.lock("a"):
        began = time.monotonic()
        assert pool.lock("a").acquire(0.05) is False and pool.lock("a").shared.acquire(0.05) is False
        assert time.monotonic() - began >= 0.1
    assert pool.lock("a").acquire(0)
    pool.lock("a").release()


def test_threads_exclude_each_other(pool: ndpool.Pool) -> None:
    pool["n"] = pool.zeros(2, "i8")
    a = pool["n"]

    def add() -> None:
        for _ in range(300):
            with pool.lock("n"):
                n = int(a[0])
                time.sleep(0)
                a[0] = n + 1

    threads = [threading.Thread(target=add) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert a[0] == 1200


def test_readers_share(pool: ndpool.Pool) -> None:
    pool["a"] = 1
    inside, leave = threading.Barrier(3), threading.Event()

    def read() -> None:
        with pool.lock("a").shared:
            inside.wait(30)
            leave.wait(30)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for t in readers:
        t.start()
    inside.wait(30)
    assert pool.lock("a").acquire(0.02) is False
    leave.set()
    for t in readers:
        t.join()
    assert pool.lock("a").acquire(0)
    assert threading_acquire(pool.lock("a").shared, 0.02) is False
    pool.lock("a").release()


def threading_acquire(lock: ndpool.NameLock, timeout: float | None) -> bool:
    """Tries in another thread, and lets go again."""
    got: list[bool] = []

    def attempt() -> None:
        got.append(lock.acquire(timeout))
        if got[0]:
            lock.release()

    t = threading.Thread(target=attempt)
    t.start()
    t.join()
    return got[0]


def test_another_thread_may_let_go(pool: ndpool.Pool) -> None:
    pool["a"] = 1
    for lock in (pool.lock("a"), pool.lock("a").shared):
        lock.acquire()
        t = threading.Thread(target=lock.release)
        t.start()
        t.join()
        assert lock.acquire()
        lock.release()


def test_the_name_goes(pool: ndpool.Pool) -> None:
    pool["a"] = 1
    lock, failed = pool.lock("a"), []

    def wait() -> None:
        try:
            pool_lock.acquire()
        except errors.NoNameError as e:
            failed.append(e)

    with lock:
        pool_lock = pool.lock("a")
        t = threading.Thread(target=wait)
        t.start()
        time.sleep(0.05)
        del pool["a"]
        t.join(30)
        assert len(failed) == 1
        pool["a"] = 2
    with pool.lock("a"):
        pass
    with pytest.raises(errors.NoNameError):
        lock.acquire()


def test_a_lock_outlives_its_replaced_array(pool: ndpool.Pool) -> None:
    pool["a"] = 1
    with pool.lock("a"):
        pool["a"] = 2
        assert threading_acquire(pool.lock("a"), 0) is False
    assert threading_acquire(pool.lock("a"), 0)


def test_it_can_be_forgotten(pool: ndpool.Pool) -> None:
    """A lock that nobody refers to stays locked, and any object of it can let go."""
    pool["a"] = 1
    pool.lock("a").acquire()
    assert threading_acquire(pool.lock("a"), 0) is False
    pool.lock("a").release()
    assert threading_acquire(pool.lock("a"), 0)


def test_interrupt(run: Callable[..., str]) -> None:
    """Ctrl-C ends a wait, and leaves the lock as it was."""
    out = run(
        """
        import os, signal, threading, time, ndpool
        with ndpool.Pool.anonymous(capacity="4M") as pool:
            pool["a"] = 1
            held, leave = threading.Event(), threading.Event()
            def hold():
                with pool.lock("a"):
                    held.set()
                    leave.wait(30)
            t = threading.Thread(target=hold)
            t.start()
            held.wait()
            for side in (pool.lock("a"), pool.lock("a").shared):
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
                try:
                    side.acquire()
                except KeyboardInterrupt:
                    print("interrupted")
            leave.set()
            t.join()
            assert pool.lock("a").acquire(5)
            pool.lock("a").release()
        """
    )
    assert out.split() == ["interrupted"] * 2


def test_interrupts_at_any_moment(run: Callable[..., str]) -> None:
    """Wherever a signal comes, the with statement leaves no lock behind."""
    out = run(
        """
        import os, random, signal, threading, ndpool
        with ndpool.Pool.anonymous(capacity="4M") as pool:
            pool["a"] = 1
            lock = pool.lock("a")
            interrupted = 0
            for k in range(200):
                t = threading.Timer(random.random() * 0.002, os.kill, (os.getpid(), signal.SIGINT))
                try:
                    t.start()
                    while True:
                        with lock:
                            pass
                        with lock.shared:
                            pass
                except KeyboardInterrupt:
                    interrupted += 1
                t.join()
                assert lock.acquire(0), k
                lock.release()
        print(interrupted)
        """
    )
    assert out == "200"


# ---- processes


def add(name: str, times: int) -> None:
    with ndpool.Pool.open(name) as pool:
        a = pool["n"]
        for _ in range(times):
            with pool.lock("n"):
                n = a.copy()
                time.sleep(0)
                a[:] = n + 1


def check(name: str, times: int, queue: Any) -> None:
    with ndpool.Pool.open(name) as pool:
        a, wrong = pool["n"], 0
        for _ in range(times):
            with pool.lock("n").shared:
                wrong += a.min() != a.max()
        queue.put(wrong)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_exclude_each_other(pool: ndpool.Pool, name: str, method: str) -> None:
    context = multiprocessing.get_context(method)
    pool["n"] = pool.zeros(100, "i8")
    queue = context.Queue()
    children = [context.Process(target=add, args=(name, 200)) for _ in range(2)]
    children.append(context.Process(target=check, args=(name, 200, queue)))
    for child in children:
        child.start()
    assert queue.get(timeout=60) == 0
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert pool["n"].tolist() == [400] * 100


@contextmanager
def holder(name: str, shared: bool) -> Iterator[Any]:
    """A process that holds the lock of a until it is killed."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=hold, args=(name, shared, ready))
    child.start()
    try:
        assert ready.wait(60)
        yield child
    finally:
        child.kill()
        child.join()


def hold(name: str, shared: bool, ready: Any) -> None:
    pool = ndpool.Pool.open(name)
    lock = pool.lock("a").shared if shared else pool.lock("a")
    lock.acquire()
    ready.set()
    time.sleep(60)


def test_a_writer_that_dies(pool: ndpool.Pool, name: str) -> None:
    pool["a"] = 1
    with holder(name, shared=False) as child:
        lock = pool.lock("a")
        assert lock.acquire(0.05) is False and lock.shared.acquire(0.05) is False
        child.kill()
        child.join()
        with lock.shared as reader:
            assert reader.torn, "readers are told"
        with lock.shared as reader:
            assert reader.torn, "until a writer was"
        with lock:
            assert lock.torn
        with lock:
            assert not lock.torn
        with lock.shared as reader:
            assert not reader.torn


def test_a_waiter_gets_a_dead_writers_lock(pool: ndpool.Pool, name: str) -> None:
    pool["a"] = 1
    with holder(name, shared=False) as child:
        told: list[bool] = []

        def wait() -> None:
            with pool.lock("a") as lock:
                told.append(lock.torn)

        t = threading.Thread(target=wait)
        t.start()
        time.sleep(0.1)
        assert not told
        child.kill()
        t.join(30)
        assert told == [True]


def test_a_reader_that_dies(pool: ndpool.Pool, name: str) -> None:
    pool["a"] = 1
    with holder(name, shared=True) as child:
        assert pool.lock("a").shared.acquire(5)
        pool.lock("a").shared.release()
        assert pool.lock("a").acquire(0.05) is False
        child.kill()
        child.join()
        with pool.lock("a") as lock:
            assert not lock.torn, "a reader changes nothing"


def test_a_forked_child_does_not_hold_its_parents_locks(pool: ndpool.Pool) -> None:
    pool["a"] = pool["b"] = 1
    with pool.lock("a") as lock, pool.lock("b").shared:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for mine in (lock, pool.lock("b").shared):
                    try:
                        mine.release()
                        os._exit(2)
                    except errors.NotLockedError:
                        pass
                if lock.acquire(0.05) is False and pool.lock("b").acquire(0.05) is False:
                    with pool.lock("b").shared:
                        code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert threading_acquire(lock, 0) is False
    assert threading_acquire(lock, 0) and threading_acquire(pool.lock("b"), 0)


def test_a_forked_child_that_leaves_a_with_block_is_told(pool: ndpool.Pool) -> None:
    """It lets nothing go, and its parent keeps the lock."""
    pool["a"] = 1
    with pool.lock("a"):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with pytest.raises(errors.NotLockedError):
                    pool.lock("a").__exit__(None, None, None)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert threading_acquire(pool.lock("a"), 0) is False


def test_a_process_that_ends_lets_go(pool: ndpool.Pool, run: Callable[..., str], name: str) -> None:
    """A writer that leaves with the lock is as good as dead."""
    pool["a"] = 1
    program = """
        import sys, ndpool
        pool = ndpool.Pool.open(sys.argv[1])
        pool.lock("a").acquire()
        pool.close()
        """
    run(program, name)
    with pool.lock("a") as lock:
        assert lock.torn
