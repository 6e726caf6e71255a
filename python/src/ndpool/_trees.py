"""Trees of arrays: what is published at once, and what a prefix gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from . import _attrs
from .errors import GroupError, PathError

__all__ = ["Group", "Item", "Leaf", "check_path", "flatten", "join", "nest"]

MAX_DEPTH: Final = 64  #: components of a path
MAX_COMPONENT: Final = 255  #: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An array with its attributes, as a leaf of a tree that is published, or as a pool gives it.

    array is what numpy makes an array of; a mapping, which is a group with attributes; or None, a group."""

    array: Any
    attrs: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0  #: of the name that it was found by


class Group(dict[str, Any]):
    """A group of a tree that was asked for with attributes: a dict that has its own in attrs. Publishing it keeps them."""

    __slots__ = ("attrs", "version")

    attrs: dict[str, Any]
    version: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attrs = {}
        self.version = 0


@dataclass(slots=True)
class Leaf:
    """What one path of a tree gets."""

    value: Any
    text: bytes | None  #: of the attributes
    group: bool = False


# ---- paths


def check_path(path: object) -> str:
    """Returns a path of one or more components. Raises PathError if no name can be that."""
    if not isinstance(path, str):
        raise PathError(f"check name: got {type(path).__name__} (a str)")
    parts = path.split("/")
    for part in parts:
        try:
            size = len(part.encode())
        except UnicodeEncodeError:
            raise PathError(f"check name: got {path!r} (text that is UTF-8)") from None
        if part in ("", ".", "..") or "\0" in part or size > MAX_COMPONENT:
            raise PathError(
                f"check name: got component {part[:64]!r} of {size} bytes in {path[:200]!r} "
                f"(1 to {MAX_COMPONENT} bytes, no NUL, neither '.' nor '..')"
            )
    if len(parts) > MAX_DEPTH:
        raise PathError(f"check name: got {len(parts)} components (at most {MAX_DEPTH})")
    return path


def join(prefix: str, path: str) -> str:
    """Returns the path of a path below a prefix; either may be empty."""
    return f"{prefix}/{path}" if prefix and path else prefix or path


def _above(path: str) -> Iterable[str]:
    """Gives the groups that a path is in."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


# ---- trees to paths


def _split(node: Any) -> tuple[Any, Mapping[str, Any] | None]:
    """Returns a node's value and its attributes. A pair whose second is a mapping is an item."""
    if isinstance(node, Item):
        return node.array, node.attrs
    if isinstance(node, Group):
        return node, node.attrs
    if type(node) is tuple and len(node) == 2 and isinstance(node[1], Mapping):
        return node[0], node[1]
    return node, None


def _walk(node: Any, path: str, depth: int, leaves: dict[str, Leaf]) -> None:
    """Adds what a node stands for. A group is a leaf of its own if it is empty or has attributes."""
    value, attrs = _split(node)
    text = _attrs.encode(attrs)
    group = isinstance(value, Mapping) or (value is None and isinstance(node, Item))
    if not group or text or not value:
        if path in leaves:
            raise PathError(f"publish tree: {path!r} is given twice")
        leaves[path] = Leaf(value, text, group)
    if not isinstance(value, Mapping):
        return
    if depth > MAX_DEPTH:
        raise PathError(f"publish tree: got more than {MAX_DEPTH} groups in each other")
    for key, sub in value.items():
        _walk(sub, join(path, check_path(key)), depth + 1, leaves)


def flatten(tree: Any, attrs: Mapping[str, Any] | None = None) -> dict[str, Leaf]:
    """Returns the leaves of a tree by path, those of the tree itself under the empty one.

    Raises PathError for keys that no name can be and for paths that collide, AttributesError for attributes."""
    if not isinstance(_split(tree)[0], Mapping):
        raise TypeError(f"publish tree: got {type(tree).__name__} (a mapping; put() publishes one array)")
    leaves: dict[str, Leaf] = {}
    _walk(tree if attrs is None else Item(_split(tree)[0], attrs), "", 0, leaves)
    for path in leaves:
        above = next((g for g in _above(path) if g in leaves and not leaves[g].group), None)
        if above is not None:
            raise PathError(f"publish tree: {above!r} is an array, and {path!r} lies in it")
    return leaves


# ---- paths to trees


def nest(entries: Iterable[tuple[str, Any, bytes | None, int]], attrs: bool) -> dict[str, Any]:
    """Returns nested dicts of what a prefix holds: paths below it, arrays or None for groups, attributes, versions.

    Raises GroupError if the prefix is an array."""
    kind: type[dict[str, Any]] = Group if attrs else dict
    root: Any = kind()
    for path, array, text, version in entries:
        if not path and array is not None:
            raise GroupError("look up tree: the name is an array's (a group's)")
        *groups, last = path.split("/")
        node = root
        for part in groups:
            node = node.setdefault(part, kind())
        if array is not None:
            node[last] = Item(array, _attrs.decode(text), version) if attrs else array
            continue
        group = node.setdefault(last, kind()) if path else root
        if attrs:
            group.attrs, group.version = _attrs.decode(text), version
    return root  # type: ignore[no-any-return]
