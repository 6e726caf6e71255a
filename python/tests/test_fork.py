"""Forked children hold their parent's arrays on their own account, in whatever order the two let go or die."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import ndpool
from ndpool import errors

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Array = np.ndarray[Any, Any]
MB = 1 << 20
Run = Callable[..., str]


def end(work: Callable[[], object]) -> NoReturn:
    """Ends this process with what the work says: 0 unless it fails."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def fork(work: Callable[[], object]) -> int:
    """Does the work in a forked child, and returns its pid."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(40)
        end(work)
    return pid


def code_of(pid: int) -> int:
    """Waits for a child, and returns its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work: Callable[[], object]) -> int:
    return code_of(fork(work))


class Signal:
    """One process tells, others wait: by a pipe, whose end they notice too."""

    def __init__(self) -> None:
        self.r, self.w = os.pipe()

    def tell(self, word: bytes = b"x") -> None:
        os.write(self.w, word)

    def wait(self) -> bytes:
        return os.read(self.r, 4096)

    def close(self) -> None:
        os.close(self.r)
        os.close(self.w)


@pytest.fixture
def go() -> Iterator[Signal]:
    """A signal between processes."""
    s = Signal()
    yield s
    s.close()


@pytest.fixture
def went() -> Iterator[Signal]:
    """Another one."""
    s = Signal()
    yield s
    s.close()


def settled(p: ndpool.Pool) -> int:
    """Returns the number of arrays when the dead are swept, and checks that nobody else is in the table."""
    gc.collect()
    p.reap()
    assert p.stats().processes == 1
    return p.stats().arrays


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{name}")


def test_child_is_a_process_of_its_own(pool: ndpool.Pool) -> None:
    """A child has its parent's arrays and pool, is a member under its own pid, and both see what either writes."""
    a = pool.zeros(1000, "i4")
    parent, parent_pid = pool.process, os.getpid()

    def child() -> None:
        assert pool.process != parent and pool.alive(parent) and not pool.forked
        me = next(p for p in pool.processes() if p.self)
        assert (me.pid, me.id, me.arrays) == (os.getpid(), pool.process, 1)
        assert {p.pid for p in pool.processes()} == {os.getpid(), parent_pid}
        a[7] = 42
        b = pool.full(10, 3)
        assert b.sum() == 30 and pool.stats().arrays == 2

    assert in_child(child) == 0
    assert a[7] == 42 and pool.process == parent
    assert settled(pool) == 1


def test_child_drops_first(pool: ndpool.Pool, go: Signal, went: Signal) -> None:
    """A child's dropping takes nothing from its parent."""
    a = pool.full(100, 5.0)

    def child() -> None:
        nonlocal a
        del a
        gc.collect()
        assert pool.stats().arrays == 1
        went.tell()
        go.wait()

    pid = fork(child)
    went.wait()
    assert (a == 5).all() and len(pool.arrays()[0].holders) == 1
    a += 1
    go.tell()
    assert code_of(pid) == 0 and a.sum() == 600
    del a
    assert settled(pool) == 0


def test_parent_drops_first(pool: ndpool.Pool, go: Signal, went: Signal) -> None:
    """A parent's dropping takes nothing from its child, though the array was never shared before."""
    a = pool.full(100, 5.0)
    private = ndpool.is_private(a)

    def child() -> None:
        nonlocal a
        go.wait()
        assert (a == 5).all()
        others = [pool.full(100, 6.0) for _ in range(20)]
        assert (a == 5).all()
        del a, others
        assert pool.stats().arrays == 0
        went.tell()

    pid = fork(child)
    del a
    made = [pool.full(100, 7.0) for _ in range(20)]  # do not lie in what the child has
    assert private and pool.stats().arrays == 21
    made.clear()
    assert pool.stats().arrays == 1
    go.tell()
    assert code_of(pid) == 0 and went.wait() == b"x"
    assert settled(pool) == 0


def test_views_and_several_references(pool: ndpool.Pool) -> None:
    """A child has as many references as its parent had, and the array goes there with the last of them."""
    a = pool.arange(100)
    kept = [a, a[1:], a[::-1], memoryview(a), pool.adopt(pool.send(a))]
    del a

    def child() -> None:
        while kept:
            assert len(pool.arrays()[0].holders) == 2
            kept.pop()
        assert len(pool.arrays()[0].holders) == 1

    assert in_child(child) == 0
    assert np.asarray(kept[1])[0] == 1 and settled(pool) == 1


ENDS: dict[str, tuple[Callable[[], object], int]] = {
    "exit": (lambda: os._exit(3), 3),
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
    "terminated": (
        lambda: (signal.signal(signal.SIGTERM, signal.SIG_DFL), os.kill(os.getpid(), signal.SIGTERM)),
        -signal.SIGTERM,
    ),
    "exec": (lambda: os.execv("/bin/true", ["true"]), 0),
    "closed": (lambda: None, 0),
}


