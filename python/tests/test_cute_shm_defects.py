"""The limits and defects of cute-shm, each as a test that passes with ndpool.compat.cute_shm."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool.compat import cute_shm
from ndpool.compat.cute_shm import _projects
from ndpool.errors import DTypeError, FullError, NoMemoryError, UnsupportedError

FORK = multiprocessing.get_context("fork")

START = """
import os, signal, sys, time
import numpy as np
from pathlib import Path
from ndpool.compat import cute_shm
cute_shm.Project2Toml.root = Path(sys.argv[1])
"""


@pytest.fixture
def cute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with a root, and so a pool, of the test's own. Nothing may be left at the end."""
    monkeypatch.setattr(cute_shm.Project2Toml, "root", tmp_path / "root")
    yield cute_shm
    for project in cute_shm.Project2Toml.list():
        cute_shm.unlink(project)
    held = _projects._state.pools.pop(place(), None)
    if held is not None:
        report = held[0].verify(content=True)
        assert report.clean, [str(f) for f in report.faults]
        held[0].close()
    assert not os.path.exists(place())


def place() -> str:
    """Returns the path of the pool that holds the projects."""
    name, where = _projects._place()
    return os.path.join(where, name)


def start(program: str, cute: ModuleType, *args: object) -> subprocess.Popen[str]:
    """Starts a program that has the test's root."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL_")}
    kept = {k: v for k, v in os.environ.items() if k.startswith("NDPOOL_CUTE_SHM")}
    return subprocess.Popen(
        [sys.executable, "-c", START + textwrap.dedent(program), str(cute.Project2Toml.root), *map(str, args)],
        env={**clean, **kept, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(child: subprocess.Popen[str], code: int = 0) -> str:
    """Returns what a program printed, which may be nothing to stderr."""
    out, err = child.communicate(timeout=100)
    assert (child.returncode, err) == (code, ""), f"{child.returncode}\n{out}\n{err}"
    return out.strip()


def run(program: str, cute: ModuleType, *args: object, code: int = 0) -> str:
    return end(start(program, cute, *args), code)


def nothing_left(cute: ModuleType) -> None:
    """Asserts that no project is there, nor any memory of one."""
    assert cute.Project2Toml.list() == {}
    try:
        pool = _projects.find_pool()
    except FileNotFoundError:
        return
    pool.reap()
    assert pool.stats().arrays == 0 and pool.entries() == []


# ---- documented: segfault, SIGBUS


def test_arrays_outlive_their_memory_objects(cute: ModuleType) -> None:
    """There: a segfault when meta["shm"] is collected, closed or dropped."""
    cute.arrays_to_shm("p", {"a": np.arange(1 << 16), "b": np.arange(10)})

    def data_only() -> Any:
        return cute.shm_to_arrays("p")["a"]["data"]

    a = data_only()
    gc.collect()
    assert a.sum() == (1 << 15) * ((1 << 16) - 1)
    found = cute.shm_to_arrays("p")["b"]
    found["meta"]["shm"].close()
    del found["meta"]["shm"]
    gc.collect()
    found["data"][0] = 5
    assert list(found["data"][:3]) == [5, 1, 2]
    cute.unlink("p")
    a[0] = 1
    assert a[0] == 1 and found["data"][0] == 5


def test_a_full_pool_is_an_error(cute: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """There: SIGBUS, or a hang, when memory is full. Here nothing is left of what had been copied."""
    monkeypatch.setenv(_projects.CAPACITY, "8M")
    with pytest.raises(FullError) as e:
        cute.arrays_to_shm("p", {"small": np.zeros(1 << 16), "large": np.zeros(2 << 20)})
    assert isinstance(e.value, MemoryError)
    assert e.value.asked == 16 << 20 and e.value.capacity == 8 << 20 and e.value.free is not None
    nothing_left(cute)


def test_full_memory_is_an_error(cute: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(small)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a small tmpfs")
    monkeypatch.setenv(_projects.DIR, str(small))
    try:
        (small / "other").write_bytes(bytes(9 << 20))
        with pytest.raises((NoMemoryError, FullError)) as e:
            cute.arrays_to_shm("p", {"first": np.zeros(1 << 18), "second": np.zeros(1 << 20)})
        assert isinstance(e.value, MemoryError) and e.value.asked and e.value.capacity
        nothing_left(cute)
        (small / "other").unlink()
        cute.arrays_to_shm("p", {"first": np.ones(1 << 18), "second": np.ones(1 << 19)})
        assert cute.shm_to_arrays("p")["second"]["data"].sum() == 1 << 19
        cute.unlink("p")
        _projects._state.pools.pop(place())[0].close()
        assert not os.path.exists(place())
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_overwrite_without_room_for_both(
    cute: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the original can, since it removes first, is done, and told."""
    monkeypatch.setenv(_projects.CAPACITY, "16M")
    for value in (1, 2):
        cute.arrays_to_shm("p", {"a": np.full(10 << 20, value, "u1")}, overwrite=True)
        assert cute.shm_to_arrays("p")["a"]["data"].max() == value
    assert "old one goes first" in caplog.text
    with pytest.raises(FullError):
        cute.arrays_to_shm("q", {"a": np.zeros(10 << 20, "u1")}, overwrite=True)
    assert set(cute.Project2Toml.list()) == {"p"}


