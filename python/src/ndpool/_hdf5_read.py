"""What an HDF5 file holds, and how it is read into blocks. hdf5.py is the public side.

The file is somebody else's: names may be any bytes, links may lead nowhere or in circles. Depth and number of names are
bounded by what the catalog takes. Unless external is allowed, no other file is so much as opened.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5a, h5l, h5o, h5s, h5t, h5z

from ._create import Array
from ._load import Job, Plan, Skipped, Spec, plain_dtype, slabs
from ._trees import join
from .errors import DTypeError, UnsupportedError

__all__ = ["plan_of"]

#: attributes by which a file's dimension scales refer to each other, as netCDF4 writes them: left out, and noted
_SCALES: Final = frozenset({"DIMENSION_LIST", "REFERENCE_LIST"})
SPLIT_CHUNK: Final = 8 << 20  #: bytes of private memory that a compound is split by
MAX_LINKS: Final = 16  #: soft links on the way to an object, as HDF5 has it
DType = np.dtype[Any]
Chunks = tuple[int, ...] | None
Fill = Callable[[Sequence[Array], Callable[[int], None]], None]
Key = tuple[int, Any]


def plan_of(file: Any, group: str, split: bool, chunk: int, limit: int, external: bool = False) -> Plan:
    """Looks through a group of an open file. Reads attributes, but no data. limit is that of names. external also takes what
    lies in other files."""
    try:
        root = file[group] if external else _within(file, _raw(group), [MAX_LINKS])
    except _Elsewhere as e:
        raise UnsupportedError(f"load {file.filename}: {group!r}: {e}") from None
    except KeyError as e:
        raise KeyError(f"load {file.filename}: no group {group!r}") from e
    if not isinstance(root, h5py.Group):
        raise ValueError(f"load {file.filename}: {group!r} is {type(root).__name__.lower()} (a group)")
    plan = Plan(os.path.basename(os.fsdecode(file.filename)), limit)
    walk = _Walk(plan, root.name.rstrip("/"), split, chunk, external)
    walk.group(root, "", {_key(h5o.get_info(root.id)): "/"})
    return plan


class _Elsewhere(DTypeError):
    """What lies in another file, or may."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} (external=True, or --external, reads other files)")


def _raw(name: str) -> bytes:
    """Returns a name as the file has it, also if h5py could not decode it."""
    return name.encode("utf-8", "surrogateescape")


def _within(at: Any, path: bytes, links: list[int]) -> Any:
    """Returns what a path leads to, as HDF5 finds it, but opens no other file: raises _Elsewhere, and KeyError if there is
    nothing. links[0] is how many soft links may still be on the way."""
    at = at.file["/"] if path.startswith(b"/") else at
    for part in path.split(b"/"):
        if part in (b"", b"."):
            continue
        if not isinstance(at, h5py.Group) or not at.id.links.exists(part):
            raise KeyError(f"there is no {os.fsdecode(part)!r}")
        kind = at.id.links.get_info(part).type
        if kind == h5l.TYPE_SOFT:
            if not links[0]:
                raise KeyError(f"more than {MAX_LINKS} soft links on the way")
            links[0] -= 1
            at = _within(at, at.id.links.get_val(part), links)
        elif kind == h5l.TYPE_HARD:
            at = at[part]
        elif kind == h5l.TYPE_EXTERNAL:
            raise _Elsewhere(f"a link into another file, {os.fsdecode(at.id.links.get_val(part)[0])}")
        else:
            raise _Elsewhere(f"a link of a kind that its user has made, {kind}")
    return at


def _led(group: Any, name: bytes) -> str:
    """Returns where a link leads, if it can lead nowhere."""
    kind = group.id.links.get_info(name).type
    if kind == h5l.TYPE_SOFT:
        return f"a soft link to {os.fsdecode(group.id.links.get_val(name))}, which leads nowhere: "
    if kind == h5l.TYPE_EXTERNAL:
        file, path = map(os.fsdecode, group.id.links.get_val(name))
        return f"a link into another file, {file}, to {path}: "
    return ""


def _key(info: Any) -> Key:
    """Returns what tells an object of a file from all others."""
    return info.fileno, info.addr


