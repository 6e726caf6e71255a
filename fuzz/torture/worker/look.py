"""Looking, and what keeps a pool tidy: see work_look.go."""

from __future__ import annotations

import ndpool
from ndpool import errors

from . import POOL
from .faults import Fault
from .lane import Lane
from .texts import process_text


def look(lane: Lane) -> None:
    s = lane.pool.stats()
    if s.free > s.capacity or s.held > s.capacity or s.arrays > s.array_limit or s.transfers > s.transfer_limit:
        raise Fault(f"stats: {s}")
    for x in lane.pool.arrays():
        if x.bytes > x.extent or x.extent > s.capacity:
            raise Fault(f"array info: {x}")
    if not any(x.id == lane.pool.process for x in lane.pool.processes()):
        raise Fault(f"process {process_text(lane.pool.process)} is not in the process table")
    lane.pool.tickets()
    lane.pool.rings()


def verify(lane: Lane) -> None:
    r = lane.pool.verify(content=lane.rng.randrange(8) == 0)
    if r.faults:
        raise Fault(f"{len(r.faults)} faults, first: {r.faults[0]}")


def peek(lane: Lane) -> None:
    try:
        p = ndpool.Pool.peek(POOL, dir=lane.worker.dir)
    except errors.NotExistError:
        return  # somebody has unlinked it
    try:
        if p.segment == lane.pool.segment and p.condition() != "live":
            raise Fault(f"peek: pool is {p.condition()}, and this process is attached")
        p.stats(), p.arrays(), p.processes(), p.tickets(), p.entries()
    finally:
        p.close()


def trim(lane: Lane) -> None:
    lane.pool.trim()


def reap(lane: Lane) -> None:
    lane.pool.reap()
