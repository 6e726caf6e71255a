"""ndpool.compat.pyarraypool: its interface, and the defects of the original, each as a test that passes here."""

import multiprocessing as mp
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool.compat import pyarraypool as pp
from ndpool.errors import DTypeError, FullError, NoMemoryError, OptionsError

FORK = mp.get_context("fork")
SPAWN = mp.get_context("spawn")


@pytest.fixture(autouse=True)
def settings(name: str) -> Iterator[None]:
    """A link path of the test's own, and everything as it was afterwards."""
    before = {k: v for k, v in vars(pp._Config).items() if not k.startswith("_")}
    pp.configure_global_pool(link_path=f"/tmp/{name}.seg", data_size="64M", slot_count=2000, autostart=False)
    yield
    pp.stop_pool()
    pp.cleanup_shm()
    for k, v in before.items():
        setattr(pp._Config, k, v)


@pytest.fixture
def started() -> Iterator[ndpool.Pool]:
    """The global pool, checked at the end."""
    with pp.object_pool_context():
        p = pp.get_reusable_pool().pool
        yield p
        assert p.verify().clean


def through_pickle(a: Any) -> Any:
    return pickle.loads(ForkingPickler.dumps(a))


def run_in(context: Any, f: Any, *args: Any) -> Any:
    """Returns what f(*args) returns in another process."""
    with context.Pool(1) as workers:
        return workers.apply_async(f, args).get(timeout=60)


# ---- the interface


def test_names() -> None:
    for n in pp.__all__:
        assert hasattr(pp, n)


def test_life_of_the_global_pool() -> None:
    for _ in range(3):
        with pytest.raises(pp.PoolNotRunning):
            pp.get_reusable_pool()
        with pp.object_pool_context():
            assert isinstance(pp.get_reusable_pool(), pp.ShmObjectPool)
            assert pp.get_reusable_pool() is pp.get_reusable_pool()
            with pytest.raises(pp.PoolAlreadyExists), pp.object_pool_context():
                pass
            with pytest.raises(pp.PoolAlreadyExists):
                pp.start_pool()
    with pytest.raises(ZeroDivisionError), pp.object_pool_context():
        raise ZeroDivisionError
    with pytest.raises(pp.PoolNotRunning):
        pp.make_transferable(np.ones(3))
    pp.configure_global_pool(autostart=True)
    assert pp.make_transferable(np.ones(3)).sum() == 3
    pp.stop_pool()
    pp.stop_pool()


@pytest.mark.parametrize(
    ("size", "bytes"), [("1G", 1 << 30), ("2.5M", 2621440), ("100K", 102400), (1e6, 1000000), (70000, 70000)]
)
def test_sizes(size: Any, bytes: int) -> None:
    pp.configure_global_pool(data_size=size)
    with pp.object_pool_context():
        capacity = pp.get_reusable_pool().pool.capacity
        assert bytes <= capacity < bytes + 4096


@pytest.mark.parametrize("size", [0, -5, "0", "0.8", "0G", "Awesome", "FewG"])
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(ValueError):
        pp.configure_global_pool(data_size=size)


def test_settings_that_are_left() -> None:
    pp.configure_global_pool(data_size=None, slot_count=None, link_path=None, autostart=None)
    with pp.object_pool_context():
        o = pp.get_reusable_pool().pool.options()
        assert (o["capacity"], o["arrays"]) == (64 << 20, 2000)


def test_proxies(started: ndpool.Pool) -> None:
    a = np.arange(10).reshape(2, 5)
    p = pp.make_transferable(a)
    assert isinstance(p, pp.ndarrayproxy) and isinstance(p[0], pp.ndarrayproxy)
    assert not isinstance(a, pp.ndarrayproxy) and not isinstance(p + 1, pp.ndarrayproxy)
    assert issubclass(pp.ndarrayproxy, np.ndarray) and pp.ndarrayproxy.python_id == 0
    assert type(p) is np.ndarray and p.shape == (2, 5) and len(p) == 2 and p.min() == 0 and (p == a).all()
    assert pp.make_transferable(p) is p
    q = through_pickle(p)
    q[0, 0] = 9
    assert p[0, 0] == 9
    assert len(ForkingPickler.dumps(pp.make_transferable(np.arange(1000)))) < 400
    with pytest.raises(TypeError):
        pp.ndarrayproxy(3)


def add_one(a: Any, i: int) -> None:
    a[i] += 1