# ---- not atomic


def test_a_kill_in_the_middle_leaves_nothing(cute: ModuleType) -> None:
    """There: segments that no index lists, for ever."""
    run(
        """
        class Killing(dict):
            def items(self):
                yield "a", np.ones(1 << 18)
                yield "b", {"c": np.ones(1 << 18)}
                os.kill(os.getpid(), signal.SIGKILL)
        cute_shm.arrays_to_shm("p", Killing(), persistent=True)
        """,
        cute,
        code=-signal.SIGKILL,
    )
    with pytest.raises(FileNotFoundError):
        cute.shm_to_arrays("p")
    nothing_left(cute)
    cute.arrays_to_shm("p", {"a": np.ones(2)})


def _replace(begun: Any) -> None:
    n = 0
    while True:
        n += 1
        tree = {"a": np.full(1000, n), "g": {"b": np.full(1000, n)}}
        cute_shm.arrays_to_shm("p", tree, persistent=True, overwrite=True)
        begun.set()


def test_kills_at_any_moment(cute: ModuleType) -> None:
    """A project that is replaced again and again is the old one or the new one, whole, whenever its writer is killed."""
    seed = random.randrange(1 << 32)
    rand = random.Random(seed)
    for _ in range(30):
        begun = FORK.Event()
        child = FORK.Process(target=_replace, args=(begun,))
        child.start()
        assert begun.wait(30)
        time.sleep(rand.random() * 0.05)
        child.kill()
        child.join()
        found = cute.shm_to_arrays("p")
        values = {float(v) for x in (found["a"], found["g"]["b"]) for v in np.unique(x["data"])}
        assert len(values) == 1, f"seed {seed}: {values}"
        del found
    cute.unlink("p")
    nothing_left(cute)


def _load(gate: Any, value: int, results: Any) -> None:
    gate.wait(30)
    try:
        cute_shm.arrays_to_shm("p", {"a": np.full(1 << 16, value), "b": np.full(9, value)}, persistent=True)
        results.put((value, "done"))
    except FileExistsError as e:
        results.put((value, str(e)))


def test_loaders_race(cute: ModuleType) -> None:
    """There: no lock between the look and the load. Here one wins, and all others are told."""
    for _ in range(5):
        gate, results = FORK.Barrier(4), FORK.SimpleQueue()
        children = [FORK.Process(target=_load, args=(gate, n, results)) for n in range(4)]
        for c in children:
            c.start()
        told = dict(results.get() for _ in children)
        for c in children:
            c.join()
        winners = [n for n, text in told.items() if text == "done"]
        assert len(winners) == 1 and all("'p'" in text for n, text in told.items() if n not in winners)
        found = cute.shm_to_arrays("p")
        assert set(np.unique(found["a"]["data"])) == set(np.unique(found["b"]["data"])) == set(winners)
        cute.unlink("p")


def test_a_reader_keeps_the_old_data(cute: ModuleType) -> None:
    cute.arrays_to_shm("p", {"a": np.full(1 << 18, 1)}, persistent=True)
    old = cute.shm_to_arrays("p")["a"]["data"]
    run("cute_shm.arrays_to_shm('p', {'a': np.full(1 << 18, 2)}, persistent=True, overwrite=True)", cute)
    assert old.min() == old.max() == 1
    new = cute.shm_to_arrays("p")["a"]["data"]
    assert new.min() == new.max() == 2
    cute.unlink("p")
    assert old.max() == 1 and new.min() == 2