@pytest.mark.parametrize("way", ENDS)
def test_ends_of_a_child(pool: ndpool.Pool, way: str) -> None:
    """However a child ends, its arrays go, and those of its parent stay."""
    a = pool.full(100, 5.0)

    def child() -> None:
        mine = [pool.zeros(1000) for _ in range(10)]
        a[0] = len(mine)
        if way == "closed":
            pool.close()
        ENDS[way][0]()

    assert in_child(child) == ENDS[way][1]
    assert a[0] == 10 and (a[1:] == 5).all()
    assert settled(pool) == 1


def test_child_ends_as_scripts_do(name: str, run: Run) -> None:
    """Children that end by sys.exit, by an exception and at the end of the script leave by themselves: nobody is swept."""
    out = run(
        """
        import os, sys, ndpool
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.full(100, 5.0)
        codes = []
        for way in ("exit", "end", "raise"):
            pid = os.fork()
            if pid == 0:
                b = pool.zeros(100)
                if way == "exit":
                    sys.exit(7)
                if way == "raise":
                    sys.stderr = open(os.devnull, "w")
                    raise ValueError
                break
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        else:
            print(codes, a.sum(), pool.stats().processes, pool.stats().arrays, pool.stats().sweeps)
            assert pool.verify().clean
        """,
        name,
    )
    assert out == "[7, 0, 1] 500.0 1 1 0"
    assert not exists(name)


def make_and_fork(name: str, go: Signal, went: Signal, how: str) -> None:
    """A process that makes a pool and an array, has a child, and is gone before it."""
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.arange(1000)
    parent = p.process

    def child() -> None:
        nonlocal a
        assert go.wait() == b"x"
        while p.alive(parent):
            time.sleep(0.001)
        assert a.sum() == 499_500
        p.reap()
        assert p.stats().processes == 1 and p.stats().arrays == 1
        b = p.ones(500)
        assert a.sum() == 499_500 and b.sum() == 500
        assert p.verify().clean
        del a, b
        assert p.stats().arrays == 0
        p.close()
        went.tell(b"good")

    fork(child)
    if how == "left":
        del a
        p.close()
    elif how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", ["left", "exited", "killed"])
def test_parent_ends_first(name: str, go: Signal, went: Signal, how: str) -> None:
    """A child goes on with its parent's arrays when that has left, exited or was killed, and ends the pool as the last."""
    assert in_child(lambda: make_and_fork(name, go, went, how)) == (-signal.SIGKILL if how == "killed" else 0)
    assert exists(name)
    go.tell()
    assert went.wait() == b"good"
    assert not exists(name)


def test_child_of_a_closed_pool(name: str, go: Signal) -> None:
    """A child has the arrays of a pool that its parent has closed, and the pool ends with the last of either."""
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.arange(10)
    p.close()

    def child() -> None:
        nonlocal a
        go.wait()
        assert a.sum() == 45 and exists(name)
        with pytest.raises(errors.ClosedError):
            p.zeros(3)
        del a
        assert not exists(name)

    pid = fork(child)
    del a
    assert exists(name)
    go.tell()
    assert code_of(pid) == 0
    assert not exists(name)


def test_child_closes_its_parents_pool(pool: ndpool.Pool) -> None:
    """A child's close is its own."""
    a = pool.ones(10)

    def child() -> None:
        pool.close()
        assert pool.closed and a.sum() == 10

    assert in_child(child) == 0
    assert not pool.closed and pool.zeros(3).sum() == 0
    assert settled(pool) == 1


def test_grandchildren(pool: ndpool.Pool) -> None:
    """Generations of children, each of which ends before the next: the last still has the first one's array."""
    a = pool.arange(100)
    r, w = os.pipe()

    def generation(k: int) -> None:
        assert a.sum() == 4950 + k
        a[0] += 1
        if k < 5:
            fork(lambda: (time.sleep(0.02), generation(k + 1)))
        else:
            os.write(w, b"last")

    assert in_child(lambda: generation(0)) == 0
    assert os.read(r, 10) == b"last"
    os.close(r)
    os.close(w)
    assert a[0] == 6
    until = time.monotonic() + 10
    while pool.stats().processes > 1 and time.monotonic() < until:
        pool.reap()
    assert settled(pool) == 1


