"""Names when processes are killed: theirs go, those that stay keep the pool, and nothing is half done."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ndpool
from ndpool import errors


def start(program: str, *args: str) -> subprocess.Popen[str]:
    """Starts a program, and returns when it has printed a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *args],
        env={**os.environ, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline()
    return child


def kill(child: "subprocess.Popen[str]") -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def file(name: str) -> Path:
    return Path("/dev/shm", name)


PUBLISH = """
    import sys, time, ndpool
    pool = ndpool.Pool(sys.argv[1], capacity="64M")
    persistent = sys.argv[2] == "persistent"
    pool.publish({"g": {"x": range(1000), "y": (range(5), {"unit": "mm"})}, "e": {}}, persistent=persistent)
    print("ready", flush=True)
    time.sleep(60)
"""


def test_names_go_with_their_process(pool: ndpool.Pool, name: str) -> None:
    child = start(PUBLISH, name, "own")
    pool["g/mine"] = 1
    kept = pool["g/x"]
    assert pool.names() == ["g/mine", "g/x", "g/y"]
    kill(child)
    assert pool.reap().processes == 1
    assert [e.path for e in pool.entries()] == ["g", "g/mine"]
    assert kept.sum() == 499500, "who has the array keeps it"
    del kept
    assert pool.stats().arrays == 1
    assert pool.verify().quiet


def test_persistent_names_stay(pool: ndpool.Pool, name: str) -> None:
    child = start(PUBLISH, name, "persistent")
    kill(child)
    pool.reap()
    assert pool.names() == ["g/x", "g/y"] and "e" in pool
    assert pool["g/x"].sum() == 499500 and pool.attrs("g/y") == {"unit": "mm"}
    assert pool.remove("g", tree=True) == 2 and pool.remove("e") == 1
    assert pool.entries() == [] and pool.stats().arrays == 0


def test_persistent_names_keep_the_file(name: str) -> None:
    """Of a pool that is not persistent, after the last process left, in whichever way."""
    with ndpool.Pool.create(name, capacity="64M") as pool:
        pool.put("a", range(10), persistent=True)
        pool["b"] = 1
    assert file(name).exists()
    kill(start(PUBLISH, name, "own"))
    assert file(name).exists()
    assert not ndpool.reap(name).removed and file(name).exists()
    with ndpool.Pool.open(name) as pool:
        assert pool.names() == ["a"] and pool["a"].sum() == 45
        pool.remove("a")
    assert not file(name).exists()


def test_other_names_do_not(name: str) -> None:
    with ndpool.Pool.create(name, capacity="4M") as pool:
        pool["a"] = 1
        pool.publish({"g": {}})
    assert not file(name).exists()


def test_a_pool_that_killed_processes_left(name: str) -> None:
    """Without persistent names it is replaced by an empty one, with them it is kept."""
    kill(start(PUBLISH, name, "own"))
    with ndpool.Pool(name, capacity="64M") as pool:
        assert pool.entries() == [] and pool.stats().arrays == 0
    assert not file(name).exists()
    kill(start(PUBLISH, name, "persistent"))
    assert not ndpool.reap(name).removed
    with ndpool.Pool(name, capacity="64M") as pool:
        assert pool["g/x"].sum() == 499500
        pool.remove("g", tree=True)
        pool.remove("e")
        assert pool.verify().clean
    assert not file(name).exists()


CHANGES = """
    import sys, ndpool
    pool = ndpool.Pool.open(sys.argv[1])
    print("ready", flush=True)
    persistent = sys.argv[2] == "persistent"
    for k in range(10**9):
        pool.publish({"t": {f"{i}": ([k] * 100, {"k": k}) for i in range(8)}}, overwrite=True, persistent=persistent)
        pool.attrs("t/0")["more"] = k
        pool.publish({"u/x": k, "u/y": k}, merge=True, persistent=persistent)
        pool.remove("u", tree=True)
"""


@pytest.mark.parametrize("kind", ["own", "persistent"])
def test_killed_anywhere(pool: ndpool.Pool, name: str, kind: str) -> None:
    """A tree is there whole, in its old form or its new one, wherever its publisher was killed."""
    random.seed(4)
    for _ in range(12):
        child = start(CHANGES, name, kind)
        time.sleep(0.03 + random.random() * 0.1)
        child.send_signal(signal.SIGSTOP if random.random() < 0.2 else signal.SIGKILL)
        kill(child)
        if kind == "persistent" and "t" in pool:
            tree = pool.tree("t", attrs=True)
            assert len(tree) == 8
            assert len({int(v) for item in tree.values() for v in item.array}) == 1
            assert len({item.attrs["k"] for item in tree.values()}) == 1
            del tree
        if "u" in pool:
            assert len({int(v) for v in pool.tree("u").values()}) == 1
        pool.reap()
        if kind == "own":
            assert pool.entries() == [] and pool.stats().arrays == 0
        report = pool.verify()
        assert report.clean and report.quiet, [str(f) for f in report.faults]
    for path in ("t", "u"):
        if path in pool:
            pool.remove(path, tree=True)
    assert pool.stats().arrays == 0 and pool.stats().names == 0


def test_killed_while_copying(pool: ndpool.Pool, name: str) -> None:
    """Ctrl-C and SIGKILL between the copies leave no name and no block."""
    program = """
        import sys, time, numpy as np, ndpool
        pool = ndpool.Pool.open(sys.argv[1])
        class Slow:
            def __array__(self, *a, **k):
                print("ready", flush=True)
                time.sleep(60)
        try:
            pool.publish({"x": np.zeros(100_000), "y": Slow()})
        except KeyboardInterrupt:
            assert pool.entries() == [] and pool.stats().arrays == 0
            print("interrupted", flush=True)
        """
    child = start(program, name)
    assert pool.stats().arrays == 1 and pool.entries() == []
    kill(child)
    pool.reap()
    assert pool.stats().arrays == 0 and pool.entries() == []
    child = start(program, name)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert out == "interrupted\n" and child.returncode == 0


def test_the_last_holder_of_a_removed_name(pool: ndpool.Pool, name: str) -> None:
    """An array whose name is gone ends with its last holder, also if that is killed."""
    pool["a"] = np.zeros(1000)
    child = start(
        """
        import sys, time, ndpool
        a = ndpool.Pool.open(sys.argv[1])["a"]
        print("ready", flush=True)
        time.sleep(60)
        """,
        name,
    )
    del pool["a"]
    assert pool.stats().arrays == 1
    kill(child)
    pool.reap()
    assert pool.stats().arrays == 0
    with pytest.raises(errors.NoNameError):
        pool["a"]


def test_exit_without_close(run: Callable[..., str], pool: ndpool.Pool, name: str) -> None:
    """A process that ends in whatever way takes its names along at once."""
    run("import sys, ndpool; pool = ndpool.Pool.open(sys.argv[1]); pool['a'] = 1; pool.put('b', 2, persistent=True)", name)
    assert pool.names() == ["b"]
    run("import os, sys, ndpool; ndpool.Pool.open(sys.argv[1])['c'] = 1; os._exit(0)", name)
    pool.reap()
    assert pool.names() == ["b"]