def test_an_index_of_the_dead_deceives_nobody(cute: ModuleType) -> None:
    """There: metadata without memory, which also keeps the next loader out."""
    run("cute_shm.arrays_to_shm('p', {'a': np.ones(3)}); os.kill(os.getpid(), 9)", cute, code=-signal.SIGKILL)
    index = cute.Project2Toml.get_path("p")
    assert index.exists()
    with pytest.raises(FileNotFoundError):
        cute.shm_to_arrays("p")
    cute.arrays_to_shm("p", {"a": np.ones(3)})
    cute.unlink("p")
    run("cute_shm.arrays_to_shm('q', {'a': np.ones(3)}); os.kill(os.getpid(), 9)", cute, code=-signal.SIGKILL)
    index = cute.Project2Toml.get_path("q")
    assert index.exists() and cute.Project2Toml.list() == {} and not index.exists()


def test_indexes_are_whole(cute: ModuleType) -> None:
    """There: written in place. Here whoever reads one while it is replaced reads all of it."""
    tomllib = pytest.importorskip("tomllib")
    path = cute.arrays_to_shm("p", {str(n): np.zeros(1) for n in range(100)}, persistent=True)
    child = start(
        """
        for _ in range(30):
            cute_shm.arrays_to_shm("p", {str(n): np.zeros(1) for n in range(100)}, persistent=True, overwrite=True)
        """,
        cute,
    )
    reads = 0
    while child.poll() is None:
        assert len(tomllib.loads(path.read_text())) == 100
        reads += 1
    end(child)
    assert reads > 0 and [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_context_manager_removes_nothing(cute: ModuleType) -> None:
    """There: the project that made it fail is unlinked."""
    cute.arrays_to_shm("p", {"a": np.ones(3)})
    with pytest.raises(FileExistsError), cute.unlinked_arrays_to_shm("p", {"a": np.zeros(3)}):
        pass
    assert cute.shm_to_arrays("p")["a"]["data"].sum() == 3
    with cute.unlinked_arrays_to_shm("q", {"a": np.zeros(3)}):
        cute.arrays_to_shm("q", {"a": np.ones(3)}, overwrite=True)
    assert cute.shm_to_arrays("q")["a"]["data"].sum() == 3 and cute.Project2Toml.get_path("q").exists()
    with cute.unlinked_arrays_to_shm("r", {"a": np.zeros(3)}):
        cute.unlink("r")


# ---- lifetimes: no resource tracker


def test_without_persistence_a_project_goes_with_its_process(cute: ModuleType) -> None:
    """With its index, and the pool's file. A killed process's project goes, too."""
    run("cute_shm.arrays_to_shm('p', {'a': np.ones(3)})", cute)
    assert not os.path.exists(place()) and not cute.Project2Toml.get_path("p").exists()
    with pytest.raises(FileNotFoundError):
        cute.shm_to_arrays("p")
    cute.arrays_to_shm("mine", {"a": np.ones(1)})
    run("cute_shm.arrays_to_shm('p', {'a': np.ones(1 << 16)}); os.kill(os.getpid(), 9)", cute, code=-signal.SIGKILL)
    assert set(cute.Project2Toml.list()) == {"mine"}


def test_persistent_projects_stay(cute: ModuleType) -> None:
    """Nobody complains on stderr: not who loads, reads, ends, or unlinks, whatever the reader says of persistence."""
    run("cute_shm.arrays_to_shm('p', {'a': np.arange(5)}, persistent=True)", cute)
    for persistent in (True, False):
        out = run("print(cute_shm.shm_to_arrays('p', persistent=sys.argv[2] == 'True')['a']['data'].sum())", cute, persistent)
        assert out == "10"
    run("cute_shm.shm_to_arrays('p'); os.kill(os.getpid(), 9)", cute, code=-signal.SIGKILL)
    assert os.path.exists(place())
    run("kept = cute_shm.shm_to_arrays('p'); cute_shm.unlink('p'); assert kept['a']['data'].sum() == 10", cute)
    assert not os.path.exists(place()) and not cute.Project2Toml.get_path("p").exists()


def test_forked_children_remove_nothing(cute: ModuleType) -> None:
    with cute.unlinked_arrays_to_shm("p", {"a": np.ones(3)}) as path:
        if (pid := os.fork()) == 0:
            try:
                cute.shm_to_arrays("p")["a"]["data"][0] = 5
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        child = FORK.Process(target=cute.shm_to_arrays, args=("p",))
        child.start()
        child.join()
        assert child.exitcode == 0 and path.exists()
        assert list(cute.shm_to_arrays("p")["a"]["data"]) == [5, 1, 1]


def test_a_forked_child_that_leaves_the_block_removes_nothing(cute: ModuleType) -> None:
    manager = cute.unlinked_arrays_to_shm("p", {"a": np.ones(3)})
    path = manager.__enter__()
    if (pid := os.fork()) == 0:
        try:
            manager.__exit__(None, None, None)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert path.exists() and cute.shm_to_arrays("p")["a"]["data"].sum() == 3
    manager.__exit__(None, None, None)
    assert not path.exists()
    nothing_left(cute)


def test_unlink_twice(cute: ModuleType) -> None:
    cute.arrays_to_shm("p", {"a": np.ones(3)}, persistent=True)
    cute.unlink("p")
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="'p'"):
            cute.unlink("p")


