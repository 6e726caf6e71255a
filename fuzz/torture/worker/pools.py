"""Other pools, and this one once more: see work_pools.go."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

import ndpool
from ndpool import errors

from . import POOL
from .faults import Fault, must_refuse
from .lane import Lane
from .names import SHARED_NAMES
from .pattern import fill
from .texts import process_text, transfer_text

SECOND: Final[dict[str, Any]] = {
    "capacity": 4 << 20,
    "arrays": 1024,
    "processes": 64,
    "tickets": 256,
    "names": 1024,
    "grace": 0.2,
    "lock_wait": 60.0,
}


def use_clone(lane: Lane) -> None:
    """Opens the pool once more, hands arrays to that, or leaves it."""
    if lane.clone is None:
        try:
            if lane.rng.randrange(2) == 0:
                lane.clone = ndpool.Pool.open("", fd=lane.pool.fileno())
            else:
                lane.clone = ndpool.Pool.open(POOL, dir=lane.worker.dir)
        except errors.NotExistError:
            return  # somebody has unlinked it
        if lane.clone.process == lane.pool.process or lane.clone.segment != lane.pool.segment:
            raise Fault(f"clone: got process {process_text(lane.clone.process)}, beside {process_text(lane.pool.process)}")
        return
    c = lane.clone
    if lane.rng.randrange(10) == 0:
        close_clone(lane)
        return
    t = lane.pool.send(lane.own_whole(), to=c.process)
    must_refuse("adopt what is for the clone", (errors.NotReceiverError, errors.RecalledError), lambda: lane.pool.adopt(t))
    lane.check(c.adopt(t))
    a = c.empty(1 + lane.rng.randrange(500), np.uint64)
    fill(a)
    lane.say(f"t {transfer_text(c.send(a))}")


def close_clone(lane: Lane) -> None:
    if lane.clone is not None:
        lane.clone.close()
    lane.clone = None


def use_second(lane: Lane) -> None:
    """Opens or creates the second pool, uses it, or leaves it. Its name is unlinked now and then."""
    if lane.second is None:
        lane.second = ndpool.Pool("second", dir=lane.worker.dir, **SECOND)
        if lane.second.segment != lane.known:
            lane.known = lane.second.segment
            lane.worker.tally.add("second_new")
        return
    p, n = lane.second, lane.rng.randrange(20)
    if n < 1:
        close_second(lane)
    elif n < 8 and len(lane.second_held) < 10:
        a = p.empty(1 + lane.rng.randrange(4000), np.uint64)
        fill(a)
        lane.second_held.append(a)
        lane.check(p.adopt(p.send(a)))
    elif n < 10 and lane.second_held:
        p[f"x/{lane.rng.randrange(SHARED_NAMES)}"] = lane.rng.choice(lane.second_held)
    elif n < 12:
        lane.check(p[f"x/{lane.rng.randrange(SHARED_NAMES)}"])
    elif n < 14 and lane.held:
        a = lane.any()
        must_refuse("send an array by another pool", errors.ForeignError, lambda: p.send(a))
        must_refuse("adopt a message of another pool", errors.ForeignError, lambda: p.adopt(foreign(lane, a)))
    elif n < 15:
        p.reap()
    elif lane.second_held:
        lane.check(lane.second_held.pop(lane.rng.randrange(len(lane.second_held))))


def foreign(lane: Lane, a: np.ndarray) -> bytes:
    """A message of a bare handle of this pool."""
    head = b"nd\x01\x01" + (32).to_bytes(4, "little") + lane.pool.segment
    return head + ndpool.handle(a).to_bytes(8, "little") + bytes(8)


def close_second(lane: Lane) -> None:
    for a in lane.second_held:
        lane.check(a)
        del a
    lane.second_held = []
    if lane.second is not None:
        lane.second.close()
    lane.second = None
