"""The ends of processes: silent, with the exit code that the program meant, and without a file that nobody needs."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

import ndpool
from ndpool import errors

MB = 1 << 20
HEAD = """
import gc, os, sys, threading, time
import numpy as np
import ndpool
"""


class Done(NamedTuple):
    """What a program has left."""

    code: int
    out: str
    err: str


def execute(program: str, *args: str, tmp_path: Path | None = None) -> Done:
    """Runs a program that gets a pool's name, with all warnings as errors."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL")}
    command = [sys.executable, "-X", "dev", "-W", "error"]
    if tmp_path is None:
        command += ["-c", HEAD + textwrap.dedent(program)]
    else:  # a file, for children that import it
        script = tmp_path / "program.py"
        script.write_text(HEAD + textwrap.dedent(program))
        command += [str(script)]
    done = subprocess.run([*command, *args], env=env, capture_output=True, check=False, text=True, timeout=50)
    return Done(done.returncode, done.stdout, done.stderr)


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{name}")


PROGRAMS: dict[str, str] = {
    "closed pool, array in a global": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        pool.close()
        """,
    "open pool, arrays in globals": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        b = a[::2].T
        m = memoryview(a)
        """,
    "open pool without arrays": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        """,
    "several pools": """
        pools = [ndpool.Pool(sys.argv[1], capacity="1M") for _ in range(3)] + [ndpool.Pool.anonymous(capacity="1M")]
        arrays = [p.ones(10) for p in pools]
        """,
    "cycles": """
        class Node:
            pass
        gc.disable()
        n = Node()
        n.me, n.pool = n, ndpool.Pool(sys.argv[1], capacity="1M")
        n.a = n.pool.ones(100)
        n.views = [n, n.a[1:], memoryview(n.a), n.pool.zeros]
        del n
        """,
    "finalizers": """
        class Node:
            def __del__(self):
                self.a += 1
                assert self.a[0] == self.a[99] == 2  # numpy cannot sum any more
        n = Node()
        n.me = n
        n.pool = ndpool.Pool(sys.argv[1], capacity="1M")
        n.a = n.pool.ones(100)
        """,
    "atexit": """
        import atexit
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        @atexit.register
        def late():
            b = pool.zeros(10)
            assert a.sum() == 100 and pool.stats().arrays == 2
        """,
    "never freed": """
        import ctypes
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        for x in (a, pool, a.base):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))
        """,
    "in the modules": """
        import builtins
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        np.kept = builtins.kept = sys.kept = ndpool.kept = [pool, pool.ones(100)]
        """,
    "in an exception": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        try:
            pool.send(pool.ones(3), to=77)
        except ndpool.errors.DeadError as e:
            kept = e
        """,
    "thread": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        def work():
            a = pool.ones(100)
            time.sleep(0.2)
            a += pool.zeros(100)
        threading.Thread(target=work).start()
        """,
    "daemon that sleeps": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        ready = threading.Event()
        def work():
            a = pool.ones(100)
            ready.set()
            time.sleep(30)
        threading.Thread(target=work, daemon=True).start()
        ready.wait()
        """,
    "daemons that work": """
        pool = ndpool.Pool(sys.argv[1], capacity="4M", grace=1e-6)  # for what is sent and not adopted then
        def work(k):
            kept = []
            while True:
                kept.append(pool.full(100, k))
                kept.append(pool.adopt(pool.send(kept[0])))
                del kept[:-10]
        for k in range(3):
            threading.Thread(target=work, args=(k,), daemon=True).start()
        time.sleep(0.1)
        """,
    "daemon that waits for room": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.empty(900_000, "u1")
        threading.Thread(target=lambda: pool.empty(900_000, "u1", timeout=None), daemon=True).start()
        time.sleep(0.1)
        """,
    "context manager": """
        with ndpool.Pool(sys.argv[1], capacity="1M") as pool:
            a = pool.ones(100)
            b = ndpool.seal(pool.ones(100))
        """,
    "queue of threads": """
        import queue
        q = queue.Queue()
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        q.put(pool.ones(3))
        """,
    "generator": """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        def numbers():
            with ndpool.Pool.anonymous(capacity="1M") as p:
                a = p.ones(3)
                while True:
                    yield a
        g = numbers()
        next(g)
        """,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_end_is_silent(name: str, program: str) -> None:
    """A program ends with code 0, without a word, and its pool with it, whatever it had at its end."""
    assert execute(PROGRAMS[program], name) == Done(0, "", "")
    assert not exists(name)


DEFAULTS: dict[str, str] = {
    "array in a global": """
        a = ndpool.ones(3)
        """,
    "module that has the pool": """
        pool = ndpool.default_pool()
        a = pool.ones(3)
        """,
    "transfer that nobody adopts": """
        t = ndpool.send(ndpool.ones(3))
        """,
    "kept for a transfer": """
        from ndpool import make_transferable
        b = make_transferable(np.ones(100))
        """,
    "daemon": """
        threading.Thread(target=lambda: [ndpool.ones(3) for _ in iter(int, 1)], daemon=True).start()
        time.sleep(0.1)
        """,
}


@pytest.mark.parametrize("program", DEFAULTS)
def test_default_pool_goes_with_its_maker(program: str) -> None:
    """The default pool's file goes at the end of the process that made it, also with transfers in it."""
    done = execute(DEFAULTS[program] + "\n        print(ndpool.default_pool().path)\n")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("/dev/shm/ndpool-") and not os.path.exists(done.out.strip())


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_end_of_a_tree(tmp_path: Path, method: str) -> None:
    """A tree of processes with queues, workers and arrays in them ends without a word and without a file."""
    done = execute(
        f"""
        import multiprocessing as mp
        def work(a):
            b = ndpool.copy(a)
            b += 1
            return b
        if __name__ == "__main__":
            ctx = mp.get_context({method!r})
            a = ndpool.ones(1000)
            q = ctx.Queue()
            with ctx.Pool(2) as workers:
                assert all((b == 2).all() for b in workers.map(work, [a] * 6))
                workers.close()
                workers.join()
            q.put(a)
            print(ndpool.default_pool().path)
            q.get()
            q.close()
            q.join_thread()
        """,
        tmp_path=tmp_path,
    )
    assert (done.code, done.err) == (0, "")
    assert not os.path.exists(done.out.strip())