def test_unlink_gives_memory_back(cute: ModuleType) -> None:
    cute.arrays_to_shm("p", {"a": np.ones(8 << 20, "u1")})
    before = os.stat(place()).st_blocks * 512
    cute.unlink("p")
    assert before - os.stat(place()).st_blocks * 512 >= 6 << 20


def test_a_file_that_was_removed_by_hand(cute: ModuleType) -> None:
    """As the original's manual recommends: what is in use stays valid, and the next project is found by others."""
    cute.arrays_to_shm("p", {"a": np.ones(3)}, persistent=True)
    old = cute.shm_to_arrays("p")["a"]["data"]
    os.unlink(place())
    assert cute.Project2Toml.list() == {}
    cute.arrays_to_shm("p", {"a": np.arange(3)}, persistent=True)
    assert run("print(cute_shm.shm_to_arrays('p')['a']['data'])", cute) == "[0 1 2]" and old.sum() == 3


# ---- what arrays, keys and attributes can be


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype([("id", "i4"), ("value", "f8"), ("flag", "?")]),
        np.dtype([("p", [("x", ">f4"), ("y", "<f4")]), ("m", "u1", (2, 2))], align=True),
        np.dtype("U7"),
        np.dtype("S3"),
        np.dtype("M8[us]"),
        np.dtype(">i2"),
        np.dtype("c16"),
        np.dtype("V5"),
    ],
    ids=str,
)
def test_dtypes_read_back(cute: ModuleType, dtype: np.dtype[Any]) -> None:
    """There: structured types can be written, and not read."""
    given = np.frombuffer(bytes(n % 2 for n in range(dtype.itemsize * 6)), dtype).reshape(2, 3)
    cute.arrays_to_shm("p", {"a": given})
    found = cute.shm_to_arrays("p")["a"]
    assert found["data"].dtype == dtype and found["data"].tobytes() == given.tobytes()
    assert found["meta"]["dtype"] == str(dtype)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1)])
def test_shapes(cute: ModuleType, shape: tuple[int, ...]) -> None:
    """There: 0-d is an IndexError, no elements a ValueError."""
    cute.arrays_to_shm("p", {"a": np.full(shape, 7, "i2")})
    found = cute.shm_to_arrays("p")["a"]
    assert found["data"].shape == found["meta"]["shape"] == shape and (found["data"] == 7).all()
    assert found["meta"]["shm"].size == found["data"].nbytes == len(found["meta"]["shm"].buf)


KEYS = ["shm_name", "shm_private_name", "shm", "shape", "dtype", "attrs", "meta", "data"]


def test_keys_that_are_words_of_the_format(cute: ModuleType) -> None:
    """There: a key shm_name breaks the walk."""
    inner = {key: np.full(2, n) for n, key in enumerate(KEYS)}
    cute.arrays_to_shm("p", {**inner, "group": inner})
    found = cute.shm_to_arrays("p")
    for n, key in enumerate(KEYS):
        assert found[key]["data"][0] == n and found["group"][key]["data"][1] == n
    cute.unlink("p")
    cute.arrays_to_shm("p", {key: inner for key in KEYS})
    assert cute.shm_to_arrays("p")["shm_name"]["shm_name"]["data"].sum() == 0


