"""HDF5 files in and out of a pool. Wants h5py: pip install ndpool[hdf5].

load reads a file, or a group of one, straight into blocks of the pool, and publishes groups, arrays and attributes in
one change: other processes see all of them or none, also if this one is killed meanwhile. save writes a tree to a file
that appears whole, or not at all.

What HDF5 has and shared memory cannot hold, namely text and arrays of variable length, references and long doubles, is
refused by name before anything is read; with skip it is left out and told in the report. So is what lies in other files,
unless external is set. Enumerations
become their numbers, and those of FALSE and TRUE numpy's bool. A file that was opened is closed when a function returns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from ._load import MAX_ENTRIES, Report, Size, Skipped, load_plan
from ._options import parse_size
from ._pool import Pool

__all__ = ["Report", "Size", "Skipped", "load", "save", "size"]

CHUNK: Final = 64 << 20  #: bytes that are read at a time


def load(
    pool: Pool,
    file: str | os.PathLike[str],
    prefix: str = "",
    *,
    group: str = "/",
    split: bool = False,
    skip: bool = False,
    overwrite: bool = False,
    merge: bool = False,
    persistent: bool = False,
    progress: bool | None = None,
    chunk: int | str = CHUNK,
    external: bool = False,
) -> Report:
    """Loads a group of a file, by default all of it, and publishes what is in it below prefix.

    split makes of a compound dataset a group with an array per field; else it becomes one array of a structured dtype.
    skip leaves out what cannot be shared. overwrite replaces what prefix, or without one each name of the top, stands
    for; merge adds to it. Names go with this process, unless persistent. progress shows a bar on stderr; None: if that is
    a terminal. chunk is what is read at a time; after each, Ctrl-C is heard.

    Datasets that several hard links lead to become one array with several names. Soft links are followed within the
    file. A link back to a group that it is in is left out, and told. Attributes become JSON: see Pool.attrs; those of the
    file's root need a prefix.

    A file can name any other one that this user can read: with external links, external storage, and virtual datasets. Such
    things cannot be shared unless external is set: then they are read, from where HDF5 looks for them, and published as all
    else. Set it for files of whom you trust: HDF5 follows virtual datasets in circles until the process ends. Virtual
    datasets need it not if all their sources are plain datasets of the file itself. What the sources of one lack is its
    fill value, as HDF5 has it.

    Raises UnsupportedError, whose items name all that cannot be shared, NameTakenError, FullError with what is needed and
    what is free, TableFullError, and OSError if h5py cannot read the file. After any error, and after death in the middle,
    neither names nor blocks are left."""
    limit, h5py = parse_size(chunk), _h5py()
    from ._hdf5_read import plan_of

    with h5py.File(os.fspath(file), "r") as f:
        plan = plan_of(f, group, split, limit, int(pool.options()["names"]), external)
        return load_plan(
            pool, plan, prefix, skip=skip, overwrite=overwrite, merge=merge, persistent=persistent, show=progress
        )


def size(file: str | os.PathLike[str], group: str = "/", *, split: bool = False, external: bool = False) -> Size:
    """Returns what load would take, without reading the data: bytes, arrays, groups, and what cannot be shared."""
    h5py = _h5py()
    from ._hdf5_read import plan_of

    with h5py.File(os.fspath(file), "r") as f:
        return plan_of(f, group, split, CHUNK, MAX_ENTRIES, external).size()


def save(
    source: Pool | Mapping[str, Any],
    file: str | os.PathLike[str],
    prefix: str = "",
    *,
    skip: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    chunk: int | str = CHUNK,
    compression: str | int | None = None,
) -> Report:
    """Writes what a pool has below prefix, or a tree of arrays, to a file.

    Groups, dtypes and attributes are kept, so that load gives what was saved: structured dtypes as compounds, text of
    numpy ('U'), dates and times as tagged opaque types that h5py reads back; attributes that are lists of one type as
    arrays, objects and mixed lists as JSON text. An array of several names is written once. The file is written under
    another name beside it and then renamed. compression is that of h5py's create_dataset.

    Streams and queues are left out, and told in skipped.

    Raises FileExistsError unless overwrite, UnsupportedError for what HDF5 cannot hold, unless skip, and OSError."""
    _h5py()
    from ._hdf5_write import write

    return write(source, os.fspath(file), prefix, skip, overwrite, progress, parse_size(chunk), compression)


def _h5py() -> Any:
    """Returns h5py, or tells how to get it."""
    try:
        import h5py
    except ImportError as e:
        raise ImportError(f"HDF5 files need h5py: pip install 'ndpool[hdf5]' ({e})", name="h5py") from e
    return h5py