class _Walk:
    """Goes through the links of a file once."""

    def __init__(self, plan: Plan, base: str, split: bool, chunk: int, external: bool = False) -> None:
        self.plan, self.base, self.split, self.chunk, self.external = plan, base, split, chunk, external
        self.seen: dict[Key, dict[str, Spec] | None] = {}  # datasets' arrays by path below; None: cannot be shared

    def where(self, path: str) -> str:
        """Returns a path as the file has it."""
        return f"{self.base}/{path}"

    def group(self, group: Any, path: str, above: dict[Key, str]) -> None:
        """Takes what is in a group. above are the groups that it is in."""
        self.attrs(group, path)
        for name in group:
            self.link(group, name, join(path, name), above)

    def link(self, group: Any, name: str, path: str, above: dict[Key, str]) -> None:
        """Takes what a link leads to."""
        where = self.where(path)
        if not self.plan.takes(path, where):
            return
        try:
            found = group[name] if self.external else _within(group, _raw(name), [MAX_LINKS])
            info = h5o.get_info(found.id)
        except _Elsewhere as e:
            self.plan.refuse(where, e)
            return
        except (KeyError, OSError, RuntimeError, ValueError) as e:
            self.plan.refuse(where, f"{_led(group, _raw(name))}{e}")
            return
        if isinstance(found, h5py.Group):
            self.subgroup(found, path, _key(info), above)
        elif isinstance(found, h5py.Dataset):
            self.dataset(found, path, _key(info))
        else:
            self.plan.refuse(where, "a named datatype, which holds no data")

    def subgroup(self, group: Any, path: str, key: Key, above: dict[Key, str]) -> None:
        """Takes a group, unless it is one of those that it is in."""
        if key in above:
            self.plan.notes.append(Skipped(self.where(path), f"leads back to {above[key]}, which it is in"))
            return
        self.plan.groups.add(path)
        self.group(group, path, {**above, key: self.where(path)})

    def attrs(self, found: Any, path: str) -> None:
        """Takes the attributes of a group or a dataset."""
        if not h5a.get_num_attrs(found.id):
            return
        attrs, where = {}, self.where(path)
        for key in found.attrs:
            if key in _SCALES:
                self.plan.notes.append(Skipped(f"{where}@{key}", "references between dimension scales"))
                continue
            try:
                attrs[key] = _value(found.attrs[key])
            except Exception as e:  # whatever h5py says of a type that numpy has not
                self.plan.refuse(f"{where}@{key}", e)
        self.plan.add_attrs(path, where, attrs)

    def dataset(self, dset: Any, path: str, key: Key) -> None:
        """Takes a dataset: as the arrays that it is already by another link, or as new ones."""
        where = self.where(path)
        if key not in self.seen:
            self.seen[key] = self.arrays(dset, where)
        arrays = self.seen[key]
        if arrays is None:
            return
        if "" not in arrays:
            self.plan.groups.add(path)
        for name, spec in arrays.items():
            if not name or self.plan.takes(join(path, name), f"{where}.{name}"):
                self.plan.names[join(path, name)] = spec
        self.attrs(dset, path)

    def arrays(self, dset: Any, where: str) -> dict[str, Spec] | None:
        """Returns the arrays of a dataset by path below it, and has them filled; None if it cannot be shared."""
        try:
            if not self.external:
                _need_here(dset)
            dtype, chunks = _dtype_of(dset), _chunks_of(dset)
            if self.split and dtype.names:
                return self.fields(dset, dtype, chunks, where)
            spec = _spec(dset.shape, dtype)
        except DTypeError as e:
            self.plan.refuse(where, e)
            return None
        self.plan.jobs.append(Job([spec], _whole(dset.id, dset.shape, dtype, chunks, self.chunk)))
        return {"": spec}

    def fields(self, dset: Any, dtype: DType, chunks: Chunks, where: str) -> dict[str, Spec]:
        """Returns an array per field of a compound."""
        specs: dict[str, Spec] = {}
        for name in dtype.names or ():
            try:
                if not name or "/" in name:
                    raise DTypeError("no component of a path can be called that")
                specs[name] = _spec(dset.shape, dtype[name])
            except DTypeError as e:
                self.plan.refuse(f"{where}.{name}", e)
        if specs:
            part = np.dtype([(name, dtype[name]) for name in specs])
            self.plan.jobs.append(Job(list(specs.values()), _split(dset.id, dset.shape, part, chunks, self.chunk)))
        return specs


# ---- what can be shared


def _dtype_of(dset: Any) -> DType:
    """Returns the type of a dataset that has data. Raises DTypeError."""
    try:
        dtype: DType = dset.dtype
    except (TypeError, ValueError) as e:
        raise DTypeError(f"numpy has no such type: {e}") from None
    if dset.shape is None:
        raise DTypeError("it has a type but no data")
    return dtype