def test_keys_that_are_no_components(cute: ModuleType) -> None:
    keys = ["a/b", "", ".", "..", "%", "%2F", "%25", "50%", "a b", "é", "\0", "\n", "...", "/", "%00"]
    for project in ("p", "a/b", "..", "", "50%"):
        with cute.unlinked_arrays_to_shm(project, {key: np.full(1, n) for n, key in enumerate(keys)}):
            found = cute.shm_to_arrays(project)
            assert list(found) == keys and [int(x["data"][0]) for x in found.values()] == list(range(len(keys)))
            assert set(cute.Project2Toml.list()) == {project}


def test_object_arrays_are_refused_by_name(cute: ModuleType) -> None:
    """There: pointers, in shared memory."""
    for bad in (np.array(["a", None]), np.zeros(2, [("x", "O")])):
        with pytest.raises(DTypeError, match="g/names"):
            cute.arrays_to_shm("p", {"a": np.ones(3), "g": {"names": bad}})
    nothing_left(cute)


# ---- HDF5


@pytest.fixture
def h5(tmp_path: Path) -> Iterator[Any]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "given.h5", "w") as f:
        yield f


def test_attributes_of_numpy_types(cute: ModuleType, h5: Any) -> None:
    """There: the load fails at its end, and leaves all segments."""
    h5["a"] = np.zeros(2)
    given = {"f": np.float32(1.5), "i": np.int64(-3), "b": np.bool_(True), "v": np.arange(3), "m": np.eye(2), "s": "é"}
    h5["a"].attrs.update({**given, "bytes": np.bytes_(b"abc"), "texts": ["x", "y"], "nan": np.nan})
    h5.close()
    cute.hdf5_to_shm(h5_path(cute), "p")
    assert cute.shm_to_arrays("p")["a"]["meta"]["attrs"] == {
        "f": 1.5, "i": -3, "b": True, "v": [0, 1, 2], "m": [[1, 0], [0, 1]], "s": "é", "bytes": "abc",
        "texts": ["x", "y"], "nan": "NaN",
    }  # fmt: skip


def h5_path(cute: ModuleType) -> Path:
    return Path(cute.Project2Toml.root).parent / "given.h5"


def test_pointers_in_a_file_are_refused_by_name(cute: ModuleType, h5: Any) -> None:
    """Nothing is left, and what the original leaves out is left out before anybody looks at its type."""
    import h5py

    h5["good"] = np.ones(4)
    h5["g/names"] = np.array(["a", "bb"], h5py.string_dtype())
    h5["g/ragged"] = np.array([np.arange(2), np.arange(3)], h5py.vlen_dtype("i4"))
    h5["title"] = "a scalar text of any length"
    h5.flush()
    with pytest.raises(UnsupportedError) as e:
        cute.hdf5_to_shm(h5_path(cute), "p")
    assert "g/names" in str(e.value) and "g/ragged" in str(e.value) and "title" not in str(e.value)
    nothing_left(cute)
    del h5["g"]
    h5.close()
    cute.hdf5_to_shm(h5_path(cute), "p")
    assert set(cute.shm_to_arrays("p")) == {"good"}


def test_empty_and_0d_datasets(cute: ModuleType, h5: Any) -> None:
    h5["empty"], h5["scalar"], h5["compound"] = np.zeros((0, 3)), 5, np.zeros((), [("x", "i4")])
    h5.create_group("nothing")
    h5["group/only a scalar"] = 1
    h5.close()
    with cute.unlinked_hdf5_to_shm(h5_path(cute), "p"):
        found = cute.shm_to_arrays("p")
        assert set(found) == {"empty", "nothing", "group"} and found["nothing"] == found["group"] == {}
        assert found["empty"]["data"].shape == (0, 3)
        del found
    nothing_left(cute)


def _load_file(file: Path, begun: Any) -> None:
    begun.set()
    cute_shm.hdf5_to_shm(file, "p", persistent=True)


