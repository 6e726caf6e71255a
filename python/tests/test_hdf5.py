"""HDF5 files in and out of a pool."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors, hdf5
from ndpool._load import slabs

h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is not tested")

RECORD = np.dtype([("id", ">i4"), ("z", "c16"), ("name", "S4"), ("v", "u1", (2, 3)), ("ok", "?")])

KINDS: dict[str, np.ndarray[Any, Any]] = {
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 3), ">i2"),
    "bool": np.array([True, False]),
    "half": np.arange(5, dtype="f2"),
    "big": np.arange(6, dtype=">f8").reshape(2, 3),
    "small": np.arange(4, dtype="i1"),
    "unsigned": np.arange(24, dtype="u8").reshape(2, 3, 4),
    "complex": np.arange(4, dtype="c8") * 1j,
    "text": np.array([b"ab", b"abc", b""], "S3"),
    "raw": np.array([b"\0ab", b"cd\0"], "V3"),
    "record": np.array([(1, 2j, b"ab", [[1, 2, 3], [4, 5, 6]], True)] * 2, RECORD),
    "record0": np.array((7, 1, b"x", [[0] * 3] * 2, False), RECORD),
    "nested": np.zeros(2, [("a", "f4"), ("b", [("c", "i2"), ("d", "f8", (2,))])]),
}
TAGGED: dict[str, np.ndarray[Any, Any]] = {
    "unicode": np.array(["ä", "日本"], "U5"),
    "day": np.array(["2020-02-29", "NaT"], "M8[D]"),
    "span": np.array([1, 2], "m8[us]"),
    "mixed": np.array([("ü", "2001-01-01")], [("t", "U3"), ("d", "M8[s]")]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with all kinds of datasets in two groups, one of them twice, and an empty group."""
    path = tmp_path / "kinds.h5"
    with h5py.File(path, "w") as f:
        for name, a in KINDS.items():
            f[f"plain/{name}"] = a
        f.create_dataset("packed/grid", data=np.arange(3000).reshape(50, 60), chunks=(7, 8), compression="gzip")
        f["packed/again"] = f["packed/grid"]
        f.create_group("nothing/here")
    return path


def nothing(pool: ndpool.Pool) -> None:
    """Asserts that a pool has no names and no blocks."""
    assert pool.names() == [] and pool.entries() == []
    assert pool.stats().arrays == 0
    assert pool.verify().clean