def _need_here(dset: Any) -> None:
    """Raises DTypeError for data that lies elsewhere: a file may name any other one that this user can read."""
    if dset.external:
        raise _Elsewhere(f"its data lies in another file, {os.fsdecode(dset.external[0][0])}")
    for source in dset.virtual_sources() if dset.is_virtual else ():
        if source.file_name != ".":
            raise _Elsewhere(f"a virtual dataset with data of another file, {source.file_name}")
        if "%" in source.dset_name:
            raise _Elsewhere(f"a virtual dataset with data of a series of datasets, {source.dset_name}")
        try:
            found = _within(dset.file, _raw(source.dset_name), [MAX_LINKS])
        except KeyError:
            continue  # then it has its fill value there
        if isinstance(found, h5py.Dataset) and found.is_virtual:  # of itself maybe, for which HDF5 does not look
            raise _Elsewhere(f"a virtual dataset with data of another virtual one, {source.dset_name}")
        if isinstance(found, h5py.Dataset) and found.external:
            raise _Elsewhere(f"a virtual dataset with data that lies in another file, {os.fsdecode(found.external[0][0])}")


def _chunks_of(dset: Any) -> Chunks:
    """Returns the shape of chunks, None if the data lies in one piece. Raises DTypeError if they cannot be unpacked."""
    chunks: Chunks = dset.chunks
    if chunks is None:
        return None
    made = dset.id.get_create_plist()
    for k in range(made.get_nfilters()):
        code, _, _, name = made.get_filter(k)
        if not h5z.filter_avail(code):
            text = name.decode(errors="replace")
            raise DTypeError(f"its filter {code} ({text}) is not installed; hdf5plugin has many")
    return chunks


def _spec(shape: tuple[int, ...], dtype: DType) -> Spec:
    """Returns what becomes of a type. Raises DTypeError, in the words of HDF5."""
    base, inner = dtype.subdtype or (dtype, ())
    try:
        return Spec(shape + inner, plain_dtype(base))
    except DTypeError as e:
        raise DTypeError(_reason(dtype, e)) from None


def _reason(dtype: DType, e: DTypeError) -> str:
    """Returns why a type cannot be shared, in the words of HDF5."""
    for base, where in _objects(dtype, ""):
        kind = h5py.check_string_dtype(base)
        if kind is not None:
            return f"text of variable length{where}; text of fixed length can be shared"
        if h5py.check_ref_dtype(base) is not None:
            return f"references{where}, which mean something in their file only"
        if h5py.check_vlen_dtype(base) is not None:
            return f"arrays of variable length{where}"
    return str(e)


def _objects(dtype: DType, where: str) -> list[tuple[DType, str]]:
    """Returns the types in a type that are Python objects, and where they are."""
    base = dtype.subdtype[0] if dtype.subdtype else dtype
    if base.names is None:
        return [(base, where)] if base.hasobject else []
    return [found for name in base.names for found in _objects(base[name], f" in field {name!r}")]


def _value(value: Any) -> Any:
    """Returns an attribute's value without h5py's own types."""
    if isinstance(value, h5py.Empty):
        return "" if value.dtype.kind in "SO" else None
    return value


# ---- reading


def _whole(dset: Any, shape: tuple[int, ...], dtype: DType, chunks: Chunks, limit: int) -> Fill:
    """Returns what reads a dataset, given by its id, into one block, without another copy."""

    def fill(arrays: Sequence[Array], done: Callable[[int], None]) -> None:
        memory = h5t.py_create(dtype)  # with what h5py knows of the file's text and enumerations
        for box in slabs(shape, dtype.itemsize, limit, chunks):
            space, size = _select(dset, shape, box)
            dset.read(space, space, arrays[0], memory)
            done(size * dtype.itemsize)

    return fill


def _split(dset: Any, shape: tuple[int, ...], part: DType, chunks: Chunks, limit: int) -> Fill:
    """Returns what reads some fields of a compound into a block each, by way of a small piece of private memory."""

    def fill(arrays: Sequence[Array], done: Callable[[int], None]) -> None:
        memory = h5t.py_create(part)
        for box in slabs(shape, part.itemsize, min(limit, SPLIT_CHUNK), chunks):
            space, size = _select(dset, shape, box)
            piece = np.empty(tuple(s.stop - s.start for s in box), part)
            dset.read(h5s.ALL if space == h5s.ALL else h5s.create_simple(piece.shape), space, piece, memory)
            for name, array in zip(part.names or (), arrays, strict=True):
                array[box] = piece[name]
            done(size * part.itemsize)

    return fill


def _select(dset: Any, shape: tuple[int, ...], box: tuple[slice, ...]) -> tuple[Any, int]:
    """Returns a data space with a box selected, and the elements of the box."""
    count = tuple(s.stop - s.start for s in box)
    if count == shape:
        return h5s.ALL, math.prod(count)
    space = dset.get_space()
    space.select_hyperslab(tuple(s.start for s in box), count)
    return space, math.prod(count)
