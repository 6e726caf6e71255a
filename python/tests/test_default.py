"""The default pool: how it is made, and how processes find it."""

import os
import re
from collections.abc import Callable

import pytest

import ndpool

Run = Callable[..., str]


def test_made_on_first_use(run: Run) -> None:
    out = run("""
        import os, ndpool
        from ndpool import _default
        assert _default.state.pool is None and "NDPOOL_NAME" not in os.environ
        a = ndpool.zeros(3)
        p = ndpool.default_pool()
        assert p is ndpool.default_pool() and p.owns(a)
        assert os.environ["NDPOOL_NAME"] == p.name and os.environ["NDPOOL_DIR"] == p.dir == "/dev/shm"
        assert p.name.startswith(f"ndpool-{os.getpid()}-")
        print(p.path)
    """)
    assert not os.path.exists(out)


def test_functions(run: Run) -> None:
    run("""
        import numpy as np, ndpool
        made = [ndpool.empty(3), ndpool.zeros(3), ndpool.ones(3), ndpool.full(3, 1), ndpool.array([1]),
                ndpool.copy([1]),
                ndpool.asarray([1]), ndpool.ascontiguousarray([1]), ndpool.asfortranarray([1]), ndpool.arange(3),
                ndpool.empty_like([1]), ndpool.zeros_like([1]), ndpool.ones_like([1]), ndpool.full_like([1], 2)]
        assert all(ndpool.default_pool().owns(a) for a in made)
        a = made[9]
        assert ndpool.asarray(a) is a
        assert ndpool.retain(ndpool.handle(a)).sum() == 3
        assert ndpool.adopt(ndpool.send(a)).sum() == 3
        view = ndpool.send(a[1:])
        assert len(view) > 16 and ndpool.adopt(view).tolist() == [1, 2]
        t = ndpool.send(a)
        ndpool.recall(t)
        try:
            ndpool.adopt(t)
        except ndpool.errors.RecalledError:
            pass
        p = ndpool.Pool.anonymous(capacity="1M")
        b = ndpool.adopt(ndpool.send(p.arange(5)[::2]))
        assert p.owns(b) and b.tolist() == [0, 2, 4]
        p.close()
    """)


def test_arguments(run: Run, name: str) -> None:
    run(
        """
        import sys, ndpool
        ndpool.configure(sys.argv[1], capacity="3M")
        ndpool.configure(arrays=2000)
        p = ndpool.default_pool()
        assert (p.name, p.capacity, p.options()["arrays"]) == (sys.argv[1], 3 << 20, 2000)
        for f in ndpool.configure, ndpool.default_pool:
            try:
                f(capacity="4M")
            except ndpool.errors.OptionsError as e:
                print(e)
        assert ndpool.default_pool() is p
        """,
        name,
    )


def test_environment(run: Run, name: str) -> None:
    program = """
        import ndpool
        p = ndpool.default_pool()
        o = p.options()
        print(p.name, o["capacity"], o["grace"], oct(o["mode"]), o["persistent"], o["tickets"])
    """
    env = {
        "NDPOOL_CAPACITY": "2M",
        "NDPOOL_GRACE": "1.5",
        "NDPOOL_MODE": "640",
        "NDPOOL_PERSISTENT": "1",
        "NDPOOL_TICKETS": "100",
    }
    assert run(program, NDPOOL_NAME=name, **env) == f"{name} {2 << 20} 1.5 0o640 True 100"
    assert run(program, NDPOOL_NAME=name) == f"{name} {2 << 20} 1.5 0o640 True 100"
    run(program, NDPOOL_NAME=name, NDPOOL_CAPACITY="4M", code=1)
    run(program, NDPOOL_CAPACITY="much", code=1)


def test_directory(run: Run, name: str) -> None:
    folder = f"/dev/shm/{name}.d"
    os.mkdir(folder)
    try:
        out = run("import ndpool; print(ndpool.default_pool().path)", NDPOOL_DIR=folder)
        assert out.startswith(folder + "/ndpool-")
    finally:
        os.rmdir(folder)


def test_programs_started_by_it_find_it(run: Run) -> None:
    out = run("""
        import subprocess, sys, ndpool
        a = ndpool.arange(5)
        ndpool.handle(a)
        subprocess.run([sys.executable, "-c", "import ndpool, sys; a = ndpool.retain(int(sys.argv[1])); a[0] = 7;"
                        "print(ndpool.default_pool().path)", str(ndpool.handle(a))], check=True)
        assert a[0] == 7, a
        print(ndpool.default_pool().path)
    """)
    first, second = out.split()
    assert first == second