def same(a: Any, b: Any) -> bool:
    """Tells whether two arrays are equal to the last byte that means something."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---- what is loaded


def test_load_all_kinds(pool: ndpool.Pool, file: Path) -> None:
    report = hdf5.load(pool, file)
    for name, a in KINDS.items():
        got = pool[f"plain/{name}"]
        assert same(got, a), name
        assert ndpool.is_shared(got)
    assert np.array_equal(pool["packed/grid"], np.arange(3000).reshape(50, 60))
    assert report.arrays == len(KINDS) + 2 and report.groups == 4 and report.skipped == ()
    assert report.bytes == sum(a.nbytes for a in KINDS.values()) + 24000
    assert {n.path for n in pool.entries() if n.group} == {"plain", "packed", "nothing", "nothing/here"}
    assert {n.version for n in pool.entries() if not n.implicit} == {report.version}


def test_hard_links_are_one_array(pool: ndpool.Pool, file: Path) -> None:
    hdf5.load(pool, file, "x")
    assert pool.handle(pool["x/packed/grid"]) == pool.handle(pool["x/packed/again"])
    assert hdf5.size(file).bytes == sum(a.nbytes for a in KINDS.values()) + 24000


def test_load_a_group_below_a_prefix(pool: ndpool.Pool, file: Path) -> None:
    report = hdf5.load(pool, file, "run/7", group="/packed")
    assert pool.names() == ["run/7/again", "run/7/grid"]
    assert report.prefix == "run/7" and report.file == "kinds.h5"
    with pytest.raises(KeyError, match="nowhere"):
        hdf5.load(pool, file, group="nowhere")
    with pytest.raises(ValueError, match="is dataset"):
        hdf5.load(pool, file, group="packed/grid")


def test_text_enumerations_and_tagged_types(pool: ndpool.Pool, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("utf8", data=["é".encode(), b"x"], dtype=h5py.string_dtype("utf-8", 5))
        f.create_dataset("color", data=[0, 1], dtype=h5py.enum_dtype({"red": 0, "blue": 1}, basetype="u2"))
        f.create_dataset("cell", shape=(3,), dtype=np.dtype(("f4", (2,))))[...] = np.ones((3, 2))
        f["day"] = TAGGED["day"].astype(h5py.opaque_dtype(TAGGED["day"].dtype))
    hdf5.load(pool, path)
    assert pool["utf8"].tolist() == ["é".encode(), b"x"] and pool["utf8"].dtype == "S5"
    assert pool["color"].dtype == "u2" and pool["color"].tolist() == [0, 1]
    assert pool["cell"].shape == (3, 2) and pool["cell"].sum() == 6
    assert same(pool["day"], TAGGED["day"])
    assert all(a.dtype.metadata is None for a in map(pool.__getitem__, pool))


def test_split_makes_an_array_per_field(pool: ndpool.Pool, tmp_path: Path) -> None:
    path, many = tmp_path / "f.h5", np.zeros(1000, RECORD)
    many["id"], many["name"], many["v"] = np.arange(1000), b"ab", 3
    with h5py.File(path, "w") as f:
        f.create_dataset("many", data=many, chunks=(100,), compression="gzip").attrs["unit"] = "mm"
        f["one"] = many[7]
        f["none"] = many[:0]
    report = hdf5.load(pool, path, split=True, chunk=3000)
    for name in RECORD.names or ():
        assert same(pool[f"many/{name}"], np.ascontiguousarray(many[name])), name
        assert np.array_equal(pool[f"one/{name}"], many[name][7]), name
        assert pool[f"none/{name}"].shape == many[name][:0].shape
    assert pool.attrs("many")["unit"] == "mm"
    assert report.arrays == 15 and report.groups == 3 and report.bytes == many.nbytes + RECORD.itemsize


@pytest.mark.parametrize("chunk", [1, 100, 1000, "64M"])
@pytest.mark.parametrize("chunks", [None, (7, 8), (50, 1), (1, 60)])
def test_slabs_of_any_size(pool: ndpool.Pool, tmp_path: Path, chunk: int | str, chunks: Any) -> None:
    data = np.arange(3000, dtype="u2").reshape(50, 60)
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f.create_dataset("a", data=data, chunks=chunks)
    hdf5.load(pool, tmp_path / "f.h5", chunk=chunk)
    assert np.array_equal(pool["a"], data)


@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (4, 5, 6), (1, 1, 7), (3, 0)])
@pytest.mark.parametrize("limit", [1, 8, 50, 10**6])
@pytest.mark.parametrize("chunk", [None, 1, 2, 4])
def test_slabs_cover_once(shape: tuple[int, ...], limit: int, chunk: int | None) -> None:
    seen = np.zeros(shape, int)
    chunks = None if chunk is None else (chunk,) * len(shape)
    for box in slabs(shape, 2, limit, chunks):
        seen[box] += 1
        assert seen[box].size * 2 <= max(limit, 2 * (chunk or 1) ** len(shape))
        if chunk is not None:
            assert all(s.start % chunk == 0 and (s.stop % chunk == 0 or s.stop == n) for s, n in zip(box, shape, strict=True))
    assert (seen == 1).all()


def test_progress_tells_every_byte(pool: ndpool.Pool, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr("ndpool._progress._Silent.add", lambda self, n: told.append(n))
    report = hdf5.load(pool, file, progress=False, chunk=500)
    assert sum(told) == report.bytes and len(told) > 50


@pytest.mark.parametrize("tqdm", [True, False])
def test_progress_on_stderr(
    pool: ndpool.Pool, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tqdm: bool
) -> None:
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    hdf5.load(pool, file, "a")  # no terminal
    assert capsys.readouterr().err == ""
    hdf5.load(pool, file, "b", progress=True)
    err = capsys.readouterr().err
    assert "load kinds.h5: " in err and "100" in err and err.endswith("\n")


# ---- attributes


def test_attributes(pool: ndpool.Pool, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as f:
        a = f.create_dataset("g/a", data=[1])
        a.attrs["text"], a.attrs["bytes"], a.attrs["n"] = "mm", b"xy", np.int16(-3)
        a.attrs["list"], a.attrs["words"] = np.arange(3.0), ["a", "b"]
        a.attrs["nan"], a.attrs["up"], a.attrs["flag"] = np.nan, [np.inf, -np.inf], True
        a.attrs["void"], a.attrs["nothing"] = h5py.Empty("f4"), h5py.Empty("S1")
        f["g"].attrs["of"] = "group"
        f.create_group("empty").attrs["k"] = 1
        f.attrs["title"] = "whole"
    report = hdf5.load(pool, path, "p")
    assert dict(pool.attrs("p/g/a")) == {
        "text": "mm",
        "bytes": "xy",
        "n": -3,
        "list": [0.0, 1.0, 2.0],
        "words": ["a", "b"],
        "nan": "NaN",
        "up": ["Infinity", "-Infinity"],
        "flag": True,
        "void": None,
        "nothing": "",
    }
    assert dict(pool.attrs("p/g")) == {"of": "group"} and dict(pool.attrs("p/empty")) == {"k": 1}
    assert dict(pool.attrs("p")) == {"title": "whole"} and report.skipped == ()
    report = hdf5.load(pool, path)
    assert [s.path for s in report.skipped] == ["/@*"]  # the root has no name


def test_attributes_that_json_has_not(pool: ndpool.Pool, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver="latest") as f:
        f["a"] = [1]
        f["a"].attrs["ref"], f["a"].attrs["z"], f["a"].attrs["good"] = f["a"].ref, 1j, 1
        f["b"] = [1]
        f["b"].attrs["long"] = np.zeros(600_000, "i1")
    with pytest.raises(errors.UnsupportedError) as e:
        hdf5.load(pool, path)
    assert [path for path, _ in e.value.items] == ["/a@ref", "/a@z", "/b@*"]
    nothing(pool)
    report = hdf5.load(pool, path, skip=True)
    assert dict(pool.attrs("a")) == {"good": 1} and dict(pool.attrs("b")) == {}
    assert [s.path for s in report.skipped] == ["/a@ref", "/a@z", "/b@*"]


# ---- what is refused


def test_dimension_scales_are_left_out_and_noted(pool: ndpool.Pool, tmp_path: Path) -> None:
    """What netCDF4 files have: scales of dimensions, which refer to the datasets, and back."""
    path = tmp_path / "scales.h5"
    with h5py.File(path, "w") as f:
        f["t"], f["x"] = np.arange(3.0), np.arange(3.0)
        f["t"].make_scale("time")
        f["x"].dims[0].attach_scale(f["t"])
        f["x"].attrs["_FillValue"] = np.nan
    report = hdf5.load(pool, path, "weather")
    assert {s.path for s in report.skipped} == {"/x@DIMENSION_LIST", "/t@REFERENCE_LIST"}
    assert dict(pool.attrs("weather/x")) == {"_FillValue": "NaN"}
    assert pool.attrs("weather/t")["NAME"] == "time"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A file with one good dataset and much that cannot be shared."""
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as f:
        f["good"] = np.arange(3)
        f["words"] = ["a", "b"]
        f["refs"] = np.array([f["good"].ref], h5py.ref_dtype)
        f.create_dataset("ragged", shape=(2,), dtype=h5py.vlen_dtype("i4"))
        f.create_dataset("rec", shape=(2,), dtype=[("x", "f4"), ("s", h5py.string_dtype())])
        f["null"] = h5py.Empty("f4")
        f["wide"] = np.ones(2, "g")
        f["named"] = np.dtype("f8")
        f["lost"] = h5py.SoftLink("/nowhere")
        f["out"] = h5py.ExternalLink("other.h5", "/x")
        f["n" * 300] = 1
        h5py.h5d.create(f.id, b"time", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((2,)))
    return path


