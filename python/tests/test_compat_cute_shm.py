"""ndpool.compat.cute_shm: its interface and its commands. What the original promises is asked of both, if it is installed.

The original's limits and defects are in test_cute_shm_defects.py."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from multiprocessing import shared_memory
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool.compat import cute_shm
from ndpool.compat.cute_shm import _projects
from ndpool.compat.cute_shm.__main__ import main
from ndpool.errors import DTypeError, PathError

OURS = "from ndpool.compat import cute_shm"
THEIRS = "import cute_shm"


@pytest.fixture
def cute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with a root, and so a pool, of the test's own. Nothing may be left at the end."""
    monkeypatch.setattr(cute_shm.Project2Toml, "root", tmp_path / "root")
    yield cute_shm
    for project in cute_shm.Project2Toml.list():
        cute_shm.unlink(project)
    name, where = _projects._place()
    held = _projects._state.pools.pop(os.path.join(where, name), None)
    if held is not None:
        report = held[0].verify(content=True)
        assert report.clean, [str(f) for f in report.faults]
        held[0].close()
    assert not os.path.exists(os.path.join(where, name))


def child(program: str, *args: object, code: int = 0) -> str:
    """Runs a program in a process of its own, which may print nothing to stderr, and returns what it printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, args)],
        env={**clean, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (code, ""), f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


# ---- what both do: the import is all that changes


TREE = """
import sys
import numpy as np
from pathlib import Path
{the_import}

cute_shm.Project2Toml.root = Path(sys.argv[1])
given = {{"a": np.diag([12, 10, 0]), "b": {{"b1": np.zeros(100, "f4"), "b2": np.zeros(300, "f4")}}}}
given["b"]["b1"][[13, 33]] = 23, 89
given["b"]["b2"][[11, 21]] = 0.24, 74
with cute_shm.unlinked_arrays_to_shm("tree", given) as path:
    assert path == cute_shm.Project2Toml.get_path("tree") and path.exists()
    assert cute_shm.Project2Toml.list() == {{"tree": path}}
    found = cute_shm.shm_to_arrays("tree")
    assert list(found) == ["a", "b"] and list(found["b"]) == ["b1", "b2"]
    for want, have in ((given["a"], found["a"]), (given["b"]["b1"], found["b"]["b1"]), (given["b"]["b2"], found["b"]["b2"])):
        data, meta = have["data"], have["meta"]
        assert type(data) is np.ndarray and data.dtype == want.dtype and (data == want).all()
        assert tuple(meta["shape"]) == want.shape and np.dtype(meta["dtype"]) == want.dtype and meta["attrs"] == {{}}
        assert bytes(meta["shm"].buf[:want.nbytes]) == want.tobytes() and meta["shm"].size == want.nbytes
        assert meta["shm"].name == meta["shm_name"] and meta["shm_private_name"] == "/" + meta["shm_name"]
    found["a"]["data"][0, 0] = 5
    again = cute_shm.shm_to_arrays("tree")  # and kept: theirs faults without
    assert again["a"]["data"][0, 0] == 5 and given["a"][0, 0] == 12
    try:
        cute_shm.arrays_to_shm("tree", given)
        raise AssertionError("no FileExistsError")
    except FileExistsError:
        pass
assert not path.exists() and cute_shm.Project2Toml.list() == {{}}
for gone in (cute_shm.shm_to_arrays, cute_shm.unlink):
    try:
        gone("tree")
        raise AssertionError("no FileNotFoundError")
    except FileNotFoundError:
        pass
print("ok")
"""

HDF5 = """
import sys
import h5py
import numpy as np
from pathlib import Path
{the_import}

root = cute_shm.Project2Toml.root = Path(sys.argv[1])
file = root / "given.h5"
with h5py.File(file, "w") as f:
    one, two = f.create_dataset("one", data=np.random.rand(10, 5)), f.create_dataset("group/two", data=np.random.rand(5, 5))
    one.attrs["unit"], one.attrs["note"] = "mm", "é"
    f["group/compound"] = np.array([(1, 0.5), (2, 1.5)], [("id", "i4"), ("value", "f4")])
    f["scalar"] = 3.0
    want = {{"one": one[:], "two": two[:]}}
