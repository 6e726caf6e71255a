"""What the command tells about pools, as JSON. Names are those of the Go command.

Pools are looked at by a private copy of their tables: no slot is taken, no lock waited for, and nothing written.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from ._dtype import encode
from ._info import ArrayInfo, RingInfo, process_text
from ._pool import Pool
from .errors import FormatError, NdpoolError, NotExistError, PoolNameError

__all__ = ["arrays", "is_pool", "list_pools", "pool_list", "processes", "rings", "summary"]

Json = dict[str, Any]

MAGIC: Final = b"ndpool\x1a\n"


def seconds(s: float) -> float:
    """Returns a time as JSON has it: in milliseconds at the finest."""
    return round(s, 3)


def is_pool(path: str) -> bool:
    """Tells whether a file says that it is a pool. Raises OSError if it cannot be read.

    The name may be anybody's: a link is not followed, and a pipe is not waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and os.read(fd, len(MAGIC)) == MAGIC
    finally:
        os.close(fd)


def pool_list(folder: str) -> Json:
    """Describes all pools of a directory, and names what looks like one and cannot be read. Raises OSError."""
    found: list[Json] = []
    unreadable: list[Json] = []
    for name in list_pools(folder):
        try:
            if is_pool(os.path.join(folder, name)):
                found.append(summary(folder, name)[1])
        except (NotExistError, PoolNameError, FileNotFoundError):
            continue  # gone meanwhile, or never one
        except (NdpoolError, OSError) as e:
            if not isinstance(e, PermissionError):
                unreadable.append({"name": name, "error": str(e)})
    return {"dir": folder, "pools": found, "unreadable": unreadable}