def test_exit_code(name: str) -> None:
    """sys.exit keeps its code."""
    program = """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        sys.exit(7)
        """
    assert execute(program, name) == Done(7, "", "")
    assert not exists(name)


def test_unhandled_exception(name: str) -> None:
    """A program that fails shows its traceback and nothing else."""
    done = execute(
        """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        def fail(x):
            raise ValueError("boom")
        fail(a[1:])
        """,
        name,
    )
    assert done.code == 1 and done.out == ""
    assert done.err.startswith("Traceback (most recent call last):\n") and done.err.endswith("\nValueError: boom\n")
    assert done.err.count("Traceback") == 1 and "ndpool" not in done.err
    assert not exists(name)


def test_unclosed_pool_warns_once(name: str) -> None:
    """A Pool that is collected unclosed warns with its name, once, and is closed by that."""
    p = ndpool.Pool.create(name, capacity=MB)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del p
        gc.collect()
    assert [(w.category, name in str(w.message)) for w in caught] == [(ResourceWarning, True)]
    caught.clear()  # a warning has its source
    assert not exists(name)


@pytest.mark.parametrize("how", ["closed", "with", "peek", "failed", "default"])
def test_no_warning(name: str, how: str) -> None:
    """Pools that were closed, and those that nobody has to close, do not warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        p = ndpool.Pool.create(name, capacity=MB)
        if how == "with":
            with p:
                pass
        elif how == "peek":
            q = ndpool.Pool.peek(name)
            del q
        elif how == "failed":
            with pytest.raises(errors.ExistError):
                ndpool.Pool.create(name, capacity=MB)
        elif how == "default":
            done = execute("p = ndpool.default_pool()\ndel p\ngc.collect()\n")
            assert done == Done(0, "", "")
        p.close()
        del p
        gc.collect()
    assert [str(w.message) for w in caught] == []


def test_unclosed_pool_under_dev_mode(name: str) -> None:
    """In development mode the warning is shown for a pool that a function forgot."""
    done = execute(
        """
        import warnings
        warnings.simplefilter("default")
        def forget():
            ndpool.Pool(sys.argv[1], capacity="1M")
        forget()
        """,
        name,
    )
    assert done.code == 0 and done.err.count("ResourceWarning: unclosed <ndpool.Pool") == 1 and name in done.err


def test_killed_process_leaves_a_pool_that_is_replaced(name: str) -> None:
    """A pool of a killed process is left behind, and replaced by an empty one by whoever opens it next."""
    done = execute(
        """
        import signal
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        print(pool.segment.hex(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        name,
    )
    assert (done.code, done.err) == (-signal.SIGKILL, "")
    left = ndpool.Pool.peek(name)
    assert left.condition() == "left behind" and left.stats().arrays == 1 and left.segment.hex() == done.out.strip()
    left.close()
    with ndpool.Pool(name, capacity=2 * MB) as p:
        assert p.segment.hex() != done.out.strip() and p.capacity == 2 * MB
        assert p.stats().arrays == 0 and p.verify().clean
    assert not exists(name)


def test_killed_process_is_swept_by_the_others(name: str) -> None:
    """Arrays of a killed process go when another one looks after the pool; those that others hold stay."""
    with ndpool.Pool.create(name, capacity=MB) as p:
        a = p.arange(10)
        done = execute(
            """
            import signal
            pool = ndpool.Pool(sys.argv[1])
            a = pool.retain(int(sys.argv[2]))
            b = [pool.ones(10) for _ in range(5)]
            assert a.sum() == 45
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            name,
            str(p.handle(a)),
        )
        assert done == Done(-signal.SIGKILL, "", "")
        assert p.stats().arrays == 6
        assert p.reap().processes == 1 and p.stats().arrays == 1 and a.sum() == 45
        assert p.verify().clean
        del a


def test_hard_exit(name: str) -> None:
    """os._exit is for the pool as a death: reap removes what is left."""
    program = """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        a = pool.ones(100)
        os._exit(3)
        """
    assert execute(program, name) == Done(3, "", "")
    assert exists(name)
    reaped = ndpool.reap(name)
    assert reaped.removed and not exists(name)


def test_persistent_pool_stays(name: str) -> None:
    """A persistent pool stays without anybody, and keeps no array that nobody holds."""
    program = """
        pool = ndpool.Pool(sys.argv[1], capacity="1M", persistent=True)
        a = pool.ones(100)
        """
    assert execute(program, name) == Done(0, "", "")
    assert exists(name) and ndpool.Pool.peek(name).condition() == "idle"
    with ndpool.Pool.open(name) as p:
        assert p.stats().arrays == 0 and p.verify().clean
    ndpool.unlink(name)


def test_transfer_outlives_its_process(name: str) -> None:
    """A named pool with a transfer in flight waits for whoever adopts it."""
    done = execute(
        """
        pool = ndpool.Pool(sys.argv[1], capacity="1M")
        print(pool.send(pool.full(100, 7)).hex())
        """,
        name,
    )
    assert (done.code, done.err) == (0, "") and exists(name)
    with ndpool.Pool.open(name) as p:
        a = p.adopt(bytes.fromhex(done.out))
        assert (a == 7).all()
        del a
    assert not exists(name)


def test_import_leaves_nothing() -> None:
    """Importing the package makes no pool, no file, no thread and no child."""
    done = execute(
        """
        import pathlib
        print(threading.active_count(), [n for n in os.listdir("/dev/shm") if f"-{os.getpid()}-" in n])
        print("/dev/shm" in pathlib.Path("/proc/self/maps").read_text(), "NDPOOL_NAME" in os.environ)
        """
    )
    assert done == Done(0, "1 []\nFalse False\n", "")
