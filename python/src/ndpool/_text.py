"""Text for people: sizes, times, dtypes, tables. The Go command writes the same."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

__all__ = [
    "age",
    "clean",
    "cut",
    "human",
    "json_text",
    "one_line",
    "percent",
    "plural",
    "shape_text",
    "table",
    "type_text",
    "yes",
]

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


def human(n: int) -> str:
    """Writes bytes, as "1.5 MiB"."""
    if n < 1024:
        return f"{n} B"
    size, unit = float(n), -1
    while size >= 1024 and unit < 3:
        size, unit = size / 1024, unit + 1
    if size >= 999.95 and unit < 3:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f}".removesuffix(".0") + " " + _UNITS[unit]


def age(seconds: float) -> str:
    """Writes a length of time, as "250ms", "4.2s", "9m05s", "3h20m" and "5d02h"."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        ms = round(seconds * 1000)
        return f"{ms}ms" if ms else "0s"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes}m{int(seconds) % 60:02d}s"
    hours = minutes // 60
    return f"{hours}h{minutes % 60:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24:02d}h"


def percent(part: int, whole: int) -> str:
    """Writes a share, as "12.5 %"."""
    if whole == 0:
        return "0 %"
    return f"{math.floor(1000 * part / whole + 0.5) / 10:g} %"


def plural(n: int, one: str, many: str) -> str:
    """Writes a number of things."""
    return f"1 {one}" if n == 1 else f"{n} {many}"


def yes(b: bool) -> str:
    """Writes yes or no."""
    return "yes" if b else "no"


def clean(text: str) -> str:
    """Writes a text of foreign origin so that it cannot steer a terminal."""
    if all(c.isprintable() or c == "\n" for c in text):
        return text
    return text.encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(text: str) -> str:
    """Writes a text of foreign origin like clean, and leaves no newline either: it cannot pretend to be a line more."""
    return clean(text).replace("\n", "\\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """Returns JSON that neither steers a terminal nor fails to be written. In JSON only strings have such characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def cut(text: str, n: int) -> str:
    """Shortens a text for a column."""
    return text if len(text) <= n else text[: n - 1] + "…"


def shape_text(shape: Sequence[int]) -> str:
    """Writes a shape as numpy does, without spaces."""
    return f"({shape[0]},)" if len(shape) == 1 else f"({','.join(map(str, shape))})"


def type_text(dtype: np.dtype[Any]) -> str:
    """Writes an element type in one short word: of a structured one its fields."""
    if dtype.names is None:
        return dtype.str
    assert dtype.fields is not None or not dtype.names
    fields = []
    for name in dtype.names:
        base, shape = dtype[name].subdtype or (dtype[name], ())
        fields.append(f"{clean(name)}:{type_text(base)}{'(' + ','.join(map(str, shape)) + ')' if shape else ''}")
    return "{" + ",".join(fields) + "}"


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Returns lines of columns. A title that begins with ">" belongs to a column of numbers, which stand right."""
    cells = [[title.removeprefix(">") for title in titles], *([one_line(str(cell)) for cell in row] for row in rows)]
    width = [max(len(row[k]) for row in cells) for k in range(len(titles))]
    right = [title.startswith(">") for title in titles]
    return [
        "  ".join(c.rjust(width[k]) if right[k] else c.ljust(width[k]) for k, c in enumerate(row)).rstrip()
        for row in cells
    ]