size = 50 * 8 + 25 * 8 + 2 * 8
with h5py.File(file) as f:
    assert cute_shm.hdf5_size(f) == size and cute_shm.hdf5_size(f["group"]) == 25 * 8 + 2 * 8
assert cute_shm.hdf5_size(file) == cute_shm.hdf5_size(str(file)) == size
with cute_shm.unlinked_hdf5_to_shm(file, "file", progress=False):
    found = cute_shm.shm_to_arrays("file")
    assert set(found) == {{"one", "group"}} and set(found["group"]) == {{"two", "compound"}}
    assert (found["one"]["data"] == want["one"]).all() and (found["group"]["two"]["data"] == want["two"]).all()
    assert found["one"]["meta"]["attrs"] == {{"unit": "mm", "note": "é"}}
    fields = found["group"]["compound"]
    assert list(fields["id"]["data"]) == [1, 2] and list(fields["value"]["data"]) == [0.5, 1.5]
assert cute_shm.Project2Toml.list() == {{}}
assert cute_shm.hdf5_to_shm(file, "file", persistent=True) == cute_shm.Project2Toml.get_path("file")
cute_shm.hdf5_to_shm(file, "file", persistent=True, overwrite=True)
cute_shm.unlink("file")
print("ok")
"""

CONCURRENT = """
import multiprocessing, sys
import numpy as np
from pathlib import Path
{the_import}

cute_shm.Project2Toml.root = Path(sys.argv[1])
given = np.arange(1, 6, dtype="f4")
given[2] = 1.62

def read(wrong):
    found = cute_shm.shm_to_arrays("concurrent")
    data = found["test"]["data"]
    for _ in range(1500):
        if data[2] != given[2] or data.sum() != given.sum():
            with wrong.get_lock():
                wrong.value += 1

if __name__ == "__main__":
    with cute_shm.unlinked_arrays_to_shm("concurrent", {{"test": given}}):
        context = multiprocessing.get_context("fork")
        wrong = context.Value("i", 0)
        readers = [context.Process(target=read, args=(wrong,)) for _ in range(5)]
        for r in readers:
            r.start()
        for r in readers:
            r.join()
        print("ok" if wrong.value == 0 and all(r.exitcode == 0 for r in readers) else "wrong")
