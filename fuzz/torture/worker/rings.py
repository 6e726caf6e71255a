"""Streams: see rings.go."""

from __future__ import annotations

from typing import Any

import ndpool

from .arrays import spec
from .faults import Fault
from .lane import Lane
from .pattern import fill

STREAMS, RING_WAIT = 2, 0.02


def wait(lane: Lane) -> float:
    return 0.0 if lane.worker.lockstep else RING_WAIT


def end_ring(lane: Lane) -> None:
    k = lane.rng.randrange(STREAMS)
    ends: dict[int, Any] = lane.rng.choice((lane.writers, lane.readers, lane.queues))
    if k in ends:
        ends.pop(k).close()


def publish_frame(lane: Lane) -> None:
    k = lane.rng.randrange(STREAMS)
    if k not in lane.writers:
        lane.writers[k] = lane.pool.writer(f"r/s{k}", frames=3, lossless=k == 1)
    w = lane.writers[k]
    if k == 1 and lane.rng.randrange(10) == 0:
        w.await_readers(1, timeout=wait(lane))
    a = w.empty(*spec(lane))
    fill(a)
    w.publish(a, attributes={"handle": f"{ndpool.handle(a):016x}"}, timeout=wait(lane))


def read_frame(lane: Lane) -> None:
    """Wants that frames are whole and come in their order."""
    lane.make_room()
    k = lane.rng.randrange(STREAMS)
    if k not in lane.readers:
        every, from_now = lane.rng.randrange(2) == 0, lane.rng.randrange(2) == 0
        lane.readers[k], lane.last[k] = lane.pool.reader(f"r/s{k}", every=every, from_now=from_now), 0
    r, how = lane.readers[k], lane.rng.randrange(3)
    f = r.newest() if how == 0 else r.latest(wait(lane)) if how == 1 else r.next(wait(lane))
    if f is None:
        return
    handle = f"{ndpool.handle(f.array):016x}"
    if f.attributes.get("handle") != handle or not ndpool.is_sealed(f.array):
        raise Fault(f"stream {k}: frame {f.sequence}: array {handle}, attributes {f.attributes}")
    if f.sequence < lane.last[k] or (f.sequence == lane.last[k] and how):
        raise Fault(f"stream {k}: frame {f.sequence} came after frame {lane.last[k]}")
    lane.last[k] = f.sequence
    lane.hold(f.array)
