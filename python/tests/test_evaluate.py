"""What sharing saves: python -m ndpool evaluate."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import _evaluate
from ndpool._cli import main
from ndpool._evaluate import Source, evaluate, memory_available, pss

MIB = 1 << 20


@pytest.fixture
def source(pool: ndpool.Pool) -> Source:
    """Names with 24 MiB, of different orders, and an empty one."""
    pool["g/a"] = np.random.default_rng(1).integers(0, 255, (16, MIB), "u1")
    pool["g/b"] = np.asfortranarray(np.ones((MIB, 2), "f4"))
    pool["g/none"], pool["g/scalar"] = np.zeros(0), np.array(1.0)
    return Source(pool.name, pool.dir)


def test_copies_take_more_memory(source: Source) -> None:
    told: list[str] = []
    runs = evaluate(source, 24 * MIB, [1, 3], 0.05, told.append)
    assert [(r.processes, r.shared) for r in runs] == [(1, True), (1, False), (3, True), (3, False)]
    assert all(r.rate > 0 and r.ready > 0 and not r.skipped for r in runs)
    assert told == ["1 process, shared", "1 process, copies", "3 processes, shared", "3 processes, copies"]
    shared, copies = runs[2], runs[3]
    # All of the data is resident in each: this process has it mapped, too, and takes a share of it.
    assert copies.memory - shared.memory > 2 * 24 * MIB - 4 * MIB
    assert shared.memory > 24 * MIB // 2


def test_copies_that_do_not_fit_are_left_out(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_evaluate, "memory_available", lambda: 40 * MIB)
    runs = evaluate(source, 24 * MIB, [2], 0.01, lambda line: None)
    assert not runs[0].skipped and runs[0].memory > 0
    assert runs[1].skipped == f"needs {48 * MIB} bytes, {40 * MIB} are available" and runs[1].memory == 0


def test_a_worker_that_fails_is_told(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended with code 1"):
        evaluate(Source(name, "/dev/shm"), 1, [2], 0.01, lambda line: None)
    assert "NotExistError" in capfd.readouterr().err


def test_memory_is_told() -> None:
    before = pss()
    a = np.ones(32 * MIB, "u1")
    assert 28 * MIB < pss() - before < 40 * MIB
    assert memory_available() > 0
    del a


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(("evaluate", *args, "-n", "1,2", "-t", "0.02")) == 0
    return capsys.readouterr().out


def test_the_verb_with_a_pool(capsys: pytest.CaptureFixture[str], source: Source, pool: ndpool.Pool) -> None:
    lines = run(capsys, pool.name).splitlines()
    assert lines[0] == f"{pool.name}: 4 arrays, 24 MiB"
    assert lines[1].split()[:1] == ["PROCESSES"] and [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    bars = [line.split() for line in lines[5:9]]
    assert [b[:2] for b in bars] == [["1", "shared"], ["1", "copies"], ["2", "shared"], ["2", "copies"]]
    assert len(bars[3][2]) == 40 and len(bars[2][2]) < 40
    found = json.loads(run(capsys, pool.name, "--json", "--prefix", "g/b"))
    (one,) = found["evaluated"]
    assert one["target"] == pool.name and one["bytes"] == 8 * MIB and len(one["runs"]) == 4


def test_the_verb_with_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: evaluating a file is not tested")
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as f:
        f["g/a"], f["words"] = np.ones(2 * MIB, "u1"), ["a"]
    before = set(os.listdir("/dev/shm"))
    found: Any = json.loads(run(capsys, "--json", str(path)))
    assert found["evaluated"][0]["bytes"] == 2 * MIB and found["evaluated"][0]["arrays"] == 1
    assert not {f for f in set(os.listdir("/dev/shm")) - before if f.startswith(f"ndpool-evaluate-{os.getpid()}-")}


def test_the_verb_with_other_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What lies in other files is neither shared nor copied, unless that is said: then it is both."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["x"] = np.zeros(1000)
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f["own"] = np.zeros(10)
        f["door"] = h5py.ExternalLink("other.h5", "/x")
        layout = h5py.VirtualLayout((1000,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (1000,))
        f.create_virtual_dataset("virtual", layout)
    for options, nbytes, count in (((), 80, 1), (("--external",), 16080, 3)):
        assert main(("--json", "evaluate", str(tmp_path / "f.h5"), "-n", "1", "-t", "0.02", *options)) == 0
        (found,) = json.loads(capsys.readouterr().out)["evaluated"]
        assert (found["bytes"], found["arrays"]) == (nbytes, count)
        copies = _evaluate._from_file(Source("", "", "", str(tmp_path / "f.h5"), "/", bool(options)))
        assert (sum(a.nbytes for a in copies), len(copies)) == (nbytes, count)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_picture(capsys: pytest.CaptureFixture[str], source: Source, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: the picture is not tested")
    out = run(capsys, source.name, "--plot", str(tmp_path / f"p.{kind}"))
    assert f"picture: {tmp_path}" in out
    head = (tmp_path / f"p.{kind}").read_bytes()[:8]
    assert head == b"\x89PNG\r\n\x1a\n" or head.startswith(b"<?xml")


def test_the_picture_without_matplotlib(
    capsys: pytest.CaptureFixture[str], source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(("evaluate", source.name, "--plot", "p.png")) == 1
    assert "ndpool[plot]" in capsys.readouterr().err


@pytest.mark.parametrize("args", [("-n", "0"), ("-n", "x"), ("-t", "0"), ("-n", "300")])
def test_wrong_command_lines(capsys: pytest.CaptureFixture[str], args: tuple[str, str]) -> None:
    assert main(("evaluate", "pool", *args)) == 2