def test_a_pool_of_processes(started: ndpool.Pool) -> None:
    p = pp.make_transferable(np.arange(50))
    with FORK.Pool(2) as workers:
        workers.starmap(add_one, [(p, i) for i in range(50)])
    assert (p == np.arange(50) + 1).all()


def make_in_child(n: int) -> Any:
    return pp.make_transferable(np.arange(n)), pp.get_reusable_pool().pool.path


@pytest.mark.parametrize("context", [FORK, SPAWN], ids=["fork", "spawn"])
def test_a_child_has_its_parents_pool(started: ndpool.Pool, context: Any) -> None:
    a, path = run_in(context, make_in_child, 5)
    assert path == started.path and started.owns(a) and a.tolist() == [0, 1, 2, 3, 4]


def test_cleanup(started: ndpool.Pool) -> None:
    a = pp.make_transferable(np.ones(3))
    assert os.path.exists(started.path)
    pp.cleanup_shm()
    assert not os.path.exists(started.path)
    pp.cleanup_shm()
    assert a.sum() == 3


def attach_and_write(path: str) -> list[Any]:
    pool = pp.ShmObjectPool(path=path, data_size="1M", slot_count=1024)
    view = pool.attach_object(7)
    view[0] = 99
    return [view.nbytes, pool.memview_of(8), pool.memview_of(9)]


def test_object_pool(name: str) -> None:
    path = f"/tmp/{name}.objects"
    pool = pp.ShmObjectPool(path=path, data_size="1M", slot_count=1024)
    assert pool.memview_of(7) is None
    view = pool.add_object(7, 100)
    assert view.nbytes == 100 and not view.readonly and view.format == "B"
    with pytest.raises(pp.ObjectAlreadyExists):
        pool.add_object(7, 100)
    for bad in (0, -1, 1 << 64):
        with pytest.raises(pp.InvalidPythonId):
            pool.add_object(bad, 1)
    for f in (pool.attach_object, pool.detach_object, pool.set_object_releasable):
        with pytest.raises(pp.ObjectNotFound):
            f(1234)
    with pytest.raises(pp.NoSpaceLeft):
        pool.add_object(8, 1 << 30)
    view[:] = bytes(100)
    again = pool.attach_object(7)
    again[5] = 5
    assert view[5] == 5 and pool.memview_of(7)[5] == 5  # type: ignore[index]
    assert "1 arrays" in pool.dump()
    del again, view
    pool.detach_object(7)
    pool.detach_object(7)
    assert pool.memview_of(7) is not None, "not transferred yet"
    assert run_in(SPAWN, attach_and_write, path) == [100, None, None]
    deadline = time.monotonic() + 10
    while pool.memview_of(7) is not None and time.monotonic() < deadline:
        pool.pool.reap()
        time.sleep(0.01)
    assert pool.memview_of(7) is None
    pool.add_object(9, 10)
    pool.set_object_releasable(9)
    assert pool.memview_of(9) is not None
    pool.detach_object(9)
    assert pool.memview_of(9) is None and pool.pool.stats().arrays == 0
    pool.close()


# ---- the defects


def test_p01_an_id_used_again_never_brings_old_data(started: ndpool.Pool) -> None:
    kept = [pp.make_transferable(np.full(1000, i)) for i in range(6)]
    assert [int(k[0]) for k in kept] == [0, 1, 2, 3, 4, 5]
    sent = [run_in(FORK, np.max, k) for k in kept[:2]]
    assert sent == [0, 1]
    for n in range(1, 50):
        assert pp.make_transferable(np.full(n, n)).shape == (n,)


def test_p02_modified_content_is_sent(started: ndpool.Pool) -> None:
    a = np.zeros(10)
    first = pp.make_transferable(a)
    a[:] = 5
    second = pp.make_transferable(a)
    assert first.sum() == 0 and second.sum() == 50


