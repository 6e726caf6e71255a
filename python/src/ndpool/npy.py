"""Files of numpy, .npy and .npz, in and out of a pool.

Arrays are read straight into blocks, in C or Fortran order as the file has them. Arrays of Python objects are refused:
nothing is ever unpickled. A .npz is loaded and published as one tree.
"""

from __future__ import annotations

import ast
import os
import struct
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Final, NamedTuple

import numpy as np

from ._create import Array
from ._load import Job, Plan, Report, Skipped, Spec, load_plan, plain_dtype, shown
from ._pool import Pool
from ._progress import progress as bar_of
from ._save import Entry, beside, entries, groups_of, leave_out
from ._trees import check_path
from .errors import DTypeError, NameTakenError, UnsupportedError

__all__ = ["Report", "Skipped", "load", "load_npz", "save", "save_npz"]

MAGIC: Final = b"\x93NUMPY"
MAX_HEADER: Final = 1 << 20  #: bytes; a dtype of 1024 fields takes less
SLAB: Final = 16 << 20  #: bytes that are read at a time
PIECE: Final = 1 << 20  #: the same, of what is unpacked in private memory


class _NotNpyError(ValueError):
    """The bytes are no .npy, or are cut off."""


def load(
    pool: Pool,
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    attrs: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    persistent: bool = False,
) -> Array:
    """Reads a .npy into the pool and returns the array, published under name if one is given.

    Raises UnsupportedError for Python objects and other dtypes that cannot be shared, ValueError for what is no .npy,
    NameTakenError unless overwrite, FullError."""
    if name is not None and not overwrite and check_path(name) in pool:
        raise NameTakenError(f"load {os.fspath(path)}: the pool has {name!r} already")
    with open(path, "rb", buffering=0) as f:
        try:
            spec = _header(f)
        except DTypeError as e:
            raise UnsupportedError(f"load {os.fspath(path)}: {e}") from None
        except _NotNpyError as e:
            raise ValueError(f"load {os.fspath(path)}: {e}") from None
        array = pool.empty(spec.shape, spec.dtype, "F" if spec.order == "F" else "C")
        _read(f, array, SLAB, lambda n: None)
    if name is not None:
        pool.put(name, array, attrs=attrs, overwrite=overwrite, persistent=persistent)
    return array


def save(
    source: Pool | Array, path: str | os.PathLike[str], name: str | None = None, *, overwrite: bool = False
) -> None:
    """Writes an array, or the one that a pool has under name, as .npy. The file appears whole, or not at all.

    Raises FileExistsError unless overwrite, NoNameError."""
    if isinstance(source, Pool):
        if name is None:
            raise TypeError("save takes a pool and a name, or an array")
        source = source[name]
    with beside(os.fspath(path), overwrite) as part, open(part, "xb") as f:
        np.lib.format.write_array(_Writer(f.write), np.asarray(source), allow_pickle=False)


class _Writer(NamedTuple):
    """A file that numpy does not take for one: its own way of writing one loses what the last flush says."""

    write: Callable[[bytes], int]


def load_npz(
    pool: Pool,
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    skip: bool = False,
    overwrite: bool = False,
    merge: bool = False,
    persistent: bool = False,
    progress: bool | None = None,
) -> Report:
    """Loads a .npz and publishes its arrays below prefix in one change. Options and errors are those of hdf5.load."""
    with zipfile.ZipFile(path) as z:
        plan = Plan(os.path.basename(os.fspath(path)), int(pool.options()["names"]))
        for member in z.infolist():
            _member(plan, z, member)
        return load_plan(
            pool, plan, prefix, skip=skip, overwrite=overwrite, merge=merge, persistent=persistent, show=progress
        )