CHILD = """
    import multiprocessing as mp, sys, ndpool
    def child(q):
        q.put((ndpool.default_pool().path, ndpool.arange(4)))
    if __name__ == "__main__":
        ctx = mp.get_context(sys.argv[1])
        if sys.argv[1] == "forkserver":  # the server has started before there is a pool
            ctx.Process(target=int).start()
        path = ndpool.default_pool().path
        q = ctx.Queue()
        p = ctx.Process(target=child, args=(q,))
        p.start()
        theirs, a = q.get(timeout=30)
        p.join()
        assert p.exitcode == 0
        assert theirs == path and ndpool.default_pool().owns(a) and a.tolist() == [0, 1, 2, 3]
        print(path)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_find_it(run: Run, method: str, tmp_path: object) -> None:
    program = f"{tmp_path}/program.py"
    with open(program, "w") as f:
        f.write(re.sub(r"(?m)^    ", "", CHILD))
    out = run(
        "import runpy, sys; sys.argv = sys.argv[1:]; import subprocess;"
        "print(subprocess.run([sys.executable, *sys.argv], check=True, capture_output=True, text=True).stdout)",
        program,
        method,
    )
    assert out and not os.path.exists(out)


def test_two_threads_make_one(run: Run) -> None:
    run("""
        import threading, ndpool
        pools, barrier = [], threading.Barrier(8)
        def work():
            barrier.wait()
            pools.append(ndpool.default_pool())
        threads = [threading.Thread(target=work) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert len(set(map(id, pools))) == 1 and pools[0].stats().processes == 1
    """)


def test_after_fork_it_is_the_same_object(run: Run) -> None:
    run("""
        import os, ndpool
        p = ndpool.default_pool()
        a = ndpool.arange(3)
        before = p.process
        pid = os.fork()
        if pid == 0:
            ok = ndpool.default_pool() is p and p.process != before and a.sum() == 3 and p.zeros(3).sum() == 0
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert a.sum() == 3 and p.verify().clean
    """)


def test_closed_and_made_again(run: Run) -> None:
    run("""
        import ndpool
        p = ndpool.default_pool()
        a = ndpool.arange(3)
        p.close()
        b = ndpool.arange(4)
        assert ndpool.default_pool() is not p and a.sum() == 3 and b.sum() == 6
    """)


def test_nothing_is_left(run: Run) -> None:
    """Also if arrays are alive at the end, and transfers in flight."""
    out = run("""
        import ndpool
        a = ndpool.arange(1000)
        ndpool.send(a)
        b = ndpool.make_transferable(a + 1)
        del b
        print(ndpool.default_pool().path)
    """)
    assert not os.path.exists(out)


def test_children_leave(run: Run, name: str) -> None:
    """Children of multiprocessing close their pools, although they end without Python's exit."""
    run(
        """
        import multiprocessing as mp, sys, ndpool
        def child():
            ndpool.Pool.open(sys.argv[1]).zeros(3)
            p = ndpool.default_pool()
            globals()["kept"] = ndpool.Pool.open(sys.argv[1])
        p = ndpool.Pool(sys.argv[1], capacity="1M")
        d = ndpool.default_pool()
        c = mp.get_context("fork").Process(target=child)
        c.start(); c.join()
        assert p.stats().processes == 1 and d.stats().processes == 1, (p.processes(), d.processes())
        assert p.stats().sweeps == 0
        p.close()
        """,
        name,
    )


def test_unclosed_pools_are_told(name: str) -> None:
    p = ndpool.Pool(name, capacity="1M")
    with pytest.warns(ResourceWarning, match="unclosed <ndpool.Pool"):
        del p
    assert not os.path.exists(f"/dev/shm/{name}")
    a = ndpool.Pool(name, capacity="1M").arange(5)  # the array keeps its pool
    assert a.sum() == 10 and os.path.exists(f"/dev/shm/{name}")
    del a
    assert not os.path.exists(f"/dev/shm/{name}")


def test_no_noise_at_the_end(run: Run, name: str) -> None:
    import subprocess
    import sys
    from pathlib import Path

    program = "import ndpool, sys; p = ndpool.Pool(sys.argv[1], capacity='1M'); a = p.zeros(3); b = ndpool.zeros(4)"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, name],
        env={**os.environ, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
