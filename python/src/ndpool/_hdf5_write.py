"""How a tree is written to an HDF5 file. hdf5.py is the public side."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final

import h5py
import numpy as np

from ._load import Report, Skipped, slabs
from ._pool import Pool
from ._progress import Progress, progress
from ._save import Entry, beside, entries, groups_of, leave_out, no_arrays, same

__all__ = ["write"]

DType = np.dtype[Any]
#: Attributes of more than 64 KiB want a file that HDF5 1.8 and later read.
VERSIONS: Final = ("v108", "latest")


def write(
    source: Pool | Mapping[str, Any],
    file: str,
    prefix: str,
    skip: bool,
    overwrite: bool,
    show: bool | None,
    chunk: int,
    compression: str | int | None,
) -> Report:
    """Does what hdf5.save says."""
    begin = time.monotonic()
    with beside(file, overwrite) as part:
        name = os.path.basename(file)
        found, skipped = leave_out(f"save {name}", entries(source, prefix), _obstacle, skip)
        skipped += no_arrays(source, prefix)
        arrays = [e for e in found if e.array is not None]
        total = sum(e.array.nbytes for e in arrays if e.array is not None)
        with h5py.File(part, "x", libver=VERSIONS) as f, progress(f"save {name}", total, show) as bar:
            _tree(f, found, compression, chunk, bar)
    seconds = time.monotonic() - begin
    return Report(name, prefix, total, len(arrays), groups_of(found), seconds, skipped, 0)


def _tree(f: Any, found: list[Entry], compression: str | int | None, chunk: int, bar: Progress) -> None:
    """Writes all entries. What is one array under several names becomes one dataset with several links."""
    written: dict[tuple[Any, ...], str] = {}
    for entry in found:
        key = same(entry)
        if key is not None and key in written:
            f[entry.path] = f[written[key]]
            bar.add(entry.array.nbytes if entry.array is not None else 0)
            continue
        made = _entry(f, entry, compression, chunk, bar)
        for name, value in entry.attrs.items():
            made.attrs[name] = _value(value)
        if key is not None:
            written[key] = entry.path


def _entry(f: Any, entry: Entry, compression: str | int | None, chunk: int, bar: Progress) -> Any:
    a = entry.array
    if a is None:
        return f.require_group(entry.path) if entry.path else f
    packed = compression if a.ndim and a.size else None
    dtype = _tagged(a.dtype)
    dset = f.create_dataset(entry.path, a.shape, dtype, compression=packed)
    data = a.view(dtype) if dtype is not a.dtype else a
    for box in slabs(a.shape, a.itemsize, chunk, dset.chunks):
        dset[box] = data[box]
        bar.add(data[box].nbytes)
    return dset


# ---- types


def _tagged(dtype: DType) -> DType:
    """Returns a dtype that h5py writes so that it reads the same one: text, dates and times are opaque to HDF5."""
    if dtype.names is not None:
        places: Mapping[str, Any] = dtype.fields or {}
        spec = {
            "names": list(dtype.names),
            "formats": [_tagged(dtype[name]) for name in dtype.names],
            "offsets": [places[name][1] for name in dtype.names],
            "itemsize": dtype.itemsize,
        }
        made: DType = np.dtype(spec)  # type: ignore[call-overload]
        return made
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_tagged(base), shape))
    opaque: DType = h5py.opaque_dtype(dtype) if dtype.kind in "UmM" else dtype
    return opaque


def _obstacle(entry: Entry) -> list[Skipped]:
    """Returns why an entry cannot be written."""
    if entry.array is None:
        return []
    try:
        h5py.h5t.py_create(_tagged(entry.array.dtype), logical=True)
    except (TypeError, ValueError, RuntimeError, OSError) as e:
        return [Skipped(entry.path, f"HDF5 has no type for {entry.array.dtype}: {e}")]
    return []


def _value(value: Any) -> Any:
    """Returns what h5py writes of an attribute: arrays of lists of one type, JSON text of what HDF5 has not."""
    if value is None:
        return h5py.Empty("f4")
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, dict) or (isinstance(value, int) and not -(2**63) <= value < 2**64):
        return json.dumps(value, ensure_ascii=False)
    return value


def _list(value: list[Any]) -> Any:
    kinds = {type(v) for v in _flat(value)}
    if kinds <= {str} or len(kinds) == 1 or kinds == {int, float}:
        try:
            made = np.array(value)
        except (ValueError, OverflowError):  # lists of different lengths
            return json.dumps(value, ensure_ascii=False)
        if made.dtype.kind in "biuf":
            return made
        if made.dtype.kind == "U":
            return made.astype(h5py.string_dtype())
    return json.dumps(value, ensure_ascii=False)


def _flat(value: list[Any]) -> list[Any]:
    return [x for v in value for x in (_flat(v) if isinstance(v, list) else [v])]
