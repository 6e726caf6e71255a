"""The Go command and the package on one pool: each finds in it what the other has put there."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import _dtype

CLI = os.environ.get("NDPOOL_CLI", "")

pytestmark = pytest.mark.skipif(not CLI, reason="NDPOOL_CLI names no Go command; make python builds it and sets it")

DTYPES = [
    "?", "i1", "<i2", ">i4", "u8", "f2", ">f8", "<c8", "c16", "S7", "<U3", ">U2", "M8[10ms]", "m8[ns]", "V5",
    [("x", "<f4"), ("y", ">i2", (2, 3))], {"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8], "itemsize": 24},
    np.dtype([("p", "u1"), ("q", [("r", "<f8"), ("s", "U2")])], align=True),
]  # fmt: skip


def go(*args: str) -> Any:
    """Runs a verb of the Go command, and returns its document."""
    done = subprocess.run([CLI, *args, "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def text_of(dtype: np.dtype[Any]) -> str:
    """A dtype as Go writes it."""
    record = _dtype.encode(dtype)[1]
    return record.decode() if record else dtype.str


def test_go_finds_what_python_has_put_there(pool: ndpool.Pool) -> None:
    """Types, shapes, orders, seals, holders and transfers."""
    kept = [pool.zeros((n % 3 + 1, 2), dtype, order="CF"[n % 2]) for n, dtype in enumerate(DTYPES)]
    kept.append(pool.zeros((1, 2) * 6, "i2"))
    kept.append(pool.seal(pool.ones(1000), hash=True))
    transfer = pool.send(kept[0])
    report = go("verify", "--content", pool.name)
    assert report["clean"] and report["arrays"] == len(kept)
    found = {a["handle"]: a for a in go("show", pool.name)["arrays"]}
    assert len(found) == len(kept)
    for a in pool.arrays():
        theirs = found[f"{a.handle:016x}"]
        assert theirs["dtype"] == text_of(a.dtype)
        assert tuple(theirs["shape"]) == a.shape
        for key in ("fortran", "bytes", "extent", "offset", "sealed", "hashed", "private", "in_transit"):
            assert theirs[key] == getattr(a, key), key
        assert [h["pid"] for h in theirs["holders"]] == [os.getpid()]
    assert [t["handle"] for t in go("transfers", pool.name)["transfers"]] == [f"{pool.handle(kept[0]):016x}"]
    assert [p["pid"] for p in go("ps", pool.name)["processes"]] == [os.getpid()]
    pool.recall(transfer)


def test_python_opens_what_go_has_created(name: str) -> None:
    """The limits are those that the command was told."""
    go("create", name, "--capacity", "3MiB", "--arrays", "300", "--processes", "5")
    with ndpool.Pool.open(name) as p:
        options = p.options()
        assert (options["capacity"], options["arrays"], options["processes"]) == (3 << 20, 300, 5)
        assert options["persistent"]
        a = p.full((2, 3), 7, "u1")
        assert p.verify().clean
        assert len(go("show", name)["arrays"]) == 1
        del a
    go("unlink", name)


def test_go_reaps_a_killed_python_process(pool: ndpool.Pool) -> None:
    """Whoever comes next cleans up, in whichever language."""
    pid = os.fork()
    if pid == 0:
        _keep = [pool.empty(100) for _ in range(10)]
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert go("reap", pool.name)["pools"][0]["processes"] == 1
    assert pool.stats().arrays == 0


def test_names_that_python_publishes(pool: ndpool.Pool, tmp_path: Path) -> None:
    """Go tells of them what the package does, and writes what numpy reads."""
    x = np.arange(6, dtype=">i2").reshape(2, 3)
    pool.publish({"g": {"x": (x, {"unit": "mm", "roi": [0, 1.5, None]}), "y": np.asfortranarray(x)}}, "run7")
    pool.put("kept", np.zeros(3, [("a", "<f4"), ("b", "u1")]), persistent=True)
    theirs = go("names", "--all", pool.name)["names"]
    ours = pool.entries()
    assert [n["path"] for n in theirs] == [n.path for n in ours]
    for n, info in zip(theirs, ours, strict=True):
        assert n["attributes"] == info.attrs
        assert n["handle"] == (f"{info.handle:016x}" if info.handle else None)
        for key in ("version", "group", "persistent", "implicit", "fortran", "sealed", "bytes"):
            assert n[key] == getattr(info, key), key
    assert go("attrs", pool.name, "run7/g/x", "gain=2")["attributes"] == pool.attrs("run7/g/x").copy()
    go("get", pool.name, "run7", "-o", str(tmp_path / "run7.npz"))
    with np.load(tmp_path / "run7.npz") as z:
        assert sorted(z.files) == ["g/x", "g/y"]
        np.testing.assert_array_equal(z["g/y"], x)
    assert go("rm", pool.name, "-r", "run7")["removed"] == [{"path": "run7", "names": 2}]
    assert pool.names() == ["kept"]
    pool.remove("kept")


def test_names_that_go_publishes(pool: ndpool.Pool, tmp_path: Path) -> None:
    """Every dtype, as numpy saves it, comes out of the pool as it is."""
    for n, dtype in enumerate(DTYPES):
        a = np.frombuffer(bytes(range(1, 1 + 6 * np.dtype(dtype).itemsize)), dtype).reshape(2, 3, order="CF"[n % 2])
        np.save(tmp_path / "a.npy", a)
        go("put", pool.name, f"a/{n}", str(tmp_path / "a.npy"))
        b = pool[f"a/{n}"]
        assert (b.dtype, b.shape, b.strides) == (a.dtype, a.shape, a.strides)
        assert b.tobytes("A") == a.tobytes("A")
    assert pool.remove("a", tree=True) == len(DTYPES)
