"""What a pool tells about itself. All sizes are bytes, all times seconds.

Numbers of a busy pool are of slightly different moments; each array, process and transfer is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from . import _attrs

__all__ = ["ArrayInfo", "Fault", "NameInfo", "ProcessInfo", "Reaped", "Report", "Stats", "TransferInfo", "process_text"]

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
    in_transit: int  #: transfers
    holders: tuple[int, ...]  #: slots of processes


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
    """A name: an array's, or a group's."""

    path: str
    version: int  #: number of the change that published it
    group: bool
    persistent: bool  #: stays until it is removed
    implicit: bool  #: a group that goes with the last name in it
    owner: int | None  #: id of the process that it goes with
    handle: int | None  #: of the array
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]
    fortran: bool  #: first index fastest
    sealed: bool
    bytes: int  #: of the array
    attrs: dict[str, Any]


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


def name_info(d: Mapping[str, Any]) -> NameInfo:
    """Makes a NameInfo of what the core tells, where 0 is nobody, and no array."""
    return NameInfo(
        **{**d, "attrs": _attrs.decode(d["attrs"]), "owner": d["owner"] or None, "handle": d["handle"] or None}
    )