def in_fork(f: Any) -> int:
    """Runs f in a plain forked child, and returns its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            f()
        except SystemExit as e:
            os._exit(int(e.code or 0))
        except BaseException:
            os._exit(9)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_p03_a_forked_child_frees_only_its_own(started: ndpool.Pool) -> None:
    held = [pp.make_transferable(np.full(1000, 5), transfer_required=False)]

    def child() -> None:
        held.clear()
        for _ in range(50):
            pp.make_transferable(np.full(1000, 777_777_777), transfer_required=False)

    assert in_fork(child) == 0
    other = pp.make_transferable(np.full(1000, 777_777_777))
    assert (held[0] == 5).all() and (other == 777_777_777).all()


def test_p04_a_forked_child_that_exits_frees_only_its_own(run: Any, name: str) -> None:
    run(
        """
        import os, sys, numpy as np
        from ndpool.compat import pyarraypool as pp
        pp.configure_global_pool(link_path=sys.argv[1], data_size="64M", slot_count=2000)
        a = pp.make_transferable(np.full(1000, 5))
        pid = os.fork()
        if pid == 0:
            sys.exit(3)  # with all finalizers
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        b = [pp.make_transferable(np.full(1000, 7)) for _ in range(20)]
        assert (a == 5).all()
        assert pp.get_reusable_pool().pool.verify().clean
        """,
        f"/tmp/{name}.seg",
    )


def test_p05_a_killed_holder_leaks_nothing(started: ndpool.Pool) -> None:
    a = pp.make_transferable(np.ones(1000), transfer_required=False)
    pid = os.fork()
    if pid == 0:
        signal.pause()
    while started.stats().processes < 2:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    del a
    deadline = time.monotonic() + 10
    while started.stats().arrays and time.monotonic() < deadline:
        started.reap()
        time.sleep(0.001)
    assert started.stats().arrays == 0


def test_p06_a_killed_lock_holder_stops_nobody(started: ndpool.Pool) -> None:
    for k in range(15):
        pid = os.fork()
        if pid == 0:
            while True:  # most of it under the lock
                a = started.empty(1 << 20, "u1")
                started.send(a)
                started.recall(older_than=0)
                started.trim()
        time.sleep(0.005 + 0.0013 * k)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        start = time.monotonic()
        assert started.zeros(1 << 20, "u1").sum() == 0
        started.stats()
        assert time.monotonic() - start < 5
    started.reap()
    assert started.verify().clean


def give_back(a: Any) -> Any:
    a += 1
    return a


@pytest.mark.parametrize("context", [FORK, SPAWN], ids=["fork", "spawn"])
def test_p07_what_was_received_can_be_sent_on(started: ndpool.Pool, context: Any) -> None:
    a = pp.make_transferable(np.arange(5))
    b = run_in(context, give_back, a)
    assert b.tolist() == a.tolist() == [1, 2, 3, 4, 5]
    assert ndpool.handle(a) == ndpool.handle(b)
    assert started.owns(through_pickle(through_pickle(b)))


def derive(a: Any) -> list[Any]:
    return [a * 2, a.copy(), a.reshape(2, 3), a[2:5], a[::-2], a.T, a[a > 2], a.sum(), a.astype("f4")]


def test_p08_what_is_made_of_it_can_be_sent(started: ndpool.Pool) -> None:
    a = pp.make_transferable(np.arange(6))
    for got, want in zip(run_in(FORK, derive, a), derive(np.arange(6)), strict=True):
        assert np.array_equal(got, want)
    assert [ndpool.is_shared(x) for x in derive(through_pickle(a))][:6] == [False, False, True, True, True, True]


def test_p09_memory_is_aligned(started: ndpool.Pool) -> None:
    odd = [pp.make_transferable(np.zeros(n, "u1")) for n in (3, 1, 7)]
    a = pp.make_transferable(np.zeros(5))
    assert a.flags.aligned and a.ctypes.data % 64 == 0
    assert len(odd) == 3


def test_p10_scalars_orders_and_objects(started: ndpool.Pool) -> None:
    assert pp.make_transferable(np.array(3.5)).shape == ()
    assert through_pickle(pp.make_transferable(np.array(3.5)))[()] == 3.5
    f = pp.make_transferable(np.asfortranarray(np.arange(6).reshape(2, 3)))
    assert f.flags.f_contiguous and through_pickle(f).flags.f_contiguous
    before = started.stats().arrays
    for bad in (np.array([object()]), np.zeros(2, [("a", "O")])):
        with pytest.raises(DTypeError, match="pointers"):
            pp.make_transferable(bad)
    assert started.stats().arrays == before


def test_p11_the_same_array_can_be_sent_twice(started: ndpool.Pool) -> None:
    a = np.arange(100)
    with FORK.Pool(2) as workers:
        jobs = [workers.apply_async(np.sum, (pp.make_transferable(a),)) for _ in range(20)]
        p = pp.make_transferable(a)
        jobs += [workers.apply_async(np.sum, (p,)) for _ in range(20)]
        assert {int(j.get(timeout=60)) for j in jobs} == {4950}


def test_p12_what_was_never_received_ends(started: ndpool.Pool, run: Any, name: str) -> None:
    a = pp.make_transferable(np.ones(1000), transfer_required=False)
    del a
    assert started.stats().arrays == 0
    a = pp.make_transferable(np.ones(1000))
    del a
    assert started.stats().arrays == 1, "kept until it was sent"
    assert started.recall(older_than=0) == 1
    assert started.stats().arrays == 0
    a = pp.make_transferable(np.ones(1000))
    message = ForkingPickler.dumps(a)
    del a
    assert started.stats().arrays == started.stats().transfers == 1, "one transfer keeps it, not two"
    b = pickle.loads(message)
    assert b.sum() == 1000
    del b
    assert started.stats().arrays == 0

    with ndpool.Pool(name + "-grace", capacity="1M", grace=0.05) as short:  # a maker that has ended
        run(
            """
            import sys, ndpool
            ndpool.configure(sys.argv[1], dir="/dev/shm")
            a = ndpool.make_transferable(ndpool.zeros(10))
            """,
            short.name,
        )
        deadline = time.monotonic() + 10
        while short.stats().arrays and time.monotonic() < deadline:
            time.sleep(0.02)
            short.reap()
        assert short.stats().arrays == 0


def test_p13_many_may_start_at_once(name: str) -> None:
    barrier, q = FORK.Barrier(8), FORK.Queue()

    def start() -> None:
        barrier.wait()
        pp.start_pool()
        q.put(pp.get_reusable_pool().pool.segment)
        barrier.wait()

    for _ in range(5):
        children = [FORK.Process(target=start) for _ in range(8)]
        for c in children:
            c.start()
        segments = {q.get(timeout=60) for _ in children}
        for c in children:
            c.join()
            assert c.exitcode == 0
        assert len(segments) == 1


def test_p14_the_maker_may_leave_first(name: str) -> None:
    ready, go, q = FORK.Event(), FORK.Event(), FORK.Queue()

    def maker() -> None:
        with pp.object_pool_context():
            q.put(pp.get_reusable_pool().pool.segment)
            go.wait(60)

    child = FORK.Process(target=maker)
    child.start()
    segment = q.get(timeout=60)
    with pp.object_pool_context():
        mine = pp.get_reusable_pool().pool
        go.set()
        child.join()
        assert os.path.exists(mine.path) and mine.segment == segment
        with ndpool.Pool.open(mine.name) as third:  # no second pool of that name
            assert third.segment == segment
    assert not os.path.exists(mine.path)
    ready.set()


def test_p14_what_a_crash_left_is_not_opened_again(run: Any, name: str) -> None:
    out = run(
        """
        import os, sys, numpy as np
        from ndpool.compat import pyarraypool as pp
        pp.configure_global_pool(link_path=sys.argv[1], data_size="64M", slot_count=2000)
        a = pp.make_transferable(np.ones(100), transfer_required=False)
        print(pp.get_reusable_pool().pool.path, flush=True)
        os.kill(os.getpid(), 9)
        """,
        f"/tmp/{name}.seg",
        code=-9,
    )
    assert os.path.exists(out)
    with pp.object_pool_context():
        pool = pp.get_reusable_pool().pool
        assert pool.path == out and pool.stats().arrays == 0


def test_p15_no_memory_is_an_error(tmp_path: Path) -> None:
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], check=False).returncode
    ):
        pytest.skip("cannot mount a small tmpfs")
    try:
        with ndpool.Pool("small", dir=tmp_path, capacity="512M", arrays=1024) as p:
            kept = [p.zeros(1 << 20, "u1")]
            with pytest.raises((NoMemoryError, FullError)) as e:
                while len(kept) < 20:
                    kept.append(p.zeros(1 << 20, "u1"))
            assert isinstance(e.value, MemoryError) and e.value.capacity
            assert sum(int(k.sum()) for k in kept) == 0
            kept.clear()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=False)


def test_p16_other_sizes_are_told(started: ndpool.Pool, name: str) -> None:
    for other in ({"capacity": "32M"}, {"arrays": 5000}):
        with pytest.raises(OptionsError, match=next(iter(other))):
            ndpool.Pool(started.name, **other)
    program = (
        "import sys; from ndpool.compat import pyarraypool as pp;"
        "pp.configure_global_pool(link_path=sys.argv[1], data_size='32M'); pp.start_pool()"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL_")}
    env = {**clean, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, f"/tmp/{name}.seg"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "OptionsError" in done.stderr and "capacity" in done.stderr
    with ndpool.Pool(name, capacity="1M", mode=0o660) as p:
        assert os.stat(p.path).st_mode & 0o777 == 0o660
