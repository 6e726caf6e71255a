"""Element types in both forms: numpy's dtype, and the code and record that lie in the segment.

docs/FORMAT.md and the package dtype of the Go library define the forms. Every dtype has exactly one code and one
record. Codes and records come from other processes and may be anything: decode refuses all that encode never makes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import numpy as np

from .errors import CorruptError, DTypeError

__all__ = ["decode", "encode"]

DType = np.dtype[Any]

MAX_SIZE: Final = 2**31 - 1  #: bytes of an element
MAX_FIELDS: Final = 1024  #: of a structured dtype, those of nested ones included
MAX_DEPTH: Final = 8  #: structured dtypes nested in each other
MAX_DIMS: Final = 64  #: of a sub-array
MAX_RECORD: Final = 65536  #: bytes of a record

_UNITS: Final = ("generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
_STRUCTURED: Final = 1 << 24
_SIZES: Final = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
_NATIVE: Final = 1 if sys.byteorder == "little" else 2
_ORDERS: Final = {"|": 0, "<": 1, ">": 2, "=": _NATIVE}
_SIGNS: Final = "|<>"
#: What numpy is asked to read of a foreign text; it would run a parser of Python on others.
_PLAIN: Final = re.compile(r"[|<>][biufcMmSUV][0-9]{1,10}(?:\[[0-9]{0,10}[A-Za-z]{1,2}\])?", re.ASCII)


def encode(dtype: DType) -> tuple[int, bytes]:
    """Returns the code and the record, which is empty unless the dtype has fields.

    Raises DTypeError for a dtype that cannot be shared."""
    if dtype.names is None:
        return _plain_code(dtype), b""
    text = _Writer().record(dtype, 1)
    try:
        record = text.encode()
    except UnicodeEncodeError:
        refuse(dtype, "a field name is no valid Unicode")
    if len(record) > MAX_RECORD:
        refuse(dtype, f"its description takes {len(record)} bytes (at most {MAX_RECORD})")
    return ord("V") | _STRUCTURED | dtype.itemsize << 32, record


def decode(code: int, record: bytes) -> DType:
    """Returns the dtype of a code and a record, either of which may be anything.

    Raises CorruptError for all that encode never returns."""
    if not code & _STRUCTURED:
        if record:
            corrupt(f"record beside code {code:#x}", f"{len(record)} bytes", "none")
        return _plain_dtype(code)
    dtype = _read_record(record)
    want = encode(dtype)
    if want != (code, record):
        corrupt("structured dtype", f"code {code:#x} and {_short(record)}", f"{want[0]:#x} and {_short(want[1])}")
    return dtype


def refuse(dtype: DType, why: str) -> NoReturn:
    """Raises DTypeError."""
    raise DTypeError(f"share dtype {_name(dtype)}: {why}")


def corrupt(what: str, got: object, want: object) -> NoReturn:
    """Raises CorruptError."""
    raise CorruptError(f"decode {what}: got {got}, expected {want}")


def _short(record: bytes) -> str:
    return repr(record if len(record) <= 60 else record[:57] + b"...")


def _name(dtype: DType) -> str:
    name = str(dtype)
    return name if len(name) <= 60 else name[:57] + "..."


# ---- without fields


def _plain_code(dtype: DType) -> int:
    kind, size = dtype.kind, dtype.itemsize
    if kind in "mM":
        unit, count = np.datetime_data(dtype)
        return ord(kind) | _ORDERS[dtype.byteorder] << 8 | _UNITS.index(unit) << 16 | count << 32
    if dtype.subdtype is not None:
        refuse(dtype, "a sub-array outside of a field: add its dimensions to the shape")
    if kind not in "SUV" and size not in _SIZES.get(kind, ()):
        refuse(dtype, _hint(dtype))
    if size > MAX_SIZE:
        refuse(dtype, f"elements of {size} bytes (at most {MAX_SIZE})")
    order = _ORDERS[dtype.byteorder] if kind == "U" or (kind in "iufc" and size > 1) else 0
    return ord(kind) | order << 8 | size << 32


def _hint(dtype: DType) -> str:
    if dtype.kind == "O":
        return (
            "it holds pointers to Python objects, which mean nothing in another process; "
            "use a numeric, string or structured dtype, or send the array by plain pickle"
        )
    if dtype.kind == "T":
        return "its text lies outside of the array; use strings of fixed size, such as astype('U20')"
    if dtype.kind in "fc":
        return "its layout differs from machine to machine; use float64 or complex128"
    return f"its kind {dtype.kind!r} has no place in the format"


@lru_cache(maxsize=1024)
def _plain_dtype(code: int) -> DType:
    kind, order, unit, flags, size = chr(code & 255), code >> 8 & 255, code >> 16 & 255, code >> 24 & 255, code >> 32
    if flags or order > 2 or kind not in "biufcMmSUV" or size > MAX_SIZE:
        corrupt("dtype code", f"{code:#x}", "one that a dtype has")
    if kind in "Mm":
        text = f"{_SIGNS[order]}{kind}8{_time(code, unit, size)}"
    else:
        text = f"{_SIGNS[order]}{kind}{size // 4 if kind == 'U' else size}"
    try:
        dtype: DType = np.dtype(text)
        again = _plain_code(dtype)
    except (TypeError, ValueError) as e:
        raise CorruptError(f"decode dtype code {code:#x}: {e}") from None
    if again != code:
        corrupt("dtype code", f"{code:#x}", f"{again:#x} for {text}")
    return dtype


def _time(code: int, unit: int, count: int) -> str:
    if unit >= len(_UNITS) or count < 1:
        corrupt("dtype code", f"{code:#x}", f"a unit up to {len(_UNITS) - 1} and a multiple from 1")
    return "" if unit == 0 else f"[{count}{_UNITS[unit]}]"


# ---- with fields


class _Writer:
    """Writes one record. Counts the fields on the way."""

    def __init__(self) -> None:
        self.count = 0

    def record(self, dtype: DType, depth: int) -> str:
        names: tuple[str, ...] = dtype.names or ()
        places: Mapping[str, Any] = dtype.fields or {}
        self.count += len(names)
        if self.count > MAX_FIELDS:
            refuse(dtype, f"{self.count} fields or more (at most {MAX_FIELDS})")
        if depth > MAX_DEPTH:
            refuse(dtype, f"structured dtypes nested {depth} deep or more (at most {MAX_DEPTH})")
        if dtype.itemsize > MAX_SIZE:
            refuse(dtype, f"elements of {dtype.itemsize} bytes (at most {MAX_SIZE})")
        fields = ",".join(self.field(dtype, name, places[name], depth) for name in names)
        aligned = ',"aligned":true' if dtype.isalignedstruct else ""
        return f'{{"itemsize":{dtype.itemsize}{aligned},"fields":[{fields}]}}'

    def field(self, parent: DType, name: str, place: tuple[Any, ...], depth: int) -> str:
        if len(place) > 2:
            refuse(parent, f"field {name!r} has a title; titles are not kept")
        if not name or "\0" in name:
            refuse(parent, f"a field is named {name!r}; names are not empty and hold no zero byte")
        base, shape = place[0].subdtype or (place[0], ())
        if base.names is None:
            typ = json.dumps(_text(base))
        else:
            typ = self.record(base, depth + 1)
        dims = f",[{','.join(str(d) for d in shape)}]" if shape else ""
        return f"[{json.dumps(name, ensure_ascii=False)},{typ},{place[1]}{dims}]"


def _text(dtype: DType) -> str:
    """Returns dtype.str in its canonical form. Refuses what cannot be shared."""
    _plain_code(dtype)
    return dtype.str


def _read_record(record: bytes) -> DType:
    """Makes the dtype that a record tells. What is not canonical is found by writing it again."""
    if len(record) > MAX_RECORD:
        corrupt("structured dtype", f"{len(record)} bytes", f"at most {MAX_RECORD}")
    try:
        return _structured(json.loads(record.decode()), 1)
    except (TypeError, ValueError, LookupError, OverflowError, RecursionError, MemoryError) as e:
        why = str(e) if isinstance(e, ValueError) else type(e).__name__
        raise CorruptError(f"decode structured dtype {_short(record)}: {why}") from None


def _structured(tree: Any, depth: int) -> DType:
    """Makes a dtype of a parsed record. Raises ValueError or TypeError for anything else."""
    _check(type(tree) is dict and depth <= MAX_DEPTH, "structured dtype")
    _check(type(tree["fields"]) is list and len(tree["fields"]) <= MAX_FIELDS, "list of fields")
    names, formats, offsets = [], [], []
    for item in tree["fields"]:
        name, typ, offset, *shape = item
        _check(type(name) is str and len(shape) <= 1, "field")
        names.append(name)
        formats.append(_field_type(typ, shape[0] if shape else [], depth))
        offsets.append(_number(offset))
    spec = {"names": names, "formats": formats, "offsets": offsets, "itemsize": _number(tree["itemsize"])}
    return np.dtype(spec, align=tree.get("aligned", False) is True)  # type: ignore[call-overload,no-any-return]


def _field_type(typ: Any, shape: Any, depth: int) -> DType:
    if type(typ) is dict:
        base = _structured(typ, depth + 1)
    else:
        _check(type(typ) is str and _PLAIN.fullmatch(typ) is not None, "type of a field")
        base = np.dtype(typ)
        _plain_code(base)
    _check(type(shape) is list and len(shape) <= MAX_DIMS, "shape of a field")
    return np.dtype((base, tuple(_number(d) for d in shape))) if shape else base


def _number(n: Any) -> int:
    _check(type(n) is int and 0 <= n <= MAX_SIZE, "number")
    return int(n)


def _check(ok: bool, what: str) -> None:
    if not ok:
        raise ValueError(f"no {what}")