ODD = {
    "/words": "text of variable length",
    "/refs": "references",
    "/ragged": "arrays of variable length",
    "/rec": "text of variable length in field 's'",
    "/null": "no data",
    "/wide": "machine to machine",
    "/named": "named datatype",
    "/lost": "a soft link to /nowhere",
    "/out": "another file, other.h5",
    "/" + "n" * 300: "300 bytes",
    "/time": "no such type",
}


def test_all_that_cannot_be_shared_is_named(pool: ndpool.Pool, odd: Path) -> None:
    with pytest.raises(errors.UnsupportedError) as e:
        hdf5.load(pool, odd)
    found = dict(e.value.items)
    assert found.keys() == ODD.keys()
    for path, why in ODD.items():
        assert why in found[path], path
        assert path in str(e.value)
    nothing(pool)
    assert isinstance(e.value, TypeError)


def test_skip_leaves_it_out(pool: ndpool.Pool, odd: Path) -> None:
    report = hdf5.load(pool, odd, skip=True)
    assert pool.names() == ["good"] and report.arrays == 1
    assert {s.path for s in report.skipped} == ODD.keys() == {s.path for s in hdf5.size(odd).skipped}
    split = hdf5.load(pool, odd, "split", skip=True, split=True)
    assert "split/rec/x" in pool and {"/rec.s"} == {s.path for s in split.skipped} - ODD.keys()


