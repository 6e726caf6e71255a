"""Trees of a program's keys, as trees of names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ..._trees import Group, Item

__all__ = ["from_keys", "to_keys", "to_name"]

ORDER: Final = "cute-shm"  #: attribute of a project whose names are keys: its paths, in the order of the keys
MAX_ORDER: Final = 1 << 19  #: characters of it; attributes have a limit, and the order is a courtesy

_ESCAPES: Final = {"%": "%25", "/": "%2F", "\0": "%00"}
_WHOLE: Final = {"": "%", ".": "%2E", "..": "%2E%2E"}  #: what is no component, though its characters are
_KEYS: Final = {name: key for key, name in (_ESCAPES | {".": "%2E"}).items()}


def to_name(key: object) -> str:
    """Returns the component of a name that stands for a key. What no component can be is written as %XX, and % with it."""
    if not isinstance(key, str):
        raise TypeError(f"transfer tree: got key {key!r} of type {type(key).__name__} (str)")
    return _WHOLE.get(key) or re.sub("[%/\0]", lambda m: _ESCAPES[m[0]], key)


def to_key(name: str) -> str:
    """Returns the key that a component stands for."""
    return "" if name == "%" else re.sub("%(?:25|2F|00|2E)", lambda m: _KEYS[m[0]], name)


def from_keys(tree: Mapping[Any, Any], leaf: Callable[[Any, str], Any]) -> Group:
    """Returns a tree to be published: keys as components, and what leaf makes of the leaves. It gets them with their paths.

    The order of the keys is kept in the attributes: the catalog sorts, dicts do not."""
    made = _from_keys(tree, "", leaf)
    paths = list(_paths(made, ""))
    made.attrs[ORDER] = paths if sum(map(len, paths)) + 8 * len(paths) < MAX_ORDER else []
    return made


def _from_keys(tree: Mapping[Any, Any], above: str, leaf: Callable[[Any, str], Any]) -> Group:
    made = Group()
    for key, value in tree.items():
        name = to_name(key)
        path = above + key
        made[name] = _from_keys(value, path + "/", leaf) if isinstance(value, Mapping) else leaf(value, path)
    return made


def _paths(tree: Mapping[str, Any], above: str) -> Iterator[str]:
    for name, node in tree.items():
        yield above + name
        if isinstance(node, Mapping):
            yield from _paths(node, f"{above}{name}/")


def to_keys(tree: Group, leaf: Callable[[Item, str], Any]) -> dict[str, Any]:
    """Returns a tree that was looked up with its keys, in their order, and what leaf makes of Items and their paths.

    Of a project that something else has published, names are keys."""
    order = tree.attrs.get(ORDER)
    if not isinstance(order, list):
        return _to_keys(tree, "", {}, str, leaf)
    rank = {path: n for n, path in enumerate(order) if isinstance(path, str)}
    return _to_keys(tree, "", rank, to_key, leaf)


def _to_keys(
    tree: Mapping[str, Any],
    above: str,
    rank: Mapping[str, int],
    key: Callable[[str], str],
    leaf: Callable[[Item, str], Any],
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(tree, key=lambda name: rank.get(above + name, len(rank))):
        node, path = tree[name], above + name
        found[key(name)] = leaf(node, path) if isinstance(node, Item) else _to_keys(node, path + "/", rank, key, leaf)
    return found
