"""Attributes of names: a JSON object in the pool, and the mapping that reads and writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from .errors import AttributesError, VersionError

if TYPE_CHECKING:
    from . import _core

__all__ = ["Attributes", "decode", "encode"]

MAX_DEPTH: Final = 64  #: of lists and objects in each other
MAX_TRIES: Final = 1000  #: of a change that others get in the way of

T = TypeVar("T")
_MISSING: Final = object()


# ---- values


def _float(value: float) -> float | str:
    """Returns a number, or the word that Zarr has for what JSON has no number for; float() reads it back."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _refuse(where: str, got: str) -> AttributesError:
    return AttributesError(
        f"encode attribute {where}: got {got} (str, int, float, bool, None, list, dict; numpy scalars and arrays of these)"
    )


def _text(value: str | bytes, where: str) -> str:
    try:
        text = value.decode() if isinstance(value, bytes) else str.__str__(value)
        text.encode()  # a lone surrogate is no text
    except UnicodeError:
        raise _refuse(where, "text that is not UTF-8") from None
    return text


def _numpy(value: np.generic | np.ndarray[Any, Any], where: str, depth: int) -> Any:
    if value.dtype.kind in "mMc":
        raise _refuse(where, f"numpy {value.dtype}")
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), where, depth)
    if isinstance(value, np.floating):  # item() of a long double is one again
        return _float(float(value))
    return _plain(value.item(), where, depth)


def _plain(value: Any, where: str, depth: int) -> Any:
    """Returns what json.dumps writes of a value. where names it in errors."""
    if depth > MAX_DEPTH:
        raise _refuse(where, f"more than {MAX_DEPTH} levels")
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, (str, bytes)):
        return _text(value, where)
    if isinstance(value, (np.generic, np.ndarray)):
        return _numpy(value, where, depth)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, (list, tuple)):
        return [_plain(v, f"{where}[{k}]", depth + 1) for k, v in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(k, where): _plain(v, f"{where}[{k!r}]", depth + 1) for k, v in value.items()}
    raise _refuse(where, type(value).__name__)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise AttributesError(f"encode attribute {where}: got a key of type {type(key).__name__} (str)")
    return _text(key, where)


def encode(attrs: Mapping[str, Any] | None) -> bytes | None:
    """Returns the JSON text of attributes, None if there are none.

    numpy scalars and arrays become numbers and lists; NaN and infinities the strings "NaN", "Infinity", "-Infinity".
    Raises AttributesError, which names the key, for all else that JSON does not have."""
    if not attrs:
        return None
    if not isinstance(attrs, Mapping):
        raise AttributesError(f"encode attributes: got {type(attrs).__name__} (a mapping)")
    plain = {_key(k, repr(k)): _plain(v, repr(k), 1) for k, v in attrs.items()}
    try:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as e:  # an integer of too many digits
        raise AttributesError(f"encode attributes: {e}") from None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def decode(text: bytes | None) -> dict[str, Any]:
    """Returns the attributes of a JSON text, which another process wrote. Raises AttributesError if it is damaged."""
    if text is None:
        return {}
    try:
        attrs = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise AttributesError(f"decode attributes: {e}") from None
    if not isinstance(attrs, dict):
        raise AttributesError(f"decode attributes: got {type(attrs).__name__} (an object)")
    return attrs


# ---- the mapping


class Attributes(MutableMapping[str, Any]):
    """The attributes of a name, written through.

    Reading gives what is stored now; lists and dicts in it are copies. A change replaces the whole text if nobody has
    changed the name meanwhile, and is made anew if somebody has: changes of several processes are never lost. update
    makes one change of many. Raises NoNameError once the name is gone.

    Any thread may use it. Values are what JSON has; numpy scalars and arrays convert, NaN and infinities become strings
    that float() reads."""

    __slots__ = ("_core", "_name")

    def __init__(self, core: _core.Pool, name: str) -> None:
        self._core = core
        self._name = name

    @property
    def name(self) -> str:
        """The name whose attributes these are."""
        return self._name

    @property
    def version(self) -> int:
        """The version of the name now."""
        return self._core.name_attributes(self._name)[1]

    def copy(self) -> dict[str, Any]:
        """Returns what is stored now, as a dict."""
        return decode(self._core.name_attributes(self._name)[0])

    def _change(self, edit: Callable[[dict[str, Any]], T]) -> T:
        """Stores what edit makes of the attributes, unless the name changes meanwhile; then edit is called again."""
        for _ in range(MAX_TRIES):
            text, version = self._core.name_attributes(self._name)
            attrs = decode(text)
            result = edit(attrs)
            changed = encode(attrs)
            if changed == text:
                return result
            try:
                self._core.set_attributes(self._name, changed, version)
                return result
            except VersionError:
                continue
        raise VersionError(f"change attributes of {self._name!r}: others changed it {MAX_TRIES} times meanwhile")

    def __getitem__(self, key: str) -> Any:
        return self.copy()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        self._change(lambda attrs: attrs.pop(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def __contains__(self, key: object) -> bool:
        return key in self.copy()

    def keys(self) -> KeysView[str]:
        """Returns the keys of now."""
        return self.copy().keys()

    def values(self) -> ValuesView[Any]:
        """Returns the values of now."""
        return self.copy().values()

    def items(self) -> ItemsView[str, Any]:
        """Returns keys and values of now."""
        return self.copy().items()

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Sets many at once, in one change, from a mapping, pairs, or keywords."""
        new = dict(other, **more)
        self._change(lambda attrs: attrs.update(new))

    def clear(self) -> None:
        """Removes all, in one change."""
        self._change(lambda attrs: attrs.clear())

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Removes an attribute and returns its value, or default. Of several processes one gets it."""
        if default is _MISSING:
            return self._change(lambda attrs: attrs.pop(key))
        return self._change(lambda attrs: attrs.pop(key, default))

    def popitem(self) -> tuple[str, Any]:
        """Removes the last attribute and returns its key and value."""
        return self._change(lambda attrs: attrs.popitem())

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Returns a value, and sets it before if there is none. All processes get the same."""
        return self._change(lambda attrs: attrs.setdefault(key, default))

    def __repr__(self) -> str:
        return f"<ndpool attributes of {self._name!r}: {self.copy()!r}>"