def test_a_filter_that_is_not_installed(pool: ndpool.Pool, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as f:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((4,))
        made.set_filter(32999, h5py.h5z.FLAG_OPTIONAL)
        h5py.h5d.create(f.id, b"a", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((8,)), made)
    with pytest.raises(errors.UnsupportedError, match="filter 32999"):
        hdf5.load(pool, path)


def test_links(pool: ndpool.Pool, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["x"] = 1
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as f:
        f["a/b/data"] = np.arange(3)
        f["soft"] = h5py.SoftLink("/a/b/data")
        f["way"] = h5py.SoftLink("/a")
        f["a/b/up"] = f["a"]  # a circle of hard links
        f["a/b/root"] = h5py.SoftLink("/")
        f["door"] = h5py.ExternalLink("other.h5", "/")
        f["through"] = h5py.SoftLink("/door/x")
    report = hdf5.load(pool, path, skip=True)
    assert pool.names() == ["a/b/data", "soft", "way/b/data"]
    assert len({pool.handle(pool[name]) for name in pool}) == 1
    told = dict(report.skipped)
    assert told["/a/b/up"] == "leads back to /a, which it is in" and told["/a/b/root"].startswith("leads back to /")
    assert "another file" in told["/door"] and "another file" in told["/through"]


def test_external(pool: ndpool.Pool, tmp_path: Path) -> None:
    """Other files are read if that is said: as groups and arrays of the file itself, each array once, and circles end."""
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["x"] = np.arange(4)
        f["x"].attrs["unit"] = "m"
        f["y"] = f["x"]
        f["back"] = h5py.ExternalLink("f.h5", "/")
        f["g/up"] = h5py.SoftLink("/")
    (tmp_path / "sub").mkdir()
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as f:
        f["own"] = np.arange(3)
        f["door"] = h5py.ExternalLink("other.h5", "/")
        f["again"] = h5py.ExternalLink("other.h5", "/x")
        f["through"] = h5py.SoftLink("/door/x")
        f["lost"] = h5py.ExternalLink("missing.h5", "/x")
        f["astray"] = h5py.ExternalLink("other.h5", "/nothing")
    wanted = ["again", "door/x", "door/y", "own", "through"]
    size = hdf5.size(path, external=True)
    report = hdf5.load(pool, path, "in", skip=True, external=True)
    assert report.arrays == size.arrays == 5 and pool.names("in") == [f"in/{name}" for name in wanted]
    assert len({pool.handle(pool[f"in/{name}"]) for name in wanted}) == 2
    assert pool["in/again"].tolist() == [0, 1, 2, 3] and dict(pool.attrs("in/again")) == {"unit": "m"}
    told = dict(report.skipped)
    assert told.keys() == {"/lost", "/astray", "/door/back", "/door/g/up"}
    assert "missing.h5, to /x" in told["/lost"] and "other.h5, to /nothing" in told["/astray"]
    assert told["/door/back"] == "leads back to /, which it is in"
    with pytest.raises(errors.UnsupportedError, match=r"missing\.h5"):
        hdf5.load(pool, path, "out", external=True)
    assert hdf5.load(pool, path, "group", group="door", skip=True, external=True).arrays >= 2
    with h5py.File(tmp_path / "other.h5", "a") as f:  # nobody has it open any more
        f["x"][0] = 9


def test_virtual_datasets(pool: ndpool.Pool, tmp_path: Path) -> None:
    """Those of the file itself are data as any; those of other files are if that is said, also by the command."""
    from ndpool._cli import main

    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["x"] = np.arange(4.0)
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f["g/x"] = np.arange(6.0)
        for name, source in (("own", "."), ("others", "other.h5")):
            layout = h5py.VirtualLayout((2, 4), "f8")
            layout[0] = h5py.VirtualSource(source, "g/x" if source == "." else "x", (6,) if source == "." else (4,))[:4]
            f.create_virtual_dataset(name, layout, fillvalue=-1)
    with pytest.raises(errors.UnsupportedError, match=r"other\.h5 .*external=True, or --external"):
        hdf5.load(pool, tmp_path / "f.h5")
    hdf5.load(pool, tmp_path / "f.h5", "plain", skip=True)
    assert pool.names() == ["plain/g/x", "plain/own"]
    assert pool["plain/own"].tolist() == [[0, 1, 2, 3], [-1] * 4]
    hdf5.load(pool, tmp_path / "f.h5", "all", external=True)
    assert (pool["all/others"] == pool["plain/own"]).all()
    assert main(["hdf5", pool.name, str(tmp_path / "f.h5"), "cli"]) == 1
    assert main(["hdf5", pool.name, str(tmp_path / "f.h5"), "cli", "--external", "--no-progress"]) == 0
    assert (pool["cli/others"] == pool["plain/own"]).all()


def test_circles_alone_are_no_reason_to_refuse(pool: ndpool.Pool, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f["g/a"] = 1
        f["g/g"] = f["g"]
    assert hdf5.load(pool, tmp_path / "f.h5").arrays == 1


def test_groups_that_multiply_are_bounded(pool: ndpool.Pool, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as f:
        g = f
        for _ in range(40):  # 2**40 paths lead to the last one
            h = g.create_group("l")
            g["r"] = h
            g = h
    with pytest.raises(errors.TableFullError):
        hdf5.load(pool, tmp_path / "f.h5")
    nothing(pool)


def test_names_that_are_no_unicode(pool: ndpool.Pool, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f.create_dataset(b"\xff", data=1)
        f["日本"] = 2
    with pytest.raises(errors.UnsupportedError) as e:
        hdf5.load(pool, tmp_path / "f.h5")
    str(e.value).encode()
    assert hdf5.load(pool, tmp_path / "f.h5", skip=True).arrays == 1
    assert pool.names() == ["日本"]


# ---- names that are taken, and room


def test_taken_overwrite_merge(pool: ndpool.Pool, file: Path) -> None:
    pool["plain"] = np.arange(3)
    with pytest.raises(FileExistsError) as e:
        hdf5.load(pool, file)
    assert isinstance(e.value, errors.NameTakenError) and pool.names() == ["plain"]
    hdf5.load(pool, file, overwrite=True)
    assert pool["plain/scalar"] == 3.5
    pool["packed/mine"] = [1, 2]
    hdf5.load(pool, file, "packed", group="packed", merge=True)
    assert "packed/mine" in pool
    hdf5.load(pool, file, "packed", group="packed", overwrite=True)
    assert "packed/mine" not in pool and "packed/grid" in pool


def test_persistent_names_stay(name: str, file: Path, run: Callable[..., str]) -> None:
    program = """
        import sys, ndpool
        from ndpool import hdf5
        with ndpool.Pool(sys.argv[1], capacity="4M") as p:
            hdf5.load(p, sys.argv[2], sys.argv[3], persistent=sys.argv[3] == "stays")
    """
    with ndpool.Pool(name, capacity="4M") as p:
        run(program, name, str(file), "goes")
        assert p.names() == []
        run(program, name, str(file), "stays")
        assert len(p.names()) == len(KINDS) + 2
        assert p.remove("stays", tree=True) > 0


def test_full_is_told_before_anything_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as f:
        for k in range(3):
            f.create_dataset(f"a{k}", shape=(1 << 20,), dtype="u1")
    size = hdf5.size(tmp_path / "f.h5")
    assert (size.needs, size.bytes, size.largest, size.arrays) == (3 << 20, 3 << 20, 1 << 20, 3)
    monkeypatch.setattr("ndpool._load._fill", None)
    with ndpool.Pool.create(name, capacity="2M") as p:
        with pytest.raises(errors.FullError) as e:
            hdf5.load(p, tmp_path / "f.h5")
        assert (e.value.asked, e.value.capacity) == (3 << 20, 2 << 20)
        assert e.value.free and e.value.largest and str(3 << 20) in str(e.value)
        nothing(p)


def test_room_that_others_take_meanwhile(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as f:
        f["a"], f["b"] = np.zeros(1 << 20, "u1"), np.zeros(1 << 20, "u1")
    with ndpool.Pool.create(name, capacity="2M") as p:
        monkeypatch.setattr("ndpool._load._need_room", lambda *args, **kwargs: None)
        taken = p.zeros(4096, "u1")
        with pytest.raises(errors.FullError) as e:
            hdf5.load(p, tmp_path / "f.h5")
        assert e.value.asked == 2 << 20
        del taken, e
        nothing(p)


def test_tables_that_are_too_small(name: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as f:
        for k in range(50):
            f[f"a{k}"] = k
    with ndpool.Pool.create(name, capacity="1M", arrays=20) as p:
        with pytest.raises(errors.TableFullError) as e:
            hdf5.load(p, tmp_path / "f.h5")
        assert (e.value.asked, e.value.limit) == (50, p.stats().array_limit)
        nothing(p)


# ---- nothing is left behind


def test_a_broken_file_leaves_nothing(pool: ndpool.Pool, file: Path) -> None:
    with h5py.File(file) as f:
        chunk = f["packed/grid"].id.get_chunk_info(5)
    with open(file, "r+b") as f:
        f.seek(chunk.byte_offset)
        f.write(b"\xff" * chunk.size)
    with pytest.raises(OSError):
        hdf5.load(pool, file)
    nothing(pool)
    with open(file, "r+b") as f:
        f.truncate(1000)
    with pytest.raises(OSError):
        hdf5.load(pool, file)


def test_a_failure_within_a_failure(pool: ndpool.Pool, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks end with the error, though somebody keeps it; frames of an earlier error are left alone."""

    def earlier() -> None:
        mine = [1, 2]
        raise ValueError(mine)

    def broken(self: object, n: int) -> None:
        raise OSError("broken")

    monkeypatch.setattr("ndpool._progress._Silent.add", broken)
    try:
        earlier()
    except ValueError as first:
        with pytest.raises(OSError, match="broken") as kept:
            hdf5.load(pool, file, progress=False)
        nothing(pool)
        assert kept.value.__context__ is first and first.__traceback__ is not None
        assert first.__traceback__.tb_next is not None
        assert first.__traceback__.tb_next.tb_frame.f_locals["mine"] == [1, 2]


@pytest.mark.parametrize("at", [1, 10, 50])
def test_interrupt_leaves_nothing(pool: ndpool.Pool, file: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    told: list[int] = []

    def add(self: object, n: int) -> None:
        told.append(n)
        if len(told) == at:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("ndpool._progress._Silent.add", add)
    with pytest.raises(KeyboardInterrupt):
        hdf5.load(pool, file, chunk=500, progress=False)
    assert len(told) == at
    nothing(pool)


KILLED = """
    import os, signal, sys
    import ndpool, ndpool._load, ndpool._progress
    from ndpool import hdf5

    pool, count, at = ndpool.Pool.open(sys.argv[1]), 0, sys.argv[3]
    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)
    def add(self, n):
        global count
        count += 1
        if str(count) == at:
            die()
    ndpool._progress._Silent.add = add
    if at in ("_fill", "_publish", "_need_room"):
        setattr(ndpool._load, at, die)
    hdf5.load(pool, sys.argv[2], chunk=500, persistent=True, progress=False)
    if at == "after":
        die()
"""


@pytest.mark.parametrize("at", ["_need_room", "_fill", "1", "30", "60", "_publish", "after"])
def test_killed_leaves_nothing_or_all(pool: ndpool.Pool, file: Path, at: str) -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), pool.name, str(file), at], timeout=60)
    assert done.returncode == -signal.SIGKILL
    pool.reap()
    if at == "after":
        assert len(pool.names()) == len(KINDS) + 2
        pool.remove("plain", tree=True), pool.remove("packed", tree=True), pool.remove("nothing", tree=True)
    nothing(pool)


def test_two_loaders_race_for_a_name(pool: ndpool.Pool, tmp_path: Path) -> None:
    files = []
    for k in (1, 2):
        with h5py.File(tmp_path / f"{k}.h5", "w") as f:
            for j in range(20):
                f[f"a{j}"] = np.full(1000, k)
        files.append(str(tmp_path / f"{k}.h5"))
    program = """
        import sys, ndpool
        from ndpool import hdf5
        pool = ndpool.Pool.open(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            hdf5.load(pool, sys.argv[2], "run", persistent=True)
        except FileExistsError:
            sys.exit(17)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), pool.name]
    both = [subprocess.Popen([*command, f], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for f in files]
    for child in both:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in both:
        child.stdin.write("go\n")  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
    for child in both:
        child.communicate(timeout=60)
    assert sorted(child.returncode for child in both) == [0, 17]
    winner = 1 if both[0].returncode == 0 else 2
    assert all((a == winner).all() for a in pool.tree("run").values())
    assert pool.remove("run", tree=True) and pool.stats().arrays == 0


def test_the_file_is_closed(pool: ndpool.Pool, file: Path) -> None:
    hdf5.load(pool, file)
    hdf5.size(file)
    assert not any(os.path.realpath(f"/proc/self/fd/{fd}") == str(file) for fd in os.listdir("/proc/self/fd"))
    with h5py.File(file, "r+"):
        pass


# ---- saving


def test_round_trip(pool: ndpool.Pool, file: Path, tmp_path: Path) -> None:
    hdf5.load(pool, file, "x")
    out = tmp_path / "out.h5"
    report = hdf5.save(pool, out, "x")
    assert (report.arrays, report.groups, report.skipped) == (len(KINDS) + 2, 4, ())
    hdf5.load(pool, out, "y")
    before, after = hdf5.size(file), hdf5.size(out)
    assert dataclasses.replace(before, skipped=()) == dataclasses.replace(after, skipped=())
    for name in pool.names("x"):
        assert same(pool[name], pool["y" + name[1:]]), name
    with h5py.File(out) as f:
        assert f["packed/grid"] == f["packed/again"]
        assert f["plain/bool"].dtype == bool and f["plain/big"].dtype == ">f8" and f["plain/record"].dtype == RECORD


@pytest.mark.parametrize("name", TAGGED)
def test_round_trip_of_what_hdf5_has_not(pool: ndpool.Pool, tmp_path: Path, name: str) -> None:
    hdf5.save({"g": {name: TAGGED[name]}}, tmp_path / "f.h5")
    hdf5.load(pool, tmp_path / "f.h5")
    assert same(pool[f"g/{name}"], TAGGED[name])


def test_save_a_tree_of_anything(pool: ndpool.Pool, tmp_path: Path) -> None:
    tree = {
        "f": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "cut": np.arange(10)[::3],
        "n": 5,
        "g": ndpool.Item({"a": ([1.5], {"unit": "mm"}), "e": {}}, {"k": 1}),
    }
    hdf5.save(tree, tmp_path / "f.h5", compression="gzip", chunk=16)
    hdf5.load(pool, tmp_path / "f.h5", "p")
    assert pool["p/f"].tolist() == tree["f"].tolist() and pool["p/cut"].tolist() == [0, 3, 6, 9]
    assert pool["p/n"] == 5 and pool["p/g/a"].tolist() == [1.5]
    assert dict(pool.attrs("p/g/a")) == {"unit": "mm"} and dict(pool.attrs("p/g")) == {"k": 1}
    assert "p/g/e" in pool


def test_attributes_come_back(pool: ndpool.Pool, tmp_path: Path) -> None:
    attrs = {
        "text": "ä",
        "n": -1,
        "big": 2**63,
        "x": 0.5,
        "yes": True,
        "none": None,
        "list": [1, 2],
        "floats": [1.5, 2.0],
        "flags": [True, False],
        "words": ["a", "bé"],
        "square": [[1, 2], [3, 4]],
        "nan": "NaN",
    }
    as_text = {"dict": {"a": [1, None]}, "mixed": [1, "a"], "ragged": [[1], [2, 3]], "huge": 2**70}
    pool.publish({"a": ([1], {**attrs, **as_text})}, "g", attrs={"top": [1, 2]})
    hdf5.save(pool, tmp_path / "f.h5", "g")
    hdf5.load(pool, tmp_path / "f.h5", "h")
    assert dict(pool.attrs("h")) == {"top": [1, 2]}
    got = dict(pool.attrs("h/a"))
    assert {k: got[k] for k in attrs} == attrs
    assert got["dict"] == '{"a": [1, null]}' and got["mixed"] == '[1, "a"]' and got["huge"] == str(2**70)
    with h5py.File(tmp_path / "f.h5") as f:
        assert f["a"].attrs["list"].dtype.kind == "i" and f["a"].attrs["yes"].dtype == bool


def test_long_attributes(pool: ndpool.Pool, tmp_path: Path) -> None:
    pool.put("a", [1], attrs={"long": list(range(100_000))})
    hdf5.save(pool, tmp_path / "f.h5")
    hdf5.load(pool, tmp_path / "f.h5", "b")
    assert pool.attrs("b/a")["long"][-1] == 99_999


def test_save_replaces_only_if_told(pool: ndpool.Pool, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    pool["a"] = [1]
    hdf5.save(pool, path)
    with pytest.raises(FileExistsError):
        hdf5.save({"b": [2]}, path)
    hdf5.save({"b": [2]}, path, overwrite=True)
    with h5py.File(path) as f:
        assert list(f) == ["b"]
    assert os.listdir(tmp_path) == ["f.h5"]


def test_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.h5"
    hdf5.save({"a": [1]}, path)
    before = path.read_bytes()

    def add(self: object, n: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ndpool._progress._Silent.add", add)
    with pytest.raises(KeyboardInterrupt):
        hdf5.save({"a": [2]}, path, overwrite=True)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["f.h5"]


def test_save_names_what_hdf5_cannot_hold(tmp_path: Path) -> None:
    tree = {"good": [1], "objects": np.array([{}], object), "g": {"in": np.array([None])}}
    with pytest.raises(errors.UnsupportedError) as e:
        hdf5.save(tree, tmp_path / "f.h5")
    assert [path for path, _ in e.value.items] == ["g/in", "objects"]
    assert os.listdir(tmp_path) == []
    assert hdf5.save(tree, tmp_path / "f.h5", skip=True).arrays == 1


# ---- without h5py


def test_without_h5py(run: Callable[..., str]) -> None:
    program = """
        import sys
        sys.modules["h5py"] = None
        import ndpool
        from ndpool import hdf5
        with ndpool.Pool.anonymous(capacity="1M") as p:
            for call in (hdf5.load, hdf5.save):
                try:
                    call(p, "f.h5")
                except ImportError as e:
                    print(e)
    """
    lines = run(program).splitlines()
    assert len(lines) == 2 and all("pip install 'ndpool[hdf5]'" in line for line in lines)


@pytest.fixture(autouse=True)
def no_parts(tmp_path: Path) -> Iterator[None]:
    """No half-written file is left."""
    yield
    assert not list(tmp_path.glob(".*.part"))