"""


@pytest.mark.parametrize("the_import", [OURS, THEIRS], ids=["ours", "theirs"])
@pytest.mark.parametrize("program", [TREE, HDF5, CONCURRENT], ids=["tree", "hdf5", "concurrent"])
def test_both(program: str, the_import: str, tmp_path: Path) -> None:
    """What their own tests ask for, and a little more."""
    if the_import == THEIRS and importlib.util.find_spec("cute_shm") is None:
        pytest.skip("cute-shm is not installed")
    if program is HDF5:
        pytest.importorskip("h5py")
    text = program.format(the_import=the_import)
    done = subprocess.run(
        [sys.executable, "-c", text, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0 and done.stdout.strip() == "ok", f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == "" or the_import == THEIRS


# ---- the interface


def test_names(cute: ModuleType) -> None:
    for n in cute.__all__:
        assert hasattr(cute, n)
    assert set(cute.SharedArrayMeta.__annotations__) == {"shm_name", "shm_private_name", "shm", "shape", "dtype", "attrs"}
    assert set(cute.SharedArray.__annotations__) == {"meta", "data"}
    assert cute.Project2Toml.prefix == "cute-shm."


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (-1, "<unknown>"), (1, "1.0 bytes"), (1023, "1023.0 bytes"), (1024, "1.0 KB"), (1536, "1.5 KB"),
     (1 << 20, "1.0 MB"), (5 << 29, "2.5 GB"), (1 << 40, "1.0 TB"), (1 << 50, "1.0 PB"), (1 << 61, "2048.0 PB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert cute_shm.bytes_to_human(size) == text
    if size < 1 << 60:  # theirs has no unit for more
        assert pytest.importorskip("cute_shm").bytes_to_human(size) == text


def test_overwrite(cute: ModuleType) -> None:
    cute.arrays_to_shm("p", {"a": np.zeros(3), "b": np.zeros(3)})
    with pytest.raises(FileExistsError):
        cute.arrays_to_shm("p", {"a": np.ones(3)}, overwrite=False)
    assert set(cute.shm_to_arrays("p")) == {"a", "b"}
    cute.arrays_to_shm("p", {"a": np.ones(3)}, overwrite=True)
    found = cute.shm_to_arrays("p")
    assert set(found) == {"a"} and found["a"]["data"].sum() == 3


def test_order_of_keys(cute: ModuleType) -> None:
    """The order of a dict is kept, though the catalog sorts."""
    given = {"z": np.zeros(1), "a": {"y": np.zeros(1), "b": {}, "x": np.zeros(1)}, "m": np.zeros(1)}
    cute.arrays_to_shm("p", given)
    found = cute.shm_to_arrays("p")
    assert list(found) == ["z", "a", "m"] and list(found["a"]) == ["y", "b", "x"] and found["a"]["b"] == {}
    cute.arrays_to_shm("empty", {})
    assert cute.shm_to_arrays("empty") == {} and set(cute.Project2Toml.list()) == {"p", "empty"}


def test_an_order_too_long_to_keep(cute: ModuleType) -> None:
    """Then the arrays come sorted, and all are there."""
    given = {f"{n:04}{'x' * 200}": np.zeros(1, "u1") for n in reversed(range(3000))}
    cute.arrays_to_shm("p", given)
    assert list(cute.shm_to_arrays("p")) == sorted(given)


def test_copies(cute: ModuleType) -> None:
    """What is transferred is a copy in C order, also of an array that lies in the pool already."""
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    cute.arrays_to_shm("p", {"a": fortran, "view": np.arange(10)[::3]})
    first = cute.shm_to_arrays("p")
    raw = np.ndarray((2, 3), np.int64, buffer=first["a"]["meta"]["shm"].buf)
    assert (raw == fortran).all() and list(first["view"]["data"]) == [0, 3, 6, 9]
    cute.arrays_to_shm("q", {"a": first["a"]["data"]})
    first["a"]["data"][:] = 7
    assert (cute.shm_to_arrays("q")["a"]["data"] == fortran).all()


def test_shared_memory(cute: ModuleType) -> None:
    """meta["shm"] leads to the array's bytes, pickles by name, and unlinks one array."""
    cute.arrays_to_shm("p", {"a": np.arange(4, dtype="u1"), "g": {"b": np.zeros(2)}})
    found = cute.shm_to_arrays("p")
    shm, data = found["a"]["meta"]["shm"], found["a"]["data"]
    assert isinstance(shm, shared_memory.SharedMemory) and shm.name in repr(shm)
    assert (bytes(shm.buf), shm.size) == (b"\0\1\2\3", 4)
    shm.buf[1] = 9
    assert data[1] == 9
    again = pickle.loads(pickle.dumps(shm))
    again.buf[2] = 8
    assert data[2] == 8 and cute.SharedMemory(shm.name).buf[2] == 8
    view = shm.buf
    for _ in range(2):
        shm.close()
    assert shm.buf is None and shm.size == 0 and data[1] == 9 and view[1] == 9
    shm.unlink()
    assert set(cute.shm_to_arrays("p")) == {"g"} and data[1] == 9
    for gone in (shm.unlink, lambda: cute.SharedMemory(shm.name), lambda: cute.SharedMemory("psm_12345678")):
        with pytest.raises(FileNotFoundError):
            gone()
    cute.arrays_to_shm("p", {"a": np.zeros(4)}, overwrite=True)
    with pytest.raises(FileNotFoundError):  # that name stands for another array now
        cute.SharedMemory(shm.name)