def test_a_kill_in_the_middle_of_a_file_leaves_nothing(cute: ModuleType, h5: Any) -> None:
    """All of the file is there, or nothing."""
    for n in range(16):
        h5[f"g{n % 4}/{n}"] = np.full(1 << 17, n)
    h5.close()
    seed = random.randrange(1 << 32)
    rand = random.Random(seed)
    for _ in range(10):
        begun = FORK.Event()
        child = FORK.Process(target=_load_file, args=(h5_path(cute), begun))
        child.start()
        assert begun.wait(30)
        time.sleep(rand.random() * 0.1)
        child.kill()
        child.join()
        if cute.Project2Toml.list():
            found = cute.shm_to_arrays("p")
            assert [len(found[f"g{k}"]) for k in range(4)] == [4] * 4, f"seed {seed}"
            assert all((found[f"g{n % 4}"][str(n)]["data"] == n).all() for n in range(16)), f"seed {seed}"
            del found
            cute.unlink("p")
        nothing_left(cute)


def test_hdf5_races_and_context_managers(cute: ModuleType, h5: Any) -> None:
    h5["a"] = np.ones(4)
    h5.close()
    file = h5_path(cute)
    cute.hdf5_to_shm(file, "p")
    with pytest.raises(FileExistsError, match="'p'"):
        cute.hdf5_to_shm(file, "p")
    with pytest.raises(FileExistsError), cute.unlinked_hdf5_to_shm(file, "p"):
        pass
    assert cute.shm_to_arrays("p")["a"]["data"].sum() == 4
    with cute.unlinked_hdf5_to_shm(file, "p", overwrite=True) as path:
        assert path.exists()
    assert not path.exists()
    nothing_left(cute)
    with pytest.raises(OSError):
        cute.hdf5_to_shm(file.parent / "missing.h5", "p")
    nothing_left(cute)


# ---- costs, users


def test_no_descriptor_and_no_mapping_per_array(cute: ModuleType) -> None:
    cute.arrays_to_shm("one", {"a": np.zeros(1)})
    before = _kernel_objects()
    cute.arrays_to_shm("many", {str(n): np.full(100, n) for n in range(1000)})
    found = cute.shm_to_arrays("many")
    bufs = [x["meta"]["shm"].buf for x in found.values()]
    assert len(bufs) == 1000 and found["999"]["data"][0] == 999
    descriptors, mappings = _kernel_objects()
    assert descriptors <= before[0] and mappings <= before[1] + 8  # numpy and the allocator map some
    assert len([n for n in os.listdir("/dev/shm") if n == os.path.basename(place())]) == 1


def _kernel_objects() -> tuple[int, int]:
    with open("/proc/self/maps") as f:
        shared = sum("/dev/shm" in line or " (deleted)" in line for line in f)
    return len(os.listdir("/proc/self/fd")), shared


def test_users_do_not_share_a_root(tmp_path: Path) -> None:
    """There: /tmp/cute-shm is the first user's, and in everybody else's way."""
    assert cute_shm.Project2Toml.root == Path(f"/tmp/cute-shm-{os.getuid()}") == _projects._ROOT
    assert _projects._place() == (f"cute-shm-{os.getuid()}", "/dev/shm")
    before, cute_shm.Project2Toml.root = cute_shm.Project2Toml.root, tmp_path / "a" / "b"
    try:
        assert cute_shm.Project2Toml.get_path("p").parent.stat().st_mode & 0o777 == 0o700
        with cute_shm.unlinked_arrays_to_shm("p", {"a": np.zeros(1)}) as path:
            assert os.stat(place()).st_mode & 0o777 == 0o600 and path.stat().st_mode & 0o777 == 0o600
        _projects._state.pools.pop(place())[0].close()
    finally:
        cute_shm.Project2Toml.root = before


def test_updates_under_a_lock(cute: ModuleType) -> None:
    """There: advice. Here the names of a project have locks, which tell of writers that died."""
    cute.arrays_to_shm("p", {"a": np.zeros(1)}, persistent=True)
    with _projects.find_pool().lock("p/a"):
        cute.shm_to_arrays("p")["a"]["data"][:] += 1
    run(
        """
        from ndpool.compat.cute_shm import _projects
        with _projects.find_pool().lock("p/a"):
            cute_shm.shm_to_arrays("p")["a"]["data"][:] = 7
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        cute,
        code=-signal.SIGKILL,
    )
    with _projects.find_pool().lock("p/a") as lock:
        assert lock.torn and cute.shm_to_arrays("p")["a"]["data"][0] == 7