def list_pools(folder: str) -> Iterator[str]:
    """Returns the names of the regular files of a directory."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    return iter(sorted(names))


def summary(folder: str, name: str) -> tuple[Pool, Json]:
    """Returns a peeked Pool and what ls tells about it. Raises NotExistError, FormatError."""
    try:
        pool = Pool.peek(name, dir=folder)
    except FormatError as e:
        if os.path.exists(os.path.join(folder, name)) and not is_pool(os.path.join(folder, name)):
            raise FormatError(f"{e} (the file is no pool)") from None
        raise
    stats, people, tickets = pool.stats(), pool.processes(), pool.tickets()
    uid, memory = _inode(os.path.join(folder, name))
    alive = sum(p.alive for p in people)
    return pool, {
        "name": name,
        "state": pool.condition(),
        "capacity": stats.capacity,
        "committed": stats.committed,
        "held": stats.held,
        "memory": memory,
        "arrays": stats.arrays,
        "processes": alive,
        "dead": len(people) - alive,
        "transfers": stats.transfers,
        "expired": sum(t.expires is not None and t.expires < 0 for t in tickets),
        "persistent": bool(pool.options()["persistent"]),
        "uid": uid,
        "segment": pool.segment.hex(),
    }


def _inode(path: str) -> tuple[int, int]:
    """Returns the user that a file belongs to, and the bytes of memory that it takes; -1 if it is gone."""
    try:
        st = os.lstat(path)
    except OSError:
        return -1, 0
    return st.st_uid, st.st_blocks * 512 if stat.S_ISREG(st.st_mode) else 0


def describe(pool: Pool, name: str) -> Json:
    """Returns what a pool was created with."""
    o = pool.options()
    return {
        "name": name,
        "path": pool.path,
        "segment": pool.segment.hex(),
        "capacity": o["capacity"],
        "array_limit": o["arrays"],
        "process_limit": o["processes"],
        "transfer_limit": o["tickets"],
        "name_limit": o["names"],
        "mode": f"{o['mode']:04o}",
        "grace_seconds": seconds(o["grace"]),
        "lock_wait_seconds": seconds(o["lock_wait"]),
        "persistent": o["persistent"],
        "reserve": o["reserve"],
        "huge_pages": o["huge_pages"],
    }


def stat_of(folder: str, name: str) -> Json:
    """Returns how full a pool is."""
    pool, listed = summary(folder, name)
    s, rings = pool.stats(), pool.rings()
    stats = {field: getattr(s, field) for field in s.__dataclass_fields__}
    return {
        **describe(pool, name),
        "state": listed["state"],
        "stats": stats,
        "waste": _share(s.held - s.live, s.held),
        "fragmentation": _share(s.free - s.largest_free, s.free),
        "memory": listed["memory"],
        "dead": listed["dead"],
        "streams": sum(r.kind == "stream" for r in rings),
        "queues": sum(r.kind == "queue" for r in rings),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0


def processes(pool: Pool) -> list[Json]:
    """Returns the process table."""
    return [
        {
            "id": process_text(p.id),
            "slot": p.slot,
            "pid": p.pid,
            "pid_namespace": p.pid_namespace,
            "uid": p.uid,
            "command": p.command,
            "alive": p.alive,
            "attached_seconds": seconds(p.attached),
            "arrays": p.arrays,
            "bytes": p.bytes,
            "cached": p.cached,
        }
        for p in pool.processes()
    ]


def arrays(pool: Pool) -> tuple[list[Json], list[ArrayInfo]]:
    """Returns the arrays of a pool with their holders, also as they are."""
    people = {p.slot: {"slot": p.slot, "pid": p.pid, "command": p.command, "alive": p.alive} for p in pool.processes()}
    infos = pool.arrays()
    return [_array(a, people) for a in infos], infos


def _array(a: ArrayInfo, people: dict[int, Json]) -> Json:
    gone = {"pid": 0, "command": "", "alive": False}  # left meanwhile
    found: Json = {"handle": f"{a.handle:016x}", "kind": a.ring or "array"}
    if a.ring is None:
        record = encode(a.dtype)[1]
        found["dtype"] = record.decode() if record else a.dtype.str
    return {
        **found,
        "shape": list(a.shape) if a.ring is None else None,
        "fortran": a.fortran,
        "bytes": a.bytes,
        "extent": a.extent,
        "offset": a.offset,
        "sealed": a.sealed,
        "hashed": a.hashed,
        "private": a.private,
        "named": a.named,
        "in_transit": a.in_transit,
        "holders": [people.get(slot, {"slot": slot, **gone}) for slot in a.holders],
    }


def rings(pool: Pool) -> list[Json]:
    """Returns the streams and queues, those with a name first."""
    people = {p.slot: {"slot": p.slot, "pid": p.pid, "command": p.command, "alive": p.alive} for p in pool.processes()}
    writers = {
        p.id: {"id": process_text(p.id), "pid": p.pid, "command": p.command, "alive": p.alive} for p in pool.processes()
    }
    return [_ring(r, people, writers) for r in sorted(pool.rings(), key=lambda r: (not r.names, r.names, r.handle))]


def _ring(r: RingInfo, people: dict[int, Json], writers: dict[int, Json]) -> Json:
    """Describes a ring as the Go command does."""
    gone = {"pid": 0, "command": "", "alive": False}  # left meanwhile
    writer = writers.get(r.writer, {"id": process_text(r.writer), **gone}) if r.writer is not None else None
    found: Json = {
        "handle": f"{r.handle:016x}",
        "kind": r.kind,
        "names": list(r.names),
        "items": r.items,
        "entries": max(r.head - r.tail, 0),
        "limit": r.limit,
        "put": r.head,
        "bytes": r.bytes,
        "lossless": r.lossless,
        "shut": r.shut,
        "writer": writer,
    }
    if r.kind == "stream":
        found["writer_state"] = _writer_state(r, writer)
    return {
        **found,
        "writers_ended": r.ended,
        "readers": r.entered,
        "reader_limit": r.reader_limit,
        "behind": r.behind,
        "newest": None if r.newest is None else _when(r.newest),
        "age_seconds": None if r.newest is None else seconds(max(time.time() - r.newest, 0)),
        "holders": [people.get(slot, {"slot": slot, **gone}) for slot in r.holders],
    }


def _writer_state(r: RingInfo, writer: Json | None) -> str:
    """Tells in one word what is with the writer of a stream. One that died and was not swept yet is still its writer."""
    if writer is not None and writer["alive"]:
        return "alive"
    if writer is not None or r.died:
        return "died"
    return "ended" if r.ended else "none"


def _when(wall: float) -> str:
    """Returns a time since 1970 as text of ISO 8601, as it is here."""
    return datetime.fromtimestamp(wall).astimezone().isoformat()
