"""HDF5 files to shared memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ... import hdf5
from ..._load import Plan, load_plan
from ..._pool import Pool
from . import _projects
from ._types import bytes_to_human, log

__all__ = ["hdf5_size", "hdf5_to_shm", "unlinked_hdf5_to_shm"]


def hdf5_size(h5: Any) -> int:
    """Returns the bytes of all datasets in a file, of which the path is given, or in an open group; without 0-d ones."""
    if isinstance(h5, (str, os.PathLike)):
        with hdf5._h5py().File(os.fspath(h5), "r") as f:
            return hdf5_size(f)
    h5py, size = hdf5._h5py(), 0
    for found in h5.values():
        if isinstance(found, h5py.Group):
            size += hdf5_size(found)
        elif isinstance(found, h5py.Dataset) and found.shape:
            size += int(found.nbytes)
    return size


def hdf5_to_shm(
    hdf5_path: str | os.PathLike[str],
    project: str,
    progress: bool = False,
    persistent: bool = False,
    overwrite: bool = False,
) -> Path:
    """Loads an HDF5 file into shared memory, as a project. Returns its index's path.

    Compound datasets become a group with an array per field, 0-d ones are left out, attributes of datasets are in
    meta["attrs"]. progress shows a bar if stderr is a terminal. The rest is as with arrays_to_shm. Raises also
    UnsupportedError, which names the datasets that cannot be shared, and OSError for what is no HDF5 file."""
    return _make(hdf5_path, project, progress, persistent, overwrite).path


@contextmanager
def unlinked_hdf5_to_shm(
    hdf5_path: str | os.PathLike[str], project: str, progress: bool = False, overwrite: bool = False
) -> Iterator[Path]:
    """Does what hdf5_to_shm does, and unlinks the project at the end. Gives the path of the index."""
    with _projects.unlinked(_make(hdf5_path, project, progress, False, overwrite)) as index:
        yield index


def _make(file: str | os.PathLike[str], project: str, progress: bool, persistent: bool, overwrite: bool) -> _projects.Made:
    def publish(pool: Pool, name: str) -> int:
        with hdf5._h5py().File(os.fspath(file), "r") as f:
            plan = _plan_of(f, int(pool.options()["names"]))
            for path, spec in plan.names.items():
                log.debug("transfer %s (%s)", path, bytes_to_human(spec.nbytes))
            return load_plan(
                pool, plan, name, skip=False, overwrite=overwrite, merge=False, persistent=persistent,
                show=None if progress else False,
            ).version  # fmt: skip

    return _projects.make(project, publish, persistent, overwrite)


def _plan_of(f: Any, limit: int) -> Plan:
    """Returns what a file holds: compounds split, and without 0-d datasets, whether they could be shared or not."""
    from h5py import h5o

    from ..._hdf5_read import _key, _Walk

    class Walk(_Walk):
        def dataset(self, dset: Any, path: str, key: Any) -> None:
            if dset.is_virtual or dset.shape:  # the shape of a virtual one may be that of other files' datasets
                super().dataset(dset, path, key)

    plan = Plan(os.path.basename(os.fsdecode(f.filename)), limit)
    Walk(plan, "", split=True, chunk=hdf5.CHUNK).group(f, "", {_key(h5o.get_info(f["/"].id)): "/"})
    return plan
