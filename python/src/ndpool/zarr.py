"""Zarr stores in and out of a pool. Wants zarr 3: pip install ndpool[zarr].

load reads the arrays of a store, box by box, into blocks of the pool, and publishes groups, arrays and attributes in
one change. save writes a tree as a store of format 3. Elements come in the byte order that zarr gives them, which is
this machine's.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ._create import Array
from ._load import MAX_ENTRIES, Job, Plan, Report, Size, Skipped, Spec, load_plan, plain_dtype, slabs
from ._options import parse_size
from ._pool import Pool
from ._progress import progress as bar_of
from ._save import Entry, beside, entries, groups_of, leave_out, no_arrays
from ._trees import join
from .errors import DTypeError

__all__ = ["Report", "Size", "Skipped", "load", "save", "size"]

CHUNK: Final = 64 << 20  #: bytes that are read at a time


def load(
    pool: Pool,
    store: Any,
    prefix: str = "",
    *,
    group: str = "/",
    skip: bool = False,
    overwrite: bool = False,
    merge: bool = False,
    persistent: bool = False,
    progress: bool | None = None,
    chunk: int | str = CHUNK,
) -> Report:
    """Loads a store, given as a path or as what zarr takes for one, or a group of it.

    Options and errors are those of hdf5.load. Attributes of the store's root need a prefix."""
    plan = _plan(store, group, parse_size(chunk), int(pool.options()["names"]))
    return load_plan(
        pool, plan, prefix, skip=skip, overwrite=overwrite, merge=merge, persistent=persistent, show=progress
    )


def size(store: Any, group: str = "/") -> Size:
    """Returns what load would take, without reading the data."""
    return _plan(store, group, CHUNK, MAX_ENTRIES).size()


def save(
    source: Pool | Mapping[str, Any],
    store: Any,
    prefix: str = "",
    *,
    skip: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Report:
    """Writes what a pool has below prefix, or a tree of arrays, as a Zarr store.

    A path is written under another name beside it and then renamed; another kind of store is written as it is. Raises
    FileExistsError unless overwrite, UnsupportedError, unless skip, for dtypes that zarr does not have. Streams and queues
    are left out, and told in skipped."""
    zarr, begin, name = _zarr(), time.monotonic(), _name(store)
    found, skipped = leave_out(f"save {name}", entries(source, prefix), _obstacle, skip)
    skipped += no_arrays(source, prefix)
    if isinstance(store, (str, os.PathLike)):
        with beside(os.fspath(store), overwrite) as part:
            total = _write(zarr.open_group(part, mode="w-"), found, name, progress)
    else:
        total = _write(zarr.open_group(store, mode="w" if overwrite else "w-"), found, name, progress)
    arrays = sum(e.array is not None for e in found)
    return Report(name, prefix, total, arrays, groups_of(found), time.monotonic() - begin, skipped, 0)


def _zarr() -> Any:
    """Returns zarr, or tells how to get it."""
    try:
        import zarr
    except ImportError as e:
        raise ImportError(f"Zarr stores need zarr 3: pip install 'ndpool[zarr]' ({e})", name="zarr") from e
    if int(zarr.__version__.split(".")[0]) < 3:
        raise ImportError(f"Zarr stores need zarr 3, not {zarr.__version__}", name="zarr")
    return zarr


def _name(store: Any) -> str:
    path = os.fspath(store) if isinstance(store, (str, os.PathLike)) else ""
    return os.path.basename(path.rstrip("/")) or type(store).__name__


# ---- reading


def _plan(store: Any, group: str, chunk: int, limit: int) -> Plan:
    """Looks through a store. Reads attributes, but no data."""
    zarr = _zarr()
    root = zarr.open_group(store, path=group.strip("/"), mode="r")
    plan = Plan(_name(store), limit)
    base = "/" + group.strip("/")
    plan.add_attrs("", base, root.attrs.asdict())
    _walk(zarr, plan, root, "", base.rstrip("/"), chunk)
    return plan


def _walk(zarr: Any, plan: Plan, group: Any, path: str, base: str, chunk: int) -> None:
    for name, found in sorted(group.members(), key=lambda member: str(member[0])):
        below = join(path, name)
        where = f"{base}/{below}"
        if not plan.takes(below, where):
            continue
        if isinstance(found, zarr.Array):
            _array(plan, found, below, where, chunk)
        else:
            plan.groups.add(below)
            plan.add_attrs(below, where, found.attrs.asdict())
            _walk(zarr, plan, found, below, base, chunk)


def _array(plan: Plan, found: Any, path: str, where: str, chunk: int) -> None:
    if _unpickles(found):
        plan.refuse(where, "it is packed as a pickle, which could run anything when it is read")
        return
    try:
        spec = Spec(tuple(found.shape), plain_dtype(found.dtype))
    except DTypeError as e:
        plan.refuse(where, e)
        return
    plan.names[path] = spec
    plan.add_attrs(path, where, found.attrs.asdict())
    plan.jobs.append(Job([spec], _reader(found, chunk)))


def _unpickles(found: Any) -> bool:
    """Tells whether the store names the codec that unpickles. Only format 2 has it, and some versions of zarr read it with
    any dtype."""
    meta = found.metadata
    codecs = (*(getattr(meta, "filters", None) or ()), getattr(meta, "compressor", None))
    return any(getattr(codec, "codec_id", "") == "pickle" for codec in codecs)


def _reader(found: Any, chunk: int) -> Callable[[Sequence[Array], Callable[[int], None]], None]:
    """Returns what reads an array into one block."""

    def fill(arrays: Sequence[Array], done: Callable[[int], None]) -> None:
        from zarr.core.buffer import default_buffer_prototype

        buffer = default_buffer_prototype().nd_buffer
        for box in slabs(found.shape, found.dtype.itemsize, chunk, found.shards or found.chunks):
            part = arrays[0][box] if box else arrays[0]
            found.get_basic_selection(box, out=buffer.from_numpy_array(part))
            done(part.nbytes)

    return fill


# ---- writing


def _write(root: Any, found: list[Entry], name: str, show: bool | None) -> int:
    total = sum(e.array.nbytes for e in found if e.array is not None)
    with bar_of(f"save {name}", total, show) as bar:
        for entry in found:
            made = root
            if entry.array is not None:
                made = _quietly(root.create_array, entry.path, shape=entry.array.shape, dtype=entry.array.dtype)
                if entry.array.size:
                    made[...] = entry.array
                bar.add(entry.array.nbytes)
            elif entry.path:
                made = root.require_group(entry.path)
            if entry.attrs:
                made.attrs.update(entry.attrs)
    return total


def _obstacle(entry: Entry) -> list[Skipped]:
    """Returns why an entry cannot be written: asked of zarr, in memory."""
    if entry.array is None:
        return []
    try:
        _quietly(_zarr().create_array, {}, shape=(), dtype=np.dtype(entry.array.dtype))
    except Exception as e:  # whatever zarr says of a dtype
        return [Skipped(entry.path, f"zarr has no type for {entry.array.dtype}: {e}")]
    return []


def _quietly(create: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Creates an array without the warning that other programs may not know its dtype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create(*args, **kwargs)