def save_npz(
    source: Pool | Mapping[str, Any],
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    overwrite: bool = False,
    compress: bool = False,
    progress: bool | None = None,
) -> Report:
    """Writes what a pool has below prefix, or a tree of arrays, as .npz, with paths for names.

    The format has no attributes and no empty groups: the report names those that were left out. The file appears whole,
    or not at all. Raises FileExistsError unless overwrite."""
    begin, base = time.monotonic(), os.path.basename(os.fspath(path))
    found, _ = leave_out(f"save {base}", entries(source, prefix), _obstacle, False)
    lost = [Skipped(f"{e.path}@*", "a .npz has no attributes") for e in found if e.attrs]
    lost += [Skipped(e.path, "a .npz has no groups") for e in found if e.array is None and e.path and not e.attrs]
    arrays = [(e.path, e.array) for e in found if e.array is not None]
    total = sum(a.nbytes for _, a in arrays)
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with (
        beside(os.fspath(path), overwrite) as part,
        zipfile.ZipFile(part, "x", method) as z,
        bar_of(f"save {base}", total, progress) as bar,
    ):
        for name, a in arrays:
            with z.open(name + ".npy", "w", force_zip64=True) as f:
                np.lib.format.write_array(f, a, allow_pickle=False)
            bar.add(a.nbytes)
    return Report(base, prefix, total, len(arrays), groups_of(found), time.monotonic() - begin, tuple(lost), 0)


def _obstacle(entry: Entry) -> list[Skipped]:
    if entry.array is not None and entry.array.dtype.hasobject:
        return [Skipped(entry.path, "it holds Python objects")]
    return []


# ---- reading


def _member(plan: Plan, z: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Takes one file of a .npz."""
    name = member.filename.removesuffix(".npy")
    if member.is_dir() or not plan.takes(name, member.filename):
        return
    if name in plan.names:
        plan.refuse(member.filename, "the name is there twice")
        return
    try:
        with z.open(member) as f:
            spec = _header(f)
    except (DTypeError, _NotNpyError, RuntimeError, NotImplementedError) as e:  # the last two: encrypted, packed otherwise
        plan.refuse(member.filename, e)
        return

    def fill(arrays: Sequence[Array], done: Callable[[int], None]) -> None:
        with z.open(member) as f:
            _header(f)
            _read(f, arrays[0], PIECE, done)
            if f.read(1):  # also has the sum checked
                raise ValueError(f"load {plan.file}: {shown(member.filename)} goes on after its array")

    plan.names[name] = spec
    plan.jobs.append(Job([spec], fill))


def _header(f: IO[bytes]) -> Spec:
    """Reads the header of a .npy. Raises _NotNpyError, DTypeError."""
    start = _exactly(f, 8)
    if start[:6] != MAGIC or start[6] not in (1, 2, 3):
        raise _NotNpyError(f"got {start!r}, expected {MAGIC!r} and a version from 1 to 3")
    (size,) = struct.unpack("<H", _exactly(f, 2)) if start[6] == 1 else struct.unpack("<I", _exactly(f, 4))
    if size > MAX_HEADER:
        raise _NotNpyError(f"a header of {size} bytes (at most {MAX_HEADER})")
    text = _exactly(f, size)
    try:
        tree = ast.literal_eval(text.decode("utf-8" if start[6] == 3 else "latin-1").strip())
        descr, fortran, shape = tree["descr"], tree["fortran_order"], tree["shape"]
        dtype = np.lib.format.descr_to_dtype(descr)
    except (SyntaxError, ValueError, LookupError, TypeError, MemoryError, RecursionError) as e:
        raise _NotNpyError(f"its header says nothing that numpy knows: {type(e).__name__}") from None
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape) or type(fortran) is not bool:
        raise _NotNpyError(f"shape {shape!r} and order {fortran!r} in its header")
    return Spec(shape, plain_dtype(dtype), "F" if fortran and len(shape) > 1 else "C")


def _exactly(f: IO[bytes], n: int) -> bytes:
    found = f.read(n)
    if len(found) != n:
        raise _NotNpyError(f"it ends after {len(found)} of {n} bytes")
    return found


def _read(f: IO[bytes], array: Array, at_a_time: int, done: Callable[[int], None]) -> None:
    """Reads the elements of an array in the order that they have in memory."""
    if not array.nbytes:
        return
    line = (array.T if array.flags.fnc else array).reshape(-1)
    flat, at = memoryview(line.view(np.uint8).data), 0
    while at < len(flat):
        n = f.readinto(flat[at : at + at_a_time])  # type: ignore[attr-defined]
        if not n:
            raise ValueError(f"load: the file ends after {at} of {len(flat)} bytes")
        at += n
        done(n)
