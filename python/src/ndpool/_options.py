"""How a pool is created and opened, in words and in the core's numbers."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any, Final, TypedDict

from .errors import OptionsError

__all__ = ["Options", "core_options", "parse_size"]


class Options(TypedDict, total=False):
    """Options of a pool. What is left out is the default.

    The first group is stored in the pool at its creation. Who opens it and leaves an option out takes what is there;
    who asks for something else gets OptionsError. The second group concerns this attachment alone.
    """

    capacity: int | float | str  #: bytes for arrays, or text such as "512M" and "1.5G"; default 1 GiB
    arrays: int  #: that can be alive at once; default one per 16 KiB of capacity, at least 1024
    processes: int  #: that can be attached at once, at most 254, the default
    tickets: int  #: transfers that can be in flight at once; default 8192
    names: int  #: entries of the catalog: names and the groups they are in; default 16384
    mode: int  #: permission bits of the file; default 0o600
    grace: float  #: seconds that a transfer to anybody outlives its sender; default 600
    lock_wait: float  #: seconds to wait for a lock whose owner lives but is stopped; default 10
    persistent: bool  #: keep the pool when the last process leaves
    reserve: bool  #: commit all memory at creation
    huge_pages: bool  #: advise the kernel to use huge pages

    dir: str | os.PathLike[str] | None  #: directory of the file; default /dev/shm
    fd: int  #: an open file instead of a name; the caller keeps it
    prefault: bool  #: map all committed memory now
    observer: bool  #: look on: sweep nobody, and remove no pool that nobody was attached to
    uids: Sequence[int]  #: users whose pools may be opened, beside this process's own
    gids: Sequence[int]  #: groups whose pools may be opened


_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE: Final = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


def parse_size(size: float | str) -> int:
    """Returns bytes of a number, or of text such as 4096, "64K", "512M", "1.5G" or "2GiB". Units are powers of 1024.

    Raises ValueError for what is no size, or is not more than 0.
    """
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is None:
            raise ValueError(f"parse size: got {size!r}, expected a number and a unit, such as '512M' or '1.5G'")
        unit = _UNITS[match[2].lower()]
        size = int(match[1]) * unit if match[1].isdigit() else float(match[1]) * unit
    if not math.isfinite(size) or size < 1 or size >= 2**63:
        raise ValueError(f"parse size: got {size!r}, expected at least 1 byte")
    return int(size)


def core_options(options: Options) -> dict[str, Any]:
    """Returns the keyword arguments of the core's Pool. Raises TypeError for options that do not exist."""
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    unknown = given.keys() - Options.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown options of a pool: {', '.join(sorted(unknown))}")
    if "capacity" in given:
        given["capacity"] = parse_size(given["capacity"])
    if "dir" in given:
        given["dir"] = os.path.abspath(os.fspath(given["dir"]))  # others are told the path
    for key in ("arrays", "processes", "tickets", "names", "mode", "grace", "lock_wait"):
        if key in given and given[key] < 0:
            raise OptionsError(f"open pool: {key}: got {given[key]} (at least 0)")
    return given
