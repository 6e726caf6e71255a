"""Zarr stores in and out of a pool."""

import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors
from ndpool import zarr as nz

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed: it is not tested")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*V3 specification.*")

KINDS: dict[str, np.ndarray[Any, Any]] = {
    "scalar": np.array(5),
    "none": np.zeros((0, 3), "f4"),
    "big": np.arange(6, dtype=">i4").reshape(2, 3),
    "half": np.arange(3, dtype="f2"),
    "bool": np.array([True, False]),
    "complex": np.arange(3) * 1j,
    "record": np.array([(1, 2.5)], [("a", "<i4"), ("b", "<f8")]),
    "text": np.array([b"ab", b"c"], "S2"),
    "day": np.array(["2020-02-29"], "M8[D]"),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with groups, chunks, shards and attributes."""
    path = tmp_path / "in.zarr"
    root = zarr.open_group(path, mode="w")
    root.attrs["title"] = "whole"
    a = root.create_array("g/a", shape=(20, 30), chunks=(7, 8), dtype="u2", fill_value=9)
    a[:10] = np.arange(300).reshape(10, 30)
    a.attrs.update({"unit": "mm", "list": [1, None, {"x": 2}]})
    shards = root.create_array("g/shards", shape=(16, 16), chunks=(2, 2), shards=(8, 8), dtype="i4")
    shards[...] = np.arange(256).reshape(16, 16)
    root.create_group("empty").attrs["k"] = 1
    return path


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("chunk", [1, 500, "64M"])
def test_load(pool: ndpool.Pool, store: Path, chunk: int | str) -> None:
    report = nz.load(pool, store, "p", chunk=chunk)
    a = pool["p/g/a"]
    assert np.array_equal(a[:10], np.arange(300).reshape(10, 30)) and (a[10:] == 9).all() and a.dtype == "u2"
    assert np.array_equal(pool["p/g/shards"], np.arange(256).reshape(16, 16))
    assert dict(pool.attrs("p/g/a")) == {"unit": "mm", "list": [1, None, {"x": 2}]}
    assert dict(pool.attrs("p")) == {"title": "whole"} and dict(pool.attrs("p/empty")) == {"k": 1}
    assert (report.arrays, report.groups, report.bytes) == (2, 2, 1200 + 1024)
    assert nz.size(store).bytes == 1200 + 1024


def test_load_a_group(pool: ndpool.Pool, store: Path) -> None:
    nz.load(pool, str(store), group="g")
    assert pool.names() == ["a", "shards"]
    with pytest.raises(FileExistsError):
        nz.load(pool, store, group="g")
    nz.load(pool, store, group="g", overwrite=True)


@pytest.mark.parametrize("name", KINDS)
def test_round_trip(pool: ndpool.Pool, tmp_path: Path, name: str) -> None:
    pool.publish({"g": {name: (KINDS[name], {"k": [1, 2]})}, "e": {}}, "x", attrs={"top": 1})
    nz.save(pool, tmp_path / "out.zarr", "x")
    nz.load(pool, tmp_path / "out.zarr", "y")
    assert same(pool[f"y/g/{name}"], KINDS[name].astype(KINDS[name].dtype.newbyteorder("=")))  # zarr keeps none
    assert dict(pool.attrs(f"y/g/{name}")) == {"k": [1, 2]} and dict(pool.attrs("y")) == {"top": 1}
    assert "y/e" in pool


def test_what_cannot_be_shared(pool: ndpool.Pool, store: Path) -> None:
    zarr.open_group(store, mode="a").create_array("words", shape=(3,), dtype=str)
    with pytest.raises(errors.UnsupportedError) as e:
        nz.load(pool, store)
    assert [path for path, _ in e.value.items] == ["/words"]
    assert pool.entries() == [] and pool.stats().arrays == 0
    report = nz.load(pool, store, skip=True)
    assert [s.path for s in report.skipped] == ["/words", "/@*"] and len(pool.names()) == 2


def test_what_zarr_has_not(tmp_path: Path) -> None:
    tree = {"good": [1], "odd": np.zeros(2, "m8")}
    tree["objects"] = np.array([{}], object)
    with pytest.raises(errors.UnsupportedError, match="objects"):
        nz.save(tree, tmp_path / "out.zarr")
    assert os.listdir(tmp_path) == []


def test_a_broken_store_leaves_nothing(pool: ndpool.Pool, store: Path) -> None:
    chunk = next(f for f in (store / "g" / "a" / "c").rglob("*") if f.is_file())
    chunk.write_bytes(b"broken")
    with pytest.raises(Exception, match=r".") as e:
        nz.load(pool, store)
    assert not isinstance(e.value, errors.NdpoolError)
    assert pool.entries() == []
    del e
    end = time.monotonic() + 30
    while pool.stats().arrays and time.monotonic() < end:  # zarr's own thread may read other chunks still
        gc.collect()
        time.sleep(0.01)
    assert pool.stats().arrays == 0


def test_save_replaces_only_if_told(pool: ndpool.Pool, tmp_path: Path) -> None:
    nz.save({"a": [1]}, tmp_path / "s.zarr")
    with pytest.raises(FileExistsError):
        nz.save({"b": [2]}, tmp_path / "s.zarr")
    nz.save({"b": [2]}, tmp_path / "s.zarr", overwrite=True)
    nz.load(pool, tmp_path / "s.zarr")
    assert pool.names() == ["b"] and os.listdir(tmp_path) == ["s.zarr"]


def test_a_store_in_memory(pool: ndpool.Pool) -> None:
    store = zarr.storage.MemoryStore()
    report = nz.save({"g": {"a": [1, 2]}}, store)
    nz.load(pool, store, "m")
    assert pool["m/g/a"].tolist() == [1, 2] and report.file == "MemoryStore"


def test_without_zarr(run: Callable[..., str]) -> None:
    program = """
        import sys
        sys.modules["zarr"] = None
        import ndpool
        from ndpool import zarr
        with ndpool.Pool.anonymous(capacity="1M") as p:
            try:
                zarr.load(p, "x.zarr")
            except ImportError as e:
                print(e)
    """
    assert "pip install 'ndpool[zarr]'" in run(program)


def test_the_module_is_not_mistaken_for_zarr() -> None:
    assert sys.modules["zarr"] is zarr and nz.__name__ == "ndpool.zarr"
