"""Writing trees to files: what is common to all formats.

A file is written under another name beside it, and takes its own when it is whole. If the process dies before, the
other file, whose name begins with a dot and ends in .part, is left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._attrs import decode
from ._create import Array
from ._load import Skipped, above, shown, unsupported
from ._pool import Pool
from ._trees import Item, flatten

__all__ = ["Entry", "beside", "entries", "groups_of", "leave_out", "no_arrays", "same"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A path of a tree: an array, or a group if there is none."""

    path: str
    array: Array | None
    attrs: dict[str, Any]


def entries(source: Pool | Mapping[str, Any], prefix: str) -> list[Entry]:
    """Returns what a pool has below a prefix at one moment, or what a tree holds. The empty path is the prefix itself."""
    if isinstance(source, Pool):
        tree: Mapping[str, Any] = source.tree(prefix, attrs=True, readonly=True)
    else:
        tree = source
        for part in filter(None, prefix.split("/")):
            tree = tree.array[part] if isinstance(tree, Item) else tree[part]
    return [
        Entry(path, None if leaf.group else np.asarray(leaf.value), decode(leaf.text))
        for path, leaf in sorted(flatten(tree).items())
    ]


def no_arrays(source: Pool | Mapping[str, Any], prefix: str) -> tuple[Skipped, ...]:
    """Returns the streams and queues of a pool below a prefix, which are in no file: what is in them is about to be read."""
    if not isinstance(source, Pool):
        return ()
    return tuple(Skipped(shown(n.path), f"it is a {n.ring}") for n in source.entries(prefix) if n.ring)


def groups_of(found: list[Entry]) -> int:
    """Counts the groups, also those that are there because something is in them."""
    groups = {entry.path for entry in found if entry.array is None}
    return len(groups.union(*(above(entry.path) for entry in found)) - {""})


@contextmanager
def beside(path: str, overwrite: bool) -> Iterator[str]:
    """Gives a path to write to, which becomes path at the end. Raises FileExistsError unless it may be replaced."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(17, "file exists (overwrite replaces it)", path)
    folder, name = os.path.split(os.path.abspath(path))
    part = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        yield part
        if overwrite:
            _replace(part, path)
        else:
            _place(part, path)
    finally:
        _remove(part)


def _place(part: str, path: str) -> None:
    """Gives a file its name unless somebody took that meanwhile. A directory cannot be linked: there a rename refuses one
    that is not empty."""
    if os.path.isdir(part):
        os.rename(part, path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(part, path)


def _replace(part: str, path: str) -> None:
    """Puts a file or directory in the place of another one."""
    if not os.path.isdir(part) or not os.path.isdir(path):
        os.replace(part, path)
        return
    old = part + ".old"
    os.rename(path, old)
    os.rename(part, path)
    shutil.rmtree(old)


def _remove(part: str) -> None:
    if os.path.isdir(part):
        shutil.rmtree(part)
    elif os.path.lexists(part):
        os.unlink(part)


def same(entry: Entry) -> tuple[Any, ...] | None:
    """Returns what two entries have in common if they are one array with the same attributes."""
    a = entry.array
    if a is None or not a.nbytes:
        return None
    return a.__array_interface__["data"][0], a.shape, a.strides, str(a.dtype), repr(entry.attrs)


def leave_out(
    doing: str, found: list[Entry], obstacle: Callable[[Entry], list[Skipped]], skip: bool
) -> tuple[list[Entry], tuple[Skipped, ...]]:
    """Returns what can be written, and what not. Raises UnsupportedError unless that may be skipped."""
    bad = [(entry, reasons) for entry in found if (reasons := obstacle(entry))]
    items = tuple(Skipped(shown(s.path), s.reason) for _, reasons in bad for s in reasons)
    if items and not skip:
        raise unsupported(doing, "written", items)
    out = {entry.path for entry, _ in bad}
    return [entry for entry in found if entry.path not in out], items


