"""Files of numpy in and out of a pool."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors, npy

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "scalar": np.array(2.5),
    "none": np.zeros((3, 0, 2), "i4"),
    "c": np.arange(24, dtype=">i4").reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    "bool": np.array([True, False]),
    "text": np.array(["ä", "bc"]),
    "day": np.array(["2020-02-29"], "M8[D]"),
    "record": np.array([(1, b"x", [1, 2])], [("a", "<u2"), ("b", "S3"), ("c", "f2", (2,))]),
    "umlaut": np.zeros(2, [("größe", "f4"), ("日", "i1")]),
    "padded": np.zeros(2, np.dtype([("a", "u1"), ("b", "f8")], align=True)),
}


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def nothing(pool: ndpool.Pool) -> None:
    assert pool.entries() == [] and pool.stats().arrays == 0


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
@pytest.mark.parametrize("name", ARRAYS)
def test_load_and_save(pool: ndpool.Pool, tmp_path: Path, name: str) -> None:
    a, path = ARRAYS[name], tmp_path / "a.npy"
    np.save(path, a)
    got = npy.load(pool, path)
    assert same(got, a) and pool.owns(got) and pool.names() == []
    assert got.flags.fnc == a.flags.fnc
    npy.load(pool, path, "g/a", attrs={"unit": "mm"})
    assert same(pool["g/a"], a) and dict(pool.attrs("g/a")) == {"unit": "mm"}
    for source, args in ((a, ()), (pool, ("g/a",))):
        npy.save(source, tmp_path / "b.npy", *args, overwrite=True)
        again = np.load(tmp_path / "b.npy")
        assert same(again, a) and again.flags.fnc == a.flags.fnc


def test_more_than_one_slab(pool: ndpool.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npy, "SLAB", 1000)
    monkeypatch.setattr(npy, "PIECE", 1000)
    a = np.arange(10_000)
    np.save(tmp_path / "a.npy", a)
    np.savez_compressed(tmp_path / "a.npz", a=a)
    assert same(npy.load(pool, tmp_path / "a.npy"), a)
    npy.load_npz(pool, tmp_path / "a.npz")
    assert same(pool["a"], a)


class Bomb:
    """Tells if it is unpickled."""

    went_off = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Bomb, "went_off", True)


def test_objects_are_never_unpickled(pool: ndpool.Pool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Bomb()], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", good=np.arange(3), bad=np.array([Bomb()], object))
    with pytest.raises(errors.UnsupportedError, match="Python objects"):
        npy.load(pool, tmp_path / "a.npy")
    with pytest.raises(errors.UnsupportedError, match=r"bad\.npy"):
        npy.load_npz(pool, tmp_path / "a.npz")
    nothing(pool)
    assert [s.path for s in npy.load_npz(pool, tmp_path / "a.npz", skip=True).skipped] == ["bad.npy"]
    assert pool.names() == ["good"] and not Bomb.went_off
    with pytest.raises(ValueError):
        npy.save(np.array([Bomb()], object), tmp_path / "b.npy")
    with pytest.raises(errors.UnsupportedError, match="b: "):
        npy.save_npz({"b": np.array([Bomb()], object)}, tmp_path / "b.npz")
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "a.npz"]


def header(text: str, version: int = 1) -> bytes:
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes((version, 0)) + size + text.encode()


GOOD = "{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends after 0"),
        (pickle.dumps([1] * 100), "NUMPY"),
        (header(GOOD, 4), "version"),
        (header(GOOD)[:30], "ends after 20"),
        (header(GOOD) + bytes(11), "ends after 11 of 12"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "header of 4294967295 bytes"),
        (header("__import__('os')"), "nothing that numpy knows"),
        (header("[" * 5000), "nothing that numpy knows"),
        (header("{'descr': '<i4', 'fortran_order': False}"), "nothing that numpy knows"),
        (header("{'descr': 'x9', 'fortran_order': False, 'shape': (3,)}"), "nothing that numpy knows"),
        (header("{'descr': '<i4', 'fortran_order': False, 'shape': (-3,)}"), "shape"),
        (header("{'descr': '<i4', 'fortran_order': False, 'shape': [3]}"), "shape"),
        (header("{'descr': '<i4', 'fortran_order': 1, 'shape': (3,)}"), "order"),
    ],
)
def test_what_is_no_npy(pool: ndpool.Pool, tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        npy.load(pool, tmp_path / "a.npy", "a")
    nothing(pool)


def test_a_shape_beyond_the_pool(pool: ndpool.Pool, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(header(f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({1 << 40},)}}"))
    with pytest.raises((errors.FullError, errors.SpecError)):
        npy.load(pool, tmp_path / "a.npy", "a")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as z:
        z.write(tmp_path / "a.npy", "a.npy")
    with pytest.raises(errors.FullError) as e:
        npy.load_npz(pool, tmp_path / "a.npz")
    assert e.value.asked == 4 << 40
    nothing(pool)


def test_names_that_are_taken(pool: ndpool.Pool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", [1])
    pool["a"] = [2]
    with pytest.raises(FileExistsError):
        npy.load(pool, tmp_path / "a.npy", "a")
    with pytest.raises(errors.PathError):
        npy.load(pool, tmp_path / "a.npy", "a//b")
    npy.load(pool, tmp_path / "a.npy", "a", overwrite=True)
    assert pool["a"].tolist() == [1]
    with pytest.raises(FileExistsError):
        npy.save(pool, tmp_path / "a.npy", "a")
    with pytest.raises(TypeError):
        npy.save(pool, tmp_path / "b.npy")
    with pytest.raises(errors.NoNameError):
        npy.save(pool, tmp_path / "b.npy", "b")
    assert os.listdir(tmp_path) == ["a.npy"]


# ---- npz


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
@pytest.mark.parametrize("compress", [False, True])
def test_npz_round_trip(pool: ndpool.Pool, tmp_path: Path, compress: bool) -> None:
    pool.publish({"g": {"h": ARRAYS}, "top": [1]}, "x")
    report = npy.save_npz(pool, tmp_path / "a.npz", "x", compress=compress)
    assert (report.arrays, report.groups, report.skipped) == (len(ARRAYS) + 1, 2, ())
    with np.load(tmp_path / "a.npz") as z:
        assert sorted(z.files) == sorted(["top", *(f"g/h/{name}" for name in ARRAYS)])
        assert same(z["g/h/record"], ARRAYS["record"])
    report = npy.load_npz(pool, tmp_path / "a.npz", "y")
    assert (report.arrays, report.groups) == (len(ARRAYS) + 1, 2)
    for name, a in ARRAYS.items():
        assert same(pool[f"y/g/h/{name}"], a), name
    assert pool["y/g/h/fortran"].flags.fnc


def test_npz_tells_what_it_leaves_out(pool: ndpool.Pool, tmp_path: Path) -> None:
    pool.publish({"a": ([1], {"k": 1}), "e": {}})
    report = npy.save_npz(pool, tmp_path / "a.npz")
    assert [s.path for s in report.skipped] == ["a@*", "e"]
    with pytest.raises(FileExistsError):
        npy.save_npz(pool, tmp_path / "a.npz")


def test_npz_members_that_are_no_names(pool: ndpool.Pool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", [1])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as z:
        for member in ("../up.npy", "/root.npy", "good.npy", "good"):
            z.write(tmp_path / "a.npy", member)
        z.writestr("folder/", "")
        z.writestr("text.txt", "hello")
    with pytest.raises(errors.UnsupportedError) as e:
        npy.load_npz(pool, tmp_path / "a.npz")
    bad = [path for path, _ in e.value.items]
    assert "../up.npy" in bad and "good" in bad and "text.txt" in bad
    nothing(pool)
    npy.load_npz(pool, tmp_path / "a.npz", skip=True)
    assert "good" in pool.names() and len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("compress", [False, True])
def test_a_broken_npz_leaves_nothing(pool: ndpool.Pool, tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compress else np.savez)(path, good=np.arange(3), a=np.arange(50_000))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises((zipfile.BadZipFile, OSError, ValueError, Exception)) as e:
        npy.load_npz(pool, path)
    assert "CRC" in str(e.value) or "Error -3" in str(e.value)
    nothing(pool)


def test_a_member_that_goes_on(pool: ndpool.Pool, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as z:
        z.writestr("a.npy", header(GOOD) + bytes(13))
    with pytest.raises(ValueError, match="goes on"):
        npy.load_npz(pool, tmp_path / "a.npz")
    nothing(pool)


def test_a_full_file_system_is_an_error(tmp_path: Path) -> None:
    """Also where the last bytes alone find no room. A limit of the process is such a file system, in little."""
    program = """
import resource, sys
import numpy as np
from ndpool import npy
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    npy.save(np.ones(4032, "u1"), sys.argv[1])
except OSError:
    sys.exit(7)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.npy")])
    assert ended.returncode == 7
    assert list(tmp_path.iterdir()) == []
