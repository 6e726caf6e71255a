"""Arrays in NumPy's files."""

from __future__ import annotations

import os
import shutil
import tempfile

import ndpool
from ndpool import npy

from .faults import Fault
from .hidden import is_whole
from .lane import Lane
from .names import own
from .pattern import check


def through_file(lane: Lane) -> None:
    """Writes an array as numpy's files, and reads it again."""
    a = lane.own_whole()
    place = tempfile.mkdtemp(prefix="npy-", dir=lane.worker.dir)
    try:
        if lane.rng.randrange(2):
            path = os.path.join(place, "a.npy")
            npy.save(a, path)
            b = npy.load(lane.pool, path)
        else:
            path, prefix = os.path.join(place, "a.npz"), own(lane) + "/npz"
            npy.save_npz({"x": a, "g": {"y": a}}, path, progress=False)
            npy.load_npz(lane.pool, path, prefix, progress=False)
            b = lane.pool[prefix + "/g/y"]
            lane.pool.remove(prefix, tree=True)
        if b.dtype != a.dtype or b.shape != a.shape or not is_whole(b):
            raise Fault(f"copy of {a.dtype} {a.shape}: got {b.dtype} {b.shape}")
        lane.worker.tally.checked(check(b, ndpool.handle(a)))
    except OSError as e:
        if e.errno is not None or "requested and" not in str(e):
            raise
        lane.worker.tally.fail("nospace")  # numpy's tofile, on a full file system
    finally:
        shutil.rmtree(place, ignore_errors=True)