def test_debug_lines(cute: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "cute-shm"):
        cute.arrays_to_shm("p", {"g": {"x": np.zeros(256)}})
        cute.unlink("p")
    assert {r.name for r in caplog.records} == {"cute-shm"}
    text = caplog.text
    assert "g/x (2.0 KB)" in text and "unlinked project p" in text


def test_roots_are_apart(cute: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projects of one root or prefix are not those of another."""
    cute.arrays_to_shm("p", {"a": np.zeros(1)})
    for attribute, value in (("root", tmp_path / "other"), ("prefix", "mine.")):
        with monkeypatch.context() as patch:
            patch.setattr(cute.Project2Toml, attribute, value)
            assert cute.Project2Toml.list() == {}
            with cute.unlinked_arrays_to_shm("p", {"a": np.ones(1)}) as path:
                assert path == cute.Project2Toml.get_path("p") and path.exists()
                assert cute.shm_to_arrays("p")["a"]["data"][0] == 1
    assert cute.shm_to_arrays("p")["a"]["data"][0] == 0


def test_another_pool(cute: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By configure; other programs' trees in it are projects, too, and projects are names in it."""
    for key in (_projects.POOL, _projects.CAPACITY, _projects.DIR):
        monkeypatch.setenv(key, "")  # to have it as it was
    cute.configure(name, "8M")
    cute.configure()
    cute.arrays_to_shm("p", {"a": np.arange(3), "50%": np.zeros(1)})
    with ndpool.Pool.open(name) as pool:
        assert pool.capacity == 8 << 20 and list(pool["p/a"]) == [0, 1, 2]
        pool.publish({"q": {"50%25": np.ones(2)}, "single": np.zeros(1)})
        assert set(cute.Project2Toml.list()) == {"p", "q"}
        assert list(cute.shm_to_arrays("q")["50%25"]["data"]) == [1, 1]
        assert "50%" in cute.shm_to_arrays("p")
        with pytest.raises(FileNotFoundError):
            cute.shm_to_arrays("single")
        cute.unlink("q")
        pool.remove("single")
    with pytest.raises(ValueError):
        cute.configure(capacity="much")
    cute.unlink("p")
    _projects._state.pools.pop(f"/dev/shm/{name}")[0].close()
    assert not os.path.exists(f"/dev/shm/{name}")


def test_capacity_is_the_file_systems(cute: ModuleType) -> None:
    """Without a choice, whatever fits into /dev/shm fits into the pool."""
    cute.arrays_to_shm("p", {"a": np.zeros(1)})
    found = os.statvfs("/dev/shm")
    assert _projects.find_pool().capacity >= min(found.f_blocks * found.f_frsize, _projects.LARGEST) // 4096 * 4096


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children(cute: ModuleType, method: str) -> None:
    """Arrays go to children of multiprocessing by reference, with their metadata."""
    cute.arrays_to_shm("p", {"a": np.zeros(3)})
    found = cute.shm_to_arrays("p")["a"]
    with multiprocessing.get_context(method).Pool(1, _set_root, (cute.Project2Toml.root,)) as workers:
        assert workers.apply(_add_one, (found,)) == found["meta"]["shm_name"]
        assert workers.apply(_add_two, ("p",)) == 24
    assert list(found["data"]) == [3, 3, 3]


def _set_root(root: Path) -> None:
    cute_shm.Project2Toml.root = root


def _add_one(found: Any) -> str:
    found["data"] += 1
    name: str = found["meta"]["shm"].name
    return name


def _add_two(project: str) -> int:
    found: Any = cute_shm.shm_to_arrays(project)["a"]
    found["data"] += 2
    size: int = found["meta"]["shm"].size
    return size


def test_progress(cute: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar for people: none without a terminal, and it ends when it is told."""
    with cute.ShmProgress(1000):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = cute.ShmProgress(8 << 20)
    bar.start()
    bar.start()
    cute.arrays_to_shm("p", {"a": np.ones(1 << 20)})
    bar.stop()
    bar.stop()
    assert "100" in capsys.readouterr().err


# ---- the index


def test_index(cute: ModuleType) -> None:
    """It says what the original's says, to a reader of TOML, whatever the keys and the attributes are."""
    tomllib = pytest.importorskip("tomllib")
    odd = 'a "b" \\ \x7f\n é 😀 [x].y = 1'
    given = {odd: np.zeros((2, 3)), "g": {"": np.array(1), "shm_name": np.zeros(0, "f4"), "empty": {}}}
    path = cute.arrays_to_shm("p", given)
    found, index = cute.shm_to_arrays("p"), tomllib.loads(path.read_text())
    assert set(index) == {odd, "g"} and set(index["g"]) == {"", "shm_name", "empty"}
    meta = found[odd]["meta"]
    assert index[odd] == {k: list(v) if k == "shape" else v for k, v in meta.items() if k != "shm"}
    assert index["g"]["shm_name"]["shape"] == [0] and index["g"][""]["shape"] == []


def test_attributes_in_the_index(cute: ModuleType) -> None:
    from ndpool.compat.cute_shm import _toml

    tomllib = pytest.importorskip("tomllib")
    attrs = {
        "text": "é\0",
        "n": -3,
        "x": 1e300,
        "yes": True,
        "list": [1, None, [2.5, "a"]],
        "map": {"k k": [], "no": None},
        "no": None,
    }
    tree = {"a": {"shm_name": "n", "shape": (2,), "dtype": "f4", "attrs": attrs}}
    index = tomllib.loads("".join(_toml._tables(tree, ())))
    want = {"text": "é\0", "n": -3, "x": 1e300, "yes": True, "list": [1, [2.5, "a"]], "map": {"k k": []}}
    assert index["a"]["attrs"] == want


def test_index_that_cannot_be_written(cute: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The project is there all the same, and a warning tells."""
    cute.Project2Toml.root = tmp_path / "file" / "root"
    (tmp_path / "file").touch()
    cute.arrays_to_shm("p", {"a": np.ones(2)})
    assert "was not written" in caplog.text
    assert cute.shm_to_arrays("p")["a"]["data"].sum() == 2 and set(cute.Project2Toml.list()) == {"p"}
    cute.unlink("p")
    with pytest.raises(OSError):
        cute.Project2Toml.get_path("p")


def test_foreign_files_stay(cute: ModuleType) -> None:
    """list() removes indexes of projects that ended, and nothing else."""
    mine, theirs = cute.Project2Toml.get_path("ended"), cute.Project2Toml.get_path("theirs")
    path = cute.arrays_to_shm("ended", {"a": np.ones(1)})
    text = path.read_bytes()
    cute.unlink("ended")
    mine.write_bytes(text)
    theirs.write_text("[a]\nshm_name = 'x'\n")
    assert cute.Project2Toml.list() == {} and not mine.exists() and theirs.exists()


# ---- what is refused


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({1: np.zeros(1)}, TypeError),
        ({"a": np.zeros(1), "g": {"x": np.array([None])}}, DTypeError),
        ({"x" * 256: np.zeros(1)}, PathError),
        ([np.zeros(1)], (TypeError, AttributeError)),
    ],
)
def test_refused(cute: ModuleType, arrays: Any, error: Any) -> None:
    """Nothing is left of what was copied before."""
    with pytest.raises(error):
        cute.arrays_to_shm("p", arrays)
    assert cute.Project2Toml.list() == {} and _projects.find_pool().stats().arrays == 0


# ---- commands


@pytest.fixture
def command(cute: ModuleType, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Runs a command, and returns what it printed."""
    before = logging.getLogger("cute-shm").level

    def run(*args: str, code: int = 0) -> tuple[str, str]:
        try:
            assert main(args) == code
        finally:
            logging.getLogger("cute-shm").setLevel(before)
        found = capsys.readouterr()
        return found.out, found.err

    return run


@pytest.fixture
def file(tmp_path: Path) -> str:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "given.h5"
    with h5py.File(path, "w") as f:
        f["g/x"] = np.arange(1000, dtype="f4")
        f["y"] = np.zeros((4, 4))
        f["y"].attrs["unit"] = "mm"
        f["scalar"] = 1
    return str(path)


def test_commands(command: Callable[..., tuple[str, str]], cute: ModuleType, file: str) -> None:
    out, err = command("hdf5", "p", file)
    assert (
        out.splitlines()
        == [
            f"TOML metadata file: {cute.Project2Toml.get_path('p')}",
            "Datasets transferred: 3",
            "Total memory size: 4.03 KB",
        ]
        and err == ""
    )
    out, err = command("hdf5", "p", file, code=1)
    assert out == "" and err.startswith("Error: ") and "'p'" in err and "Traceback" not in err
    command("hdf5", "p", file, "-o", "-no-progress")
    assert command("hdf5", "p", file, "--overwrite", "-n")[0]
    for short in ("-s", "-short", "--short"):
        lines = command("list", short)[0].splitlines()
        assert lines[0].split() == "Project Name TOML Path Number of arrays Size Integrity".split()
        assert lines[1].split() == ["p", str(cute.Project2Toml.get_path("p")), "2", "4.03", "KB", "✓"] and len(lines) == 2
    full = command("list")[0]
    assert full.startswith(f"Project: p - {cute.Project2Toml.get_path('p')} - 4.03 KB\n")
    assert "g.x" in full and "(4, 4)" in full and "float32" in full and "unit" in full
    assert cute.shm_to_arrays("p")["y"]["meta"]["shm_name"] in full
    out, err = command("unlink", "p")
    assert "'p'" in out and err == ""
    assert command("unlink", "p", code=1)[1].startswith("Error: ")
    assert command("list") == ("No cute-shm project found.\n", "")
    assert command("hdf5", "p", "missing.h5", code=1)[1].startswith("Error: ")


def test_verbose(
    command: Callable[..., tuple[str, str]], cute: ModuleType, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    command("hdf5", "p", file, "-v")
    command("unlink", "p", "--verbose")
    assert "transfer g/x (3.91 KB)" in caplog.text and "unlinked project p" in caplog.text
    assert "Traceback" in command("unlink", "p", "-v", code=1)[1]


def test_command_line(cute: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for args in ([], ["hdf5"], ["hdf5", "p"], ["unlink"], ["frobnicate"], ["list", "p"]):
        with pytest.raises(SystemExit) as e:
            main(args)
        assert e.value.code == 2
    for args in (["--help"], ["hdf5", "--help"], ["list", "-h"], ["evaluate", "-h"]):
        with pytest.raises(SystemExit) as e:
            main(args)
        assert e.value.code == 0 and "usage: python -m ndpool.compat.cute_shm" in capsys.readouterr().out


def test_commands_of_processes(tmp_path: Path, file: str) -> None:
    """What one process loads stays for the next, until one unlinks it. Nobody complains."""
    program = """
        import sys
        from pathlib import Path
        from ndpool.compat import cute_shm
        from ndpool.compat.cute_shm.__main__ import main
        cute_shm.Project2Toml.root = Path(sys.argv[1])
        sys.exit(main(sys.argv[2:]))
    """
    read = """
        import sys
        from pathlib import Path
        from ndpool.compat import cute_shm
        cute_shm.Project2Toml.root = Path(sys.argv[1])
        print(cute_shm.shm_to_arrays("p")["g"]["x"]["data"].sum())
    """
    root = tmp_path / "root"
    child(program, root, "hdf5", "p", file)
    assert child(read, root) == child(read, root) == "499500.0"
    assert "p" in child(program, root, "list", "-s")
    child(program, root, "unlink", "p")
    assert "No cute-shm project" in child(program, root, "list")
    assert list(root.iterdir()) == []


def test_evaluate(command: Callable[..., tuple[str, str]], cute: ModuleType, file: str) -> None:
    out, _ = command("evaluate", file, "p", "--iterations", "3")
    rows = [line.split() for line in out.splitlines() if line.split() and line.split()[0] in ("1", "5", "10", "15")]
    assert [row[0] for row in rows] == ["1", "5", "10", "15"]
    assert all(float(row[1]) > 0 and float(row[2]) > 0 for row in rows)
    assert cute.Project2Toml.list() == {}
