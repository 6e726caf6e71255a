"""What a pool tells about itself. All sizes are bytes, all times seconds.

Numbers of a busy pool are of slightly different moments; each array, process and transfer is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from . import _attrs

__all__ = [
    "ArrayInfo",
    "Fault",
    "NameInfo",
    "ProcessInfo",
    "Reaped",
    "Report",
    "RingInfo",
    "Stats",
    "TransferInfo",
    "process_text",
]

T = TypeVar("T")


def process_text(process: int) -> str:
    """Returns a process id as people read it: slot.incarnation."""
    return f"{(process & 0xFFFFFFFF) - 1}.{process >> 32}"


@dataclass(frozen=True, slots=True)
class Stats:
    """A summary of a pool."""

    capacity: int
    committed: int  #: of the capacity, with memory behind it
    live: int  #: users' bytes of arrays
    held: int  #: extents of arrays: live and what rounding wastes
    cached: int  #: kept by processes for reuse
    free: int
    largest_free: int  #: extent
    tables: int  #: bookkeeping
    arrays: int
    array_limit: int
    retired: int  #: descriptors whose generations are used up
    processes: int
    process_limit: int
    transfers: int  #: in flight
    transfer_limit: int
    names: int  #: entries of the catalog: names, and the groups they are in
    name_limit: int
    takeovers: int  #: of a dead process's lock, since creation
    sweeps: int  #: of dead processes
    expired: int  #: transfers nobody adopted in time
    stolen: int  #: cached blocks taken from other processes
    lost: int  #: arrays reported lost
    trimmed: int  #: chunks given back to the system


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array in the pool."""

    handle: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool  #: first index fastest
    bytes: int  #: users'
    extent: int  #: taken
    offset: int  #: of the users' bytes in the data region
    sealed: bool
    hashed: bool
    private: bool  #: never shared
    named: bool
    in_transit: int  #: transfers, and entries of streams and queues
    holders: tuple[int, ...]  #: slots of processes
    ring: str | None = None  #: "stream" or "queue", which is no array: dtype and shape say nothing


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A place in the process table that is in use."""

    id: int  #: what send(to=...) takes
    slot: int
    pid: int  #: in its own PID namespace
    uid: int
    command: str
    pid_namespace: int
    attached: float  #: how long ago
    alive: bool
    self: bool  #: it is this process
    arrays: int  #: held
    bytes: int  #: extents of those
    cached: int  #: kept for reuse


@dataclass(frozen=True, slots=True)
class TransferInfo:
    """A transfer in flight."""

    transfer: bytes
    handle: int
    sender: int  #: process id
    receiver: int | None  #: process id; None: anybody
    age: float
    expires: float | None  #: from now; None: not before its sender, or receiver, is gone


@dataclass(frozen=True, slots=True)
class NameInfo:
    """A name: an array's, a stream's or queue's, or a group's.

    One that is neither persistent nor implicit and has no owner stays until it is removed, and goes with the pool."""

    path: str
    version: int  #: number of the change that published it
    group: bool
    persistent: bool  #: stays until it is removed
    implicit: bool  #: a group that goes with the last name in it
    owner: int | None  #: id of the process that it goes with
    handle: int | None  #: of the array, stream or queue
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]
    fortran: bool  #: first index fastest
    sealed: bool
    bytes: int  #: of the array; of a stream or queue those of itself
    attrs: dict[str, Any]
    ring: str | None = None  #: "stream" or "queue", which has no dtype and no shape


@dataclass(frozen=True, slots=True)
class RingInfo:
    """A stream or a queue in the pool."""

    handle: int
    kind: str  #: "stream" or "queue"
    names: tuple[str, ...]  #: that lead to it
    lossless: bool  #: the writer waits for readers of every frame
    limit: int  #: entries: frames, or arrays of a queue's items
    reader_limit: int  #: readers that the writer can wait for
    head: int  #: entries that were ever put
    tail: int  #: of those, how many went again
    items: int  #: in it: frames, or items, which may take several entries
    bytes: int  #: of the arrays in it
    writer: int | None  #: process id
    ended: int  #: writers that have come to an end
    died: bool  #: the last of them died
    shut: bool  #: nothing is put into the queue any more
    entered: int  #: readers that the writer waits for
    behind: int  #: frames that the slowest of them has not read
    newest: float | None  #: when the newest entry was put, since 1970
    holders: tuple[int, ...]  #: slots of processes


@dataclass(frozen=True, slots=True)
class Fault:
    """A law of the format that a pool breaks."""

    law: str
    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.law}: {self.place}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found."""

    faults: tuple[Fault, ...]
    more: int  #: faults beyond those listed
    arrays: int  #: checked
    indexes: bool  #: the derived indexes were compared: nobody died inside the lock
    quiet: bool  #: no other process was attached, so that all laws could be asked for
    took: float

    @property
    def clean(self) -> bool:
        """Tells whether no fault was found."""
        return not self.faults and not self.more


@dataclass(frozen=True, slots=True)
class Reaped:
    """What cleaning up did."""

    processes: int  #: dead ones swept
    expired: int  #: transfers that nobody adopted in time
    removed: bool  #: the pool, since nobody was left to keep it


def info(cls: type[T], d: Mapping[str, Any]) -> T:
    """Makes a dataclass of what the core tells. Lists become tuples; what the class does not name is left out."""
    known = {f.name: d[f.name] for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in known.items()})


def transfer_info(d: Mapping[str, Any]) -> TransferInfo:
    """Makes a TransferInfo of what the core tells, where 0 is anybody, and no deadline yet."""
    handle = int.from_bytes(d["transfer"][:8], "little")
    known = {**d, "handle": handle, "receiver": d["receiver"] or None, "expires": d["expires"] or None}
    return info(TransferInfo, known)


def ring_kinds(listed: list[dict[str, Any]], rings: Callable[[], list[dict[str, Any]]]) -> None:
    """Tells of arrays or names that the core listed which kind of ring they are: the core tells whether they are one."""
    kinds = {d["handle"]: d["kind"] for d in rings()} if any(d["ring"] for d in listed) else {}
    for d in listed:
        d["ring"] = kinds.get(d["handle"], "ring") if d["ring"] else None  # "ring": it is gone meanwhile


def name_info(d: Mapping[str, Any]) -> NameInfo:
    """Makes a NameInfo of what the core tells, where 0 is nobody, and no array."""
    known = {"attrs": _attrs.decode(d["attrs"]), "owner": d["owner"] or None, "handle": d["handle"] or None}
    return NameInfo(**{**d, **known})


def ring_infos(rings: list[dict[str, Any]], names: list[dict[str, Any]]) -> list[RingInfo]:
    """Makes RingInfos of what the core tells of rings and of names, where 0 is nobody, and never."""
    paths: dict[int, list[str]] = {}
    for n in names:
        if n["ring"]:
            paths.setdefault(n["handle"], []).append(n["path"])
    return [
        info(
            RingInfo,
            {**d, "names": paths.get(d["handle"], []), "writer": d["writer"] or None, "newest": d["newest"] or None},
        )
        for d in rings
    ]
