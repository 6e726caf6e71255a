"""Loading files into a pool: what is common to all formats.

A format makes a plan: which arrays, groups and attributes there are, and what cannot be shared. load_plan does the rest: it
refuses, looks whether there is room, takes all blocks, has them filled, and publishes all names in one change. Until
that change the blocks belong to this process alone: an error, Ctrl-C or death before it leaves neither name nor block.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from . import _attrs
from ._create import Array
from ._dtype import decode, encode
from ._pool import Pool
from ._progress import Progress, progress
from ._trees import Item, check_path
from .errors import AttributesError, FullError, NameTakenError, PathError, TableFullError, UnsupportedError

__all__ = ["Job", "Plan", "Report", "Size", "Skipped", "Spec", "above", "load_plan", "plain_dtype", "shown", "slabs"]

MAX_ATTRIBUTES: Final = 1 << 20  #: bytes of their text
MAX_ENTRIES: Final = 1 << 20  #: of a file, when no pool says less
MAX_CAUSES: Final = 16  #: of an error
_PAGE: Final = 4096
_GRANULE: Final = 64


class Skipped(NamedTuple):
    """What was left out, and why. path is that in the file; an attribute's is path@key."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Size:
    """What a file takes in a pool. All sizes are bytes."""

    needs: int  #: at least, with what blocks are rounded up to
    bytes: int  #: users'
    largest: int  #: array
    arrays: int
    groups: int
    blocks: int  #: of arrays and of attributes
    names: int  #: entries of the catalog
    skipped: tuple[Skipped, ...]  #: what cannot be shared


@dataclass(frozen=True, slots=True)
class Report:
    """What was loaded or saved."""

    file: str
    prefix: str
    bytes: int
    arrays: int  #: names of arrays; two may stand for one array
    groups: int
    seconds: float
    skipped: tuple[Skipped, ...]
    version: int  #: of the names; 0: nothing was published


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """An array to be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str = "C"

    @property
    def nbytes(self) -> int:
        """Users' bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Arrays that are filled together. fill gets them in that order, and tells the bytes that it has done."""

    specs: Sequence[Spec]
    fill: Callable[[Sequence[Array], Callable[[int], None]], None]


@dataclass(slots=True)
class Plan:
    """What a file holds, by paths below the prefix. The empty path is the prefix itself."""

    file: str
    limit: int = MAX_ENTRIES  #: of names
    jobs: list[Job] = field(default_factory=list)
    names: dict[str, Spec] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    attrs: dict[str, dict[str, Any]] = field(default_factory=dict)
    unsupported: list[Skipped] = field(default_factory=list)
    notes: list[Skipped] = field(default_factory=list)  #: left out, but nothing is lost

    def refuse(self, path: str, reason: object) -> None:
        """Notes what cannot be shared."""
        self.unsupported.append(Skipped(shown(path), " ".join(str(reason).split())))

    def takes(self, path: str, where: str) -> bool:
        """Tells whether a name can be that. If not, what is there in the file cannot be shared."""
        try:
            check_path(path)
        except PathError as e:
            self.refuse(where, e)
            return False
        if len(self.names) + len(self.groups) >= self.limit:
            raise TableFullError(f"load {self.file}: more than {self.limit} names", limit=self.limit)
        return True

    def add_attrs(self, path: str, where: str, attrs: Mapping[str, Any]) -> None:
        """Takes attributes, as far as JSON has them."""
        found = {}
        for key, value in attrs.items():
            try:
                found.update(_attrs.decode(_attrs.encode({key: value})))
            except AttributesError as e:
                self.refuse(f"{where}@{key}", e)
        text = _attrs.encode(found) or b""
        if len(text) > MAX_ATTRIBUTES:
            self.refuse(f"{where}@*", f"attributes of {len(text)} bytes (at most {MAX_ATTRIBUTES})")
        elif found:
            self.attrs[path] = found

    def size(self) -> Size:
        """Returns what the plan takes."""
        specs = set(self.names.values())
        groups = len(self.groups.union(*(above(path) for path in self.names)))
        texts = [len(_attrs.encode(a) or b"") for a in self.attrs.values()]
        return Size(
            needs=sum(_extent(s.nbytes) for s in specs) + sum(map(_extent, texts)),
            bytes=sum(s.nbytes for s in specs),
            largest=max((_extent(s.nbytes) for s in specs), default=0),
            arrays=len(self.names),
            groups=groups,
            blocks=len(specs) + len(texts),
            names=len(self.names) + groups,
            skipped=(*self.unsupported, *self.notes),
        )


