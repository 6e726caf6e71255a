"""Names that are streams' and queues': what names, trees and files make of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ndpool
from ndpool.errors import KindError


@pytest.fixture
def filled(pool: ndpool.Pool) -> Iterator[ndpool.Pool]:
    """A pool with an array, a stream that has a frame, and a queue that has an item."""
    pool["run/x"] = np.arange(3)
    with pool.writer("run/live") as w, pool.queue("run/jobs", maxsize=8) as q:
        w.publish(pool.zeros(10, "f4"))
        q.put(pool.zeros(20, "f4"))
        yield pool


def test_a_ring_is_no_array(filled: ndpool.Pool) -> None:
    for name in ("run/live", "run/jobs"):
        for look in (filled.__getitem__, filled.get, filled.item):
            with pytest.raises(KindError, match=rf"reader\('{name}'\) reads a stream, queue\('{name}'\) takes"):
                look(name)
        with pytest.raises(KindError):
            filled.tree(name)
        assert name in filled
    assert filled.names() == list(filled) == ["run/x"]


def test_listings_tell(filled: ndpool.Pool) -> None:
    found = {n.path: n for n in filled.entries("run")}
    assert {path: n.ring for path, n in found.items()} == {
        "run": None,
        "run/jobs": "queue",
        "run/live": "stream",
        "run/x": None,
    }
    live = found["run/live"]
    assert live.dtype is None and live.shape == () and live.handle and not live.group and live.bytes == 384
    assert live.owner is None and not live.persistent and not live.implicit  # it goes with the pool
    assert sorted(a.ring for a in filled.arrays() if a.ring) == ["queue", "stream"]


@pytest.mark.parametrize("peeked", [False, True])
def test_rings(filled: ndpool.Pool, peeked: bool) -> None:
    found = (ndpool.Pool.peek(filled.name) if peeked else filled).rings()
    queue, stream = sorted(found, key=lambda r: r.kind)
    assert (stream.kind, stream.names, stream.items, stream.head, stream.bytes) == ("stream", ("run/live",), 1, 1, 40)
    assert stream.writer == filled.process and stream.ended == 0 and not stream.died and stream.limit == 2
    assert (queue.kind, queue.names, queue.items, queue.limit, queue.bytes) == ("queue", ("run/jobs",), 1, 8, 80)
    assert queue.writer is None and not queue.shut and queue.newest and queue.holders == (0,)


def test_trees_leave_them_out(filled: ndpool.Pool) -> None:
    assert list(filled.tree()["run"]) == ["x"]
    assert list(filled.tree("run", attrs=True)) == ["x"]


def test_a_ring_is_removed(filled: ndpool.Pool) -> None:
    del filled["run/live"]
    assert "run/live" not in filled
    assert filled.remove("run", tree=True) == 2


@pytest.mark.parametrize("kind", ["hdf5", "zarr"])
def test_files_leave_them_out(filled: ndpool.Pool, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("h5py" if kind == "hdf5" else "zarr")
    from ndpool import hdf5, zarr

    module = hdf5 if kind == "hdf5" else zarr
    file = tmp_path / "saved"
    done = module.save(filled, file)
    assert done.arrays == 1
    assert [str(s) for s in done.skipped] == ["run/jobs: it is a queue", "run/live: it is a stream"]
    again = module.load(filled, file, "again")
    assert again.arrays == 1 and filled["again/run/x"].tolist() == [0, 1, 2]
