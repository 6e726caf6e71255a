"""python -m ndpool."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ndpool
from ndpool._cli import main
from ndpool._text import age, human, percent, plural, shape_text, table, type_text


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Any:
    """A directory on tmpfs with nothing in it."""
    path = Path("/dev/shm") / f"{name}.d"
    path.mkdir()
    yield str(path)
    for f in path.iterdir():
        f.unlink()
    path.rmdir()


def ok(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(args) == 0, capsys.readouterr().err
    out = capsys.readouterr()
    assert out.err == ""
    return out.out


def ok_json(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    return json.loads(ok(capsys, "--json", *args))


def test_ls(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    assert ok(capsys, "-d", folder, "ls") == f"no pools in {folder}\n"
    Path(folder, "notes").write_text("no pool")
    ndpool.Pool("kept", dir=folder, capacity="1M", persistent=True).close()
    with ndpool.Pool("test", dir=folder, capacity="4M") as p:
        a = p.zeros(10)
        p.send(a)
        lines = ok(capsys, "ls", "-d", folder).splitlines()
        assert (
            lines[0].split() == "NAME STATE CAPACITY COMMITTED ARRAYS TRANSFERS PROCESSES DEAD PERSISTENT UID".split()
        )
        assert re.fullmatch(r"kept +idle +1 MiB +0 B +0 +0 +0 +0  yes +\d+", lines[1])
        assert re.fullmatch(r"test +live +4 MiB +2 MiB +1 +1 +1 +0  no +\d+", lines[2])
        assert ok(capsys, "--dir", folder, "ls", "-q") == "kept\ntest\n"
        found = ok_json(capsys, "-d", folder, "ls")
        assert found["dir"] == folder and found["unreadable"] == []
        assert [x["name"] for x in found["pools"]] == ["kept", "test"]
        assert found["pools"][1]["segment"] == p.segment.hex()
        p.recall(older_than=0)


def test_ls_arrays(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    assert ok(capsys, "ls", pool.name) == f"no arrays in {pool.name}\n"
    a = pool.zeros((2, 3), "i2", "F")
    line = ok(capsys, "ls", pool.name).splitlines()[1]
    assert re.fullmatch(r"[0-9a-f]{16}  array  <i2 +\(2,3\) +12 B +\d+\(0\) +0  private,fortran", line)
    b = pool.seal(pool.zeros(3, "u2"), hash=True)
    pool.handle(a)
    found = ok_json(capsys, "ls", pool.name)["arrays"]
    assert found[0]["handle"] == f"{pool.handle(a):016x}" and not found[0]["private"] and found[0]["fortran"]
    assert found[1]["sealed"] and found[1]["hashed"] and found[1]["holders"][0]["pid"] == os.getpid()
    del b


def test_ls_structured(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    a = pool.zeros(3, [("x", "f4"), ("y", "u1", (2,))])
    assert "{x:<f4,y:|u1(2)}" in ok(capsys, "ls", pool.name)
    assert json.loads(ok_json(capsys, "ls", pool.name)["arrays"][0]["dtype"])["itemsize"] == a.itemsize


def test_ps(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    a = pool.zeros(40 << 10, "u1")
    out = ok(capsys, "ps", pool.name)
    assert re.match(
        r"SLOT  ID +PID +UID  COMMAND +ALIVE +ATTACHED  ARRAYS +BYTES +CACHED\n +0  0\.1 +\d+ +\d+  \S+ +yes ", out
    )
    found = ok_json(capsys, "ps", pool.name)["processes"]
    assert (
        found[0]["id"] == "0.1"
        and found[0]["pid"] == os.getpid()
        and found[0]["alive"]
        and found[0]["bytes"] == a.nbytes
    )


def test_stat(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    a = pool.zeros(1 << 20, "u1")
    out = ok(capsys, "stat", pool.name)
    assert f"pool         {pool.path}, live, ends with its last process\n" in out
    assert "arrays       1 of " in out and "so far       nobody died, nothing expired\n" in out
    v = ok_json(capsys, "stat", pool.name)
    assert v["state"] == "live" and v["stats"]["live"] == a.nbytes and v["waste"] == 0 and v["mode"] == "0600"
    assert v["capacity"] == 64 << 20 and v["grace_seconds"] == 600 and v["process_limit"] == 254


def test_looking_attaches_nobody(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    for verb in ("ls", "ps", "stat"):
        ok(capsys, verb, pool.name)
    assert pool.stats().processes == 1
    assert pool.processes()[0].id == pool.process


def test_verify(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool, folder: str) -> None:
    assert ok(capsys, "verify", pool.name) == (
        f"{pool.name}: clean; 0 arrays; not the laws of a pool at rest, since slots are in use\n"
    )
    ndpool.Pool("kept", dir=folder, capacity="1M", persistent=True).close()
    assert ok(capsys, "-d", folder, "verify", "kept", "--content") == "kept: clean; 0 arrays\n"
    v = ok_json(capsys, "-d", folder, "verify", "kept")
    assert v == {
        "name": "kept",
        "image": False,
        "clean": True,
        "faults": [],
        "more": 0,
        "quiet": True,
        "indexes": True,
        "arrays": 0,
    }


def test_verify_tells_faults(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    ndpool.Pool("kept", dir=folder, capacity="1M", persistent=True).close()
    with open(Path(folder, "kept"), "r+b") as f:
        f.seek(8191)
        f.write(b"\x01")  # the end of the control words, which is reserved
    code = main(["-d", folder, "verify", "kept"])
    out = capsys.readouterr()
    assert code == 1 and ": 1 fault" in out.out and "reserved" in out.out


def test_reap_and_unlink(capsys: pytest.CaptureFixture[str], folder: str, run: Any) -> None:
    run(
        """
        import os, sys, ndpool
        p = ndpool.Pool("left", dir=sys.argv[1], capacity="1M")
        a = p.zeros(100)
        os.kill(os.getpid(), 9)
        """,
        folder,
        code=-9,
    )
    assert ok(capsys, "-d", folder, "reap", "-n").endswith(": 1 dead process swept, removed (dry run)\n")
    assert ok_json(capsys, "-d", folder, "ls")["pools"][0]["state"] == "left behind"
    assert ok(capsys, "-d", folder, "reap", "left").startswith("left: 1 dead process swept, removed")
    assert ok(capsys, "-d", folder, "reap") == f"no pools in {folder}\n"
    with ndpool.Pool("used", dir=folder, capacity="1M"):
        assert ok(capsys, "-d", folder, "reap") == "used: nothing to do\n"
        assert ok(capsys, "-d", folder, "unlink", "used") == (
            "used: unlinked; its memory goes with the 1 process still attached\n"
        )
    Path(folder, "notes").write_text("no pool, but long enough")
    assert main(["-d", folder, "unlink", "notes"]) == 1
    assert Path(folder, "notes").exists()


def test_exit_codes(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    assert main(["-d", folder, "stat", "nothing"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("ndpool: ") and err.endswith("(ls lists the pools)\n") and err.count("\n") == 1
    assert main(["-d", folder, "stat", "a/b"]) == 2
    assert main(["-d", folder + "/missing", "ls"]) == 1
    assert main(["stat"]) == 2
    assert main(["nonsense"]) == 2
    capsys.readouterr()
    for args in ([], ["--help"], ["ls", "--help"], ["verify", "-h"], ["--version"]):
        assert main(args) == 0
    assert "Examples:" in capsys.readouterr().out


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ndpool._cli_look.pool_list", interrupt)
    assert main(["ls"]) == 130


def test_hostile_names(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    ndpool.Pool("a\x1b[31mred", dir=folder, capacity="1M", persistent=True).close()
    assert "\x1b" not in ok(capsys, "-d", folder, "ls")
    assert ok_json(capsys, "-d", folder, "ls")["pools"][0]["name"] == "a\x1b[31mred"


def test_as_a_module(folder: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent), "NDPOOL_DIR": folder}
    done = subprocess.run([sys.executable, "-m", "ndpool", "ls"], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"no pools in {folder}\n", "")


def test_words() -> None:
    assert [human(n) for n in (0, 1023, 1024, 1536, 1048575, 1 << 30, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "1.5 KiB",
        "1 MiB",
        "1 GiB",
        "5 TiB",
    ]
    assert [age(s) for s in (-1, 0.25, 4.2, 5, 65, 3600 * 3 + 1200, 86400 * 5 + 7200)] == [
        "0s",
        "250ms",
        "4.2s",
        "5s",
        "1m05s",
        "3h20m",
        "5d02h",
    ]
    assert [percent(a, b) for a, b in ((0, 0), (1, 8), (1, 3), (5, 5))] == ["0 %", "12.5 %", "33.3 %", "100 %"]
    assert plural(1, "fault", "faults") == "1 fault" and plural(0, "fault", "faults") == "0 faults"
    assert [shape_text(s) for s in ((), (3,), (2, 3))] == ["()", "(3,)", "(2,3)"]
    assert table(["A", ">BB"], [["x", 1], ["yy", 100]]) == ["A    BB", "x     1", "yy  100"]
    import numpy as np

    assert type_text(np.dtype([("a", "f4"), ("b", [("c", "i2", (2, 3))])])) == "{a:<f4,b:{c:<i2(2,3)}}"
