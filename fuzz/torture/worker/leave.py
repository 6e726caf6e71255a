"""The end of a lane."""

from __future__ import annotations

import ndpool

from .hidden import send_queue
from .lane import Lane
from .pools import close_clone, close_second


def queue_handle(lane: Lane, q: ndpool.Queue) -> int:
    """Learns it from a transfer that is taken back at once: there is no other way."""
    t = send_queue(q)
    lane.pool.recall(t)
    return int.from_bytes(t[:8], "little")


def handles(lane: Lane) -> list[str]:
    """Those of all blocks of the pool that the lane holds."""
    found = [f"{ndpool.handle(a):016x}" for a in lane.held]
    for q in (*lane.queues.values(), *lane.extra):
        found.append(f"{queue_handle(lane, q):016x}")
    return found


def close_streams(lane: Lane) -> None:
    for ends in lane.writers, lane.readers:
        for x in ends.values():
            x.close()
        ends.clear()


def thaw(lane: Lane) -> None:
    """Closes what holds blocks that nobody can name."""
    close_streams(lane)
    close_clone(lane)
    close_second(lane)


def leave(lane: Lane) -> None:
    """Checks and releases everything."""
    thaw(lane)
    for q in (*lane.queues.values(), *lane.extra):
        q.close()
    while lane.held:
        lane.release()
