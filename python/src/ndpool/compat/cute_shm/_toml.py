"""The index of a project as a TOML file, for programs that look for it. Nothing here reads one."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ._types import log

__all__ = ["Mark", "mark_of", "remove", "write"]

HEADER: Final = "# An index, never read back: the catalog of pool {} is the truth.\n"


class Mark(NamedTuple):
    """Tells a file from those that took its place since."""

    inode: int
    changed: int  #: nanoseconds


def mark_of(path: Path) -> Mark | None:
    """Returns the mark of the file that is there now, if any."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return Mark(found.st_ino, found.st_mtime_ns)


def write(path: Path, pool: str, tree: Mapping[str, Any]) -> Mark | None:
    """Writes an index, whole or not at all. None, and a warning in the log, if it cannot be written."""
    text = HEADER.format(pool) + "".join(_tables(tree, ()))
    made = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, made = tempfile.mkstemp(prefix=".index-", dir=path.parent)
        with open(descriptor, "w", encoding="utf-8") as f:
            f.write(text)
        mark = mark_of(Path(made))
        os.replace(made, path)
    except (OSError, ValueError) as e:
        log.warning("index %s was not written, the project is there without: %s", path, e)
        if made:
            Path(made).unlink(missing_ok=True)
        return None
    return mark


def remove(path: Path, mark: Mark | None) -> None:
    """Removes an index, unless it is not the one of the mark any more."""
    if mark is None or mark_of(path) != mark:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        log.warning("index %s was not removed: %s", path, e)


def _tables(tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """Gives a table for each group and each array, which has its attributes in one more."""
    for key, value in tree.items():
        path = (*above, key)
        yield f"\n[{'.'.join(map(_key, path))}]\n"
        if not _is_meta(value):
            yield from _tables(value, path)
            continue
        yield from (f"{k} = {_value(v)}\n" for k, v in value.items() if k != "attrs")
        yield f"\n[{'.'.join(map(_key, (*path, 'attrs')))}]\n"
        yield from (f"{_key(k)} = {_value(v)}\n" for k, v in value["attrs"].items() if v is not None)


def _is_meta(value: Mapping[str, Any]) -> bool:
    """Tells an array's metadata from a group, which holds nothing but mappings."""
    return isinstance(value.get("shm_name"), str)


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _text(key)


def _text(text: str) -> str:
    """Quotes. JSON's strings are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """Returns a value of JSON as TOML writes it; null, which TOML has not, goes from lists and objects."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value if v is not None) + "]"
    return json.dumps(value)
