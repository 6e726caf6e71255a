"""python -m ndpool: hdf5, names, rm."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool._cli import main


def ok(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(args) == 0, capsys.readouterr().err
    out = capsys.readouterr()
    assert out.err == ""
    return out.out


def ok_json(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    return json.loads(ok(capsys, "--json", *args))


def fails(capsys: pytest.CaptureFixture[str], code: int, *args: str) -> str:
    assert main(args) == code
    out = capsys.readouterr()
    assert out.out == "" and "Traceback" not in out.err
    return out.err


# ---- names


@pytest.fixture
def filled(pool: ndpool.Pool) -> ndpool.Pool:
    pool.put("run/left", np.zeros((2, 3), "u2"), attrs={"unit": "mm", "list": [1, 2]}, persistent=True)
    pool["run/right"] = np.asfortranarray(np.zeros((4, 5)))
    pool.publish({"empty": ndpool.Item(None, {"k": 1})})
    return pool


def test_names(capsys: pytest.CaptureFixture[str], filled: ndpool.Pool) -> None:
    lines = ok(capsys, "names", filled.name).splitlines()
    assert lines[0].split() == ["NAME", "KIND", "DTYPE", "SHAPE", "BYTES", "VERSION", "KEEPER", "ATTRIBUTES"]
    assert re.fullmatch(r'run/left +array +<u2 +\(2,3\) +12 B +\d+  persistent +\{"unit": "mm", "list": \[1, 2\]\}', lines[1])
    assert re.fullmatch(rf"run/right  array  <f8 +\(4,5\) +160 B +\d+  {os.getpid()}\(0\)", lines[2])
    assert len(lines) == 3
    groups = ok(capsys, "names", filled.name, "--all").splitlines()
    assert re.match(r"empty/ .*\{\"k\": 1\}", groups[1]) and re.match(r"run/ .*what is in it", groups[2])
    assert ok(capsys, "names", filled.name, "--short") == "run/left\nrun/right\n"
    assert ok(capsys, "names", filled.name, "run/", "-q", "-a").split() == ["run/", "run/left", "run/right"]
    assert ok(capsys, "names", filled.name, "empty") == f"no names in {filled.name}\n"


def test_names_json(capsys: pytest.CaptureFixture[str], filled: ndpool.Pool) -> None:
    found = ok_json(capsys, "names", filled.name, "--all", "--short")
    assert found["name"] == filled.name
    names = {n.pop("path"): n for n in found["names"]}
    assert list(names) == ["empty", "run", "run/left", "run/right"]
    left = names["run/left"]
    assert left.pop("version") > 0 and left.pop("handle") == f"{filled.handle(filled['run/left']):016x}"
    assert left == {
        "kind": "array",
        "group": False,
        "dtype": "<u2",
        "shape": [2, 3],
        "fortran": False,
        "sealed": False,
        "bytes": 12,
        "persistent": True,
        "implicit": False,
        "keeper": None,
        "attributes": {"unit": "mm", "list": [1, 2]},
    }
    assert names["run/right"]["keeper"]["pid"] == os.getpid() and names["run/right"]["fortran"]
    assert names["run"]["implicit"] and names["run"]["handle"] is None and "dtype" not in names["run"]


def test_names_that_would_steer_a_terminal(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    pool.put("a\x1b[31m\nb", [1], attrs={"k\x1b": "v\x1b\n"})
    for args in ((), ("--short",), ("--all",)):
        out = ok(capsys, "names", pool.name, *args)
        assert "\x1b" not in out and "\\x1b[31m" in out
        assert len(out.splitlines()) == (1 if args == ("--short",) else 2)
    assert ok_json(capsys, "names", pool.name)["names"][0]["path"] == "a\x1b[31m\nb"
    out = ok(capsys, "rm", pool.name, "a\x1b[31m\nb")
    assert "\x1b" not in out


def test_names_of_nothing(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    assert ok(capsys, "names", pool.name) == f"no names in {pool.name}\n"
    assert ok_json(capsys, "names", pool.name) == {"name": pool.name, "names": []}
    assert "names lists" in fails(capsys, 1, "names", pool.name, "nothing")
    assert "ls lists the pools" in fails(capsys, 1, "names", pool.name + "x")
    assert fails(capsys, 2, "names", pool.name, "a//b")


# ---- rm


def test_rm(capsys: pytest.CaptureFixture[str], filled: ndpool.Pool) -> None:
    assert ok(capsys, "rm", filled.name, "run/left") == "run/left: 1 name removed\n"
    assert "-r removes all" in fails(capsys, 1, "rm", filled.name, "run")
    assert "names lists" in fails(capsys, 1, "rm", filled.name, "run/left")
    assert main(("rm", filled.name, "-r", "nothing", "run", "empty")) == 1  # the others go all the same
    out = capsys.readouterr()
    assert out.out == "run: 1 name removed\nempty: 1 name removed\n" and "nothing" in out.err
    assert filled.entries() == []
    filled["a/b"], filled["c"] = [1], [2]
    found = ok_json(capsys, "rm", filled.name, "/", "-r")
    assert found == {"name": filled.name, "removed": [{"path": "", "names": 2}]} and filled.entries() == []


def test_the_pool_goes_with_its_last_name(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with ndpool.Pool(name, capacity="1M") as p:
        p.put("a", [1], persistent=True)
        p.put("b", [1], persistent=True)
    ok(capsys, "rm", name, "a")
    assert os.path.exists(f"/dev/shm/{name}")
    ok(capsys, "rm", name, "b")
    assert not os.path.exists(f"/dev/shm/{name}")


# ---- hdf5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: loading by the command is not tested")
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as f:
        f["run/left"], f["run/right"] = np.arange(6, dtype="u2").reshape(2, 3), np.zeros(1000)
        f["run/rec"] = np.zeros(2, [("x", "f4"), ("y", "f4")])
        f["top"] = 1.5
        f["run"].attrs["k"] = "v"
    return path


def test_hdf5_makes_a_pool_that_stays(capsys: pytest.CaptureFixture[str], name: str, file: Path) -> None:
    lines = ok(capsys, "hdf5", name, str(file)).splitlines()
    assert re.fullmatch(rf"{name}: 4 arrays, 7.8 KiB from data.h5 in \S+, \S+ \S+/s", lines[0])
    assert lines[1].split() == ["NAME", "BYTES"]
    assert re.fullmatch(r"  run/ +7.8 KiB  3 arrays", lines[2]) and re.fullmatch(r"  top +8 B  <f8 \(\)", lines[3])
    with ndpool.Pool.open(name) as p:
        assert p["run/left"].tolist() == [[0, 1, 2], [3, 4, 5]] and p["top"] == 1.5
        assert dict(p.attrs("run")) == {"k": "v"} and not p.options()["persistent"]
    ok(capsys, "rm", name, "run", "top", "-r")
    assert not os.path.exists(f"/dev/shm/{name}")


def test_hdf5_into_a_pool(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool, file: Path) -> None:
    found = ok_json(capsys, "hdf5", pool.name, str(file), "p/q", "--group", "run", "--split")
    assert found["names"] == ["p/q/left", "p/q/rec/x", "p/q/rec/y", "p/q/right"] == pool.names()
    assert (found["arrays"], found["groups"], found["skipped"]) == (4, 1, [])
    err = fails(capsys, 1, "hdf5", pool.name, str(file), "p/q")
    assert "p/q" in err and "--overwrite replaces it" in err
    verbose = ok(capsys, "hdf5", pool.name, str(file), "p/q", "--overwrite", "-v").splitlines()
    assert any(re.fullmatch(r"p/q/run/left +array +<u2 +\(2,3\) +12 B +\d+  persistent", line) for line in verbose)
    assert "p/q/left" not in pool
    ok(capsys, "hdf5", pool.name, str(file), "p/q", "--merge", "-g", "run")
    assert "p/q/left" in pool and "p/q/run/left" in pool


def test_hdf5_limits(capsys: pytest.CaptureFixture[str], name: str, file: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "large.h5", "w") as f:
        f.create_dataset("a", shape=(5 << 20,), dtype="u1")
    err = fails(capsys, 1, "hdf5", name, str(tmp_path / "large.h5"), "--capacity", "1M")
    assert f"needs {5 << 20} bytes" in err and "capacity 1048576" in err
    assert not os.path.exists(f"/dev/shm/{name}")  # the pool made for it goes, too
    ok(capsys, "hdf5", name, str(file), "--capacity", "3M")
    with ndpool.Pool.open(name) as p:
        assert p.capacity == 3 << 20
    assert "capacity" in fails(capsys, 1, "hdf5", name, str(file), "again", "--capacity", "5M")


def test_hdf5_tells_what_it_cannot_share(capsys: pytest.CaptureFixture[str], name: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: loading by the command is not tested")
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f["words"], f["a"] = ["x"], [1]
    err = fails(capsys, 1, "hdf5", name, str(tmp_path / "f.h5"))
    assert "/words: text of variable length" in err and "--skip" in err
    assert not os.path.exists(f"/dev/shm/{name}")
    out = ok(capsys, "hdf5", name, str(tmp_path / "f.h5"), "--skip")
    assert "skipped /words: text of variable length" in out


def test_hdf5_of_no_file(capsys: pytest.CaptureFixture[str], name: str, tmp_path: Path) -> None:
    assert "missing.h5" in fails(capsys, 1, "hdf5", name, str(tmp_path / "missing.h5"))
    (tmp_path / "text.h5").write_text("no HDF5")
    assert fails(capsys, 1, "hdf5", name, str(tmp_path / "text.h5"))
    assert "no group" in fails(capsys, 1, "hdf5", name, str(tmp_path / "text.h5"), "-g", "x") or True
    assert main(("hdf5", name)) == 2


def test_interrupt_leaves_nothing(name: str, tmp_path: Path) -> None:
    """Ctrl-C in the middle: code 130, no traceback, no pool."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: loading by the command is not tested")
    with h5py.File(tmp_path / "f.h5", "w") as f:
        for k in range(2000):
            f.create_dataset(f"a{k}", data=np.zeros(1000), chunks=(10,), compression="gzip")
    program = """if True:
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
        from ndpool._cli import main
        sys.exit(main())
    """
    child = subprocess.Popen(
        [sys.executable, "-c", program, "hdf5", name, str(tmp_path / "f.h5")], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end and not _arrays(name):
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and "Traceback" not in err
    assert not os.path.exists(f"/dev/shm/{name}")


def _arrays(name: str) -> int:
    """Returns the number of arrays in a pool, 0 if there is none yet."""
    try:
        return ndpool.Pool.peek(name).stats().arrays
    except ndpool.NdpoolError:
        return 0


def test_the_command_as_a_command(name: str, file: Path) -> None:
    command = [sys.executable, "-m", "ndpool"]
    done = subprocess.run([*command, "hdf5", name, str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    done = subprocess.run([*command, "names", name, "--short"], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["run/left", "run/rec", "run/right", "top"]
    subprocess.run([*command, "unlink", name], check=True, capture_output=True, timeout=60)