def _extent(size: int) -> int:
    """Returns the least that a block of that size takes."""
    unit = _GRANULE if size <= _PAGE else _PAGE
    return max(-(-size // unit), 1) * unit


def above(path: str) -> Iterator[str]:
    """Gives the groups that a path is in."""
    parts = path.split("/")
    return ("/".join(parts[:k]) for k in range(1, len(parts)))


def shown(text: str) -> str:
    """Returns a path of a file as text that can be written anywhere, also if it is no valid Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Returns a dtype as the pool keeps it: without metadata. Raises DTypeError if it cannot be shared."""
    return decode(*encode(dtype))


def slabs(
    shape: Sequence[int], itemsize: int, limit: int, chunks: Sequence[int] | None = None
) -> Iterator[tuple[slice, ...]]:
    """Cuts a shape into boxes of at most limit bytes, first axes first, as wide as can be.

    With chunks a box ends where a chunk ends, and is at least one chunk."""
    whole = [slice(0, n) for n in shape]
    if not all(shape):
        return
    yield from _slabs(tuple(shape), tuple(chunks or (1,) * len(shape)), itemsize, limit, whole, 0)


def _slabs(
    shape: tuple[int, ...], chunks: tuple[int, ...], size: int, limit: int, box: list[slice], axis: int
) -> Iterator[tuple[slice, ...]]:
    """size is that of an element times the widths of the axes before."""
    if axis == len(shape):
        yield tuple(box)
        return
    n, unit = shape[axis], chunks[axis]
    step = limit // max(size * math.prod(shape[axis + 1 :]), 1) // unit * unit
    inner = step == 0 and axis + 1 < len(shape)
    step = step or unit
    for start in range(0, n, step):
        stop = min(start + step, n)
        cut = [*box[:axis], slice(start, stop), *box[axis + 1 :]]
        if inner:
            yield from _slabs(shape, chunks, size * (stop - start), limit, cut, axis + 1)
        else:
            yield tuple(cut)


# ---- from plan to names


def load_plan(
    pool: Pool, plan: Plan, prefix: str, *, skip: bool, overwrite: bool, merge: bool, persistent: bool, show: bool | None
) -> Report:
    """Does what a plan says. Raises UnsupportedError, NameTakenError and FullError before anything is read."""
    begin, outer = time.monotonic(), sys.exc_info()[1]
    if prefix:
        check_path(prefix)
    if plan.unsupported and not skip:
        raise unsupported(f"load {plan.file}", "shared", plan.unsupported)
    if not prefix and "" in plan.attrs:
        del plan.attrs[""]
        plan.notes.append(Skipped("/@*", "attributes of the whole, which need a prefix to belong to"))
    if not overwrite and not merge:
        _need_free(pool, plan, prefix)
    size = plan.size()
    _need_room(pool, plan.file, size, new=not overwrite and not merge)
    arrays: dict[Spec, Array] = {}
    try:
        with progress(f"load {plan.file}", size.bytes, show) as bar:
            _take(pool, plan, size, arrays)
            _fill(plan, arrays, bar)
        version = _publish(pool, plan, prefix, arrays, overwrite, merge, persistent)
    except BaseException as e:
        _forget(e, outer)
        raise
    finally:
        arrays.clear()
    return Report(
        plan.file, prefix, size.bytes, size.arrays, size.groups, time.monotonic() - begin, size.skipped, version
    )


def _forget(e: BaseException | None, outer: BaseException | None) -> None:
    """Clears the frames that an error came through, and those that it came from: they refer to blocks, which end now.
    outer is what the caller was handling already; that is the caller's."""
    for _ in range(MAX_CAUSES):
        if e is None or e is outer:
            return
        traceback.clear_frames(e.__traceback__)  # leaves those alone that still run
        e = e.__cause__ or e.__context__


def unsupported(doing: str, done: str, items: Sequence[Skipped]) -> UnsupportedError:
    """Returns the error that names everything that cannot be done."""
    e = UnsupportedError(f"{doing}: {len(items)} cannot be {done}: {'; '.join(map(str, items))}")
    e.items = tuple(items)
    return e


def _targets(plan: Plan, prefix: str) -> list[str]:
    return [prefix] if prefix else sorted({path.split("/")[0] for path in (*plan.names, *plan.groups)})


def _need_free(pool: Pool, plan: Plan, prefix: str) -> None:
    """Refuses names that are taken before anything is read. Whoever takes one later is found when all is published."""
    taken = next((path for path in _targets(plan, prefix) if path in pool), None)
    if taken is not None:
        raise NameTakenError(f"load {plan.file}: the pool has {taken!r} already")


def _need_room(pool: Pool, file: str, size: Size, new: bool) -> None:
    """Refuses what the pool cannot take now. What others take meanwhile is found when the blocks are taken."""
    s = pool.stats()
    if size.needs > s.free + s.cached:
        raise _full(pool, file, size)
    tables = [("arrays and attributes", size.blocks, s.arrays, s.array_limit)]
    if new:  # what is replaced or added to has entries already
        tables.append(("names", size.names, s.names, s.name_limit))
    for what, wants, held, limit in tables:
        if wants > limit - held:
            raise TableFullError(
                f"load {file}: {wants} {what} ({limit - held} free of {limit})", asked=wants, held=held, limit=limit
            )


def _full(pool: Pool, file: str, size: Size) -> FullError:
    s = pool.stats()
    return FullError(
        f"load {file}: needs {size.needs} bytes, its largest array {size.largest} "
        f"({s.free} free, {s.cached} cached, largest free extent {s.largest_free}, capacity {s.capacity})",
        asked=size.needs,
        free=s.free,
        largest=s.largest_free,
        capacity=s.capacity,
    )


def _take(pool: Pool, plan: Plan, size: Size, arrays: dict[Spec, Array]) -> None:
    """Allocates all blocks."""
    try:
        for job in plan.jobs:
            for spec in job.specs:
                arrays[spec] = pool.empty(spec.shape, spec.dtype, "F" if spec.order == "F" else "C")
    except FullError as e:
        arrays.clear()  # for the numbers
        raise _full(pool, plan.file, size) from e


def _fill(plan: Plan, arrays: Mapping[Spec, Array], bar: Progress) -> None:
    for job in plan.jobs:
        job.fill([arrays[spec] for spec in job.specs], bar.add)


def _publish(
    pool: Pool,
    plan: Plan,
    prefix: str,
    arrays: Mapping[Spec, Array],
    overwrite: bool,
    merge: bool,
    persistent: bool,
) -> int:
    """Publishes all names at once. Groups that hold something come by themselves."""
    filled = {path.rpartition("/")[0] for path in (*plan.names, *plan.groups)}
    tree: dict[str, Item] = {
        path: Item(None, plan.attrs.get(path, {}))
        for path in sorted(plan.groups)
        if path not in filled or path in plan.attrs
    }
    tree.update((path, Item(arrays[spec], plan.attrs.get(path, {}))) for path, spec in plan.names.items())
    if not tree and not prefix:
        return 0
    made = pool.publish(
        tree, prefix, attrs=plan.attrs.get(""), overwrite=overwrite, merge=merge, persistent=persistent
    )
    return made.version