def test_fork_while_threads_work(pool: ndpool.Pool) -> None:
    """Children of one thread, while others allocate, send and drop, are whole and leave nothing."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        kept: list[Array] = []
        try:
            while not stop.is_set():
                a = pool.full(int(rng.integers(0, 3000)), seed, "i4")
                kept.append(pool.adopt(pool.send(a)) if rng.random() < 0.3 else a)
                if len(kept) > 8:
                    assert (kept.pop(int(rng.integers(8))) == seed).all()
        except BaseException as e:
            failed.append(e)

    a = pool.full(1000, 7, "i4")

    def child() -> None:
        assert (a == 7).all()
        mine = [pool.full(100, k, "i4") for k in range(50)]
        again = pool.adopt(pool.send(mine[9]))
        assert (a == 7).all() and all((m == k).all() for k, m in enumerate(mine)) and (again == 9).all()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    try:
        codes = [in_child(child) for _ in range(25)]
    finally:
        stop.set()
        for t in threads:
            t.join(20)
    assert codes == [0] * 25 and failed == []
    assert settled(pool) == 1


def test_forks_of_many_threads(pool: ndpool.Pool) -> None:
    """Threads that fork at the same time do not stand in each other's way."""
    a = pool.full(1000, 7, "i4")
    codes: list[int] = []

    def work() -> None:
        for _ in range(8):
            codes.append(in_child(lambda: (a == 7).all() or os._exit(9)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert codes == [0] * 32
    assert settled(pool) == 1


def test_full_process_table(name: str) -> None:
    """A child that found no place is told so whatever it does, reads nothing and harms nothing; its parent goes on."""
    with ndpool.Pool.create(name, capacity=MB, processes=1) as p:
        kept = [p.arange(100)]
        transfer = p.send(kept[0])

        def child() -> None:
            assert p.forked
            works: list[Callable[[], object]] = [
                lambda: p.zeros(3),
                lambda: p.send(kept[0]),
                lambda: p.adopt(transfer),
                lambda: p.retain(1),
                lambda: p.stats(),
                lambda: p.verify(),
                lambda: p.seal(kept[0]),
                lambda: p.trim(),
                lambda: p.reap(),
                lambda: p.recall(transfer),
            ]
            for work in works:
                with pytest.raises(errors.ForkedError):
                    work()
            assert "ndpool.Pool" in repr(p)
            kept.clear()
            gc.collect()
            p.close()

        assert in_child(child) == 0
        assert not p.forked and kept[0].sum() == 4950
        b = p.adopt(transfer)
        assert b.sum() == 4950 and settled(p) == 1 and p.verify().clean


def test_place_of_a_dead_child_is_taken_again(name: str) -> None:
    """With one place for children, they can follow each other without anybody's care."""
    with ndpool.Pool.create(name, capacity=MB, processes=2) as p:
        a = p.arange(100)
        for _ in range(10):
            assert in_child(lambda: (a.sum() == 4950 and p.zeros(3).sum() == 0 and not p.forked) or os._exit(9)) == 0
        assert settled(p) == 1 and p.verify().clean


def test_a_hundred_children(pool: ndpool.Pool) -> None:
    """A hundred children, one after the other, leave no place taken and no array."""
    a = pool.full(100, 5.0)
    for k in range(100):
        pid = os.fork()
        if pid == 0:
            b = pool.empty(10)
            os._exit(0 if a[1] == 5 and b.size == 10 else 1)
        assert code_of(pid) == 0, k
    assert settled(pool) == 1
    assert pool.verify().clean


def test_children_at_the_same_time(pool: ndpool.Pool, go: Signal) -> None:
    """Many children live at once, each with its own place and arrays."""
    a = pool.zeros(30, "i8")

    def child(k: int) -> None:
        mine = pool.full(1000, k)
        a[k] = pool.process
        go.wait()
        assert (mine == k).all()

    pids = [fork(lambda k=k: child(k)) for k in range(30)]  # type: ignore[misc]
    until = time.monotonic() + 20
    while not a.all() and time.monotonic() < until:
        time.sleep(0.005)
    assert len(set(a.tolist())) == 30 and pool.process not in a
    assert pool.stats().processes == 31
    go.tell(b"x" * 30 * 4096)
    assert [code_of(pid) for pid in pids] == [0] * 30
    assert settled(pool) == 1


@pytest.mark.parametrize("preexec", [False, True])
def test_subprocesses_leave_nothing(pool: ndpool.Pool, preexec: bool) -> None:
    """Programs that a process with arrays starts are no members, and leave no place taken."""
    a = pool.ones(100)
    for _ in range(5):
        done = subprocess.run(["/bin/true"], preexec_fn=(lambda: None) if preexec else None, timeout=20, check=True)
        assert done.returncode == 0
    child = subprocess.Popen(["/bin/sleep", "30"], preexec_fn=(lambda: None) if preexec else None)
    try:
        assert settled(pool) == 1 and a.sum() == 100
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        fds = [os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{child.pid}/fd")]
        assert pool.path not in maps and pool.path not in fds
    finally:
        child.kill()
        child.wait(20)


def test_transfers_and_fork(pool: ndpool.Pool) -> None:
    """A child adopts what its parent sent to anybody; what was sent to the parent stays the parent's."""
    a = pool.arange(5)
    free, mine = pool.send(a), pool.send(a, to=pool.process)
    r, w = os.pipe()

    def child() -> None:
        with pytest.raises(errors.NotReceiverError):
            pool.adopt(mine)
        with pytest.raises(errors.NotSenderError):
            pool.recall(mine)
        b = pool.adopt(free)
        os.write(w, pool.send(b[::-1]))

    assert in_child(child) == 0
    with pytest.raises(errors.SpentError):
        pool.adopt(free)
    assert pool.adopt(os.read(r, 4096)).tolist() == [4, 3, 2, 1, 0]
    assert pool.adopt(mine).sum() == 10
    os.close(r)
    os.close(w)
    assert settled(pool) == 1


def test_sealed_arrays_and_fork(pool: ndpool.Pool) -> None:
    """Sealed and read-only arrays are so in the child, whose stores end in a fault, also by C code."""
    s = pool.seal(pool.arange(1000))
    c = pool.ones(3)
    b = pool.retain(pool.handle(c), readonly=True)

    def store() -> None:
        faulthandler.disable()
        ctypes.memset(s.ctypes.data, 0, 8)

    def child() -> None:
        assert s.sum() == 499_500 and b.sum() == 3 and ndpool.is_sealed(s)
        for x in (s, b):
            with pytest.raises(ValueError):
                x.flags.writeable = True

    assert in_child(child) == 0
    assert in_child(store) == -signal.SIGSEGV
    c[0] = 5
    assert s[1] == 1 and b[0] == 5
    assert settled(pool) == 2


def test_several_pools(pool: ndpool.Pool) -> None:
    """A child is a member of all pools of its parent, also of one without a name."""
    with ndpool.Pool.anonymous(capacity=MB) as q:
        a, b = pool.zeros(3), q.zeros(3)

        def child() -> None:
            a[0], b[0] = 1, 2
            assert pool.zeros(3).sum() == q.zeros(3).sum() == 0
            assert q.stats().processes == pool.stats().processes == 2

        assert in_child(child) == 0
        assert (a[0], b[0]) == (1, 2)
        assert settled(pool) == settled(q) == 1
        assert q.verify().clean


def test_child_killed_amidst_its_work(name: str) -> None:
    """Children that are killed at any moment of their work leave a pool without a fault, and for a while what they sent."""

    def work() -> None:
        kept: list[Any] = []
        while True:
            kept.append(p.empty(len(kept) * 17 % 999))
            if len(kept) % 3 == 0:
                kept.append(p.adopt(p.send(kept[0])))
            if len(kept) > 20:
                del kept[::2]

    with ndpool.Pool.create(name, capacity=4 * MB, grace=0.2) as p:
        a = p.full(1000, 7, "i4")
        for k in range(15):
            pid = fork(work)
            time.sleep(0.001 * k)
            os.kill(pid, signal.SIGKILL)
            assert code_of(pid) == -signal.SIGKILL
        p.reap()
        time.sleep(0.25)
        assert settled(p) == 1 and p.stats().transfers == 0 and (a == 7).all()
        assert p.verify(content=True).clean
        del a


def test_fork_in_a_fork_with_a_thread(name: str) -> None:
    """A child may start threads of its own that use the pool, and fork again."""
    with ndpool.Pool.create(name, capacity=4 * MB) as p:
        a = p.ones(100)

        def child() -> None:
            made: list[float] = []
            threads = [threading.Thread(target=lambda: made.append(p.full(100, 3).sum() + a.sum())) for _ in range(4)]
            for t in threads:
                t.start()
            inner = in_child(lambda: p.adopt(p.send(a)).sum() == 100 or os._exit(9))
            for t in threads:
                t.join(20)
            assert made == [400.0] * 4 and inner == 0

        assert in_child(child) == 0
        assert settled(p) == 1


def test_default_pool_of_a_child(run: Run) -> None:
    """A forked child has its parent's default pool, made before the fork or, by name, after."""
    out = run(
        """
        import os, ndpool
        a = ndpool.zeros(3)
        where = ndpool.default_pool().path
        pid = os.fork()
        if pid == 0:
            assert ndpool.default_pool().path == where
            b = ndpool.ones(3)
            a[:] = b
            os._exit(ndpool.default_pool().stats().arrays)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), a.sum())
        print(where)
        """
    )
    first, where = out.splitlines()
    assert first == "2 3.0" and not os.path.exists(where)
