"""Queues: see work_queues.go."""

from __future__ import annotations

from typing import Final

import numpy as np

import ndpool
from ndpool import errors

from .faults import Fault
from .hidden import adopt_queue, send_queue
from .lane import Lane
from .pattern import BYTES_SEED, pattern
from .rings import wait
from .texts import transfer_text

QUEUES: Final = 2


def named(lane: Lane, k: int) -> ndpool.Queue:
    if k not in lane.queues:
        lane.queues[k] = lane.pool.queue(f"r/q{k}", maxsize=20)
    return lane.queues[k]


def was_shut(lane: Lane, k: int) -> None:
    """Leaves a queue that was shut down; if it is empty it is removed for all."""
    q = lane.queues.pop(k)
    try:
        if q.qsize() == 0:
            lane.pool.remove(f"r/q{k}")
    finally:
        q.close()


def shut(lane: Lane) -> None:
    named(lane, 1).shutdown()


def put(lane: Lane) -> None:
    k = lane.rng.randrange(QUEUES)
    q = named(lane, k)
    try:
        put_into(lane, q, k > 0)
    except errors.ShutDown:
        was_shut(lane, k)


def put_into(lane: Lane, q: ndpool.Queue, more: bool) -> None:
    kind = lane.rng.randrange(6)
    if kind == 0:
        q.put(pattern(BYTES_SEED, lane.rng.randrange(3000)).tobytes(), timeout=wait(lane))
    elif kind == 1:
        q.put_nowait(lane.own_whole())
    elif kind == 2:
        q.put_many([lane.own_whole() for _ in range(3)], timeout=wait(lane))
    elif kind == 3 and more:
        q.put([lane.any(), *lane.rng.choices(lane.held, k=2), "text"], timeout=wait(lane))
    else:
        q.put(lane.own_whole(), timeout=wait(lane))


def get(lane: Lane) -> None:
    k = lane.rng.randrange(QUEUES)
    q = named(lane, k)
    try:
        get_from(lane, q)
    except errors.ShutDown:
        was_shut(lane, k)


def get_from(lane: Lane, q: ndpool.Queue) -> None:
    if lane.rng.randrange(3) == 0:
        items = [q.get_nowait()]
    else:
        items = q.get_many(1 + lane.rng.randrange(3), timeout=wait(lane))
    for item in items:
        lane.worker.tally.add("item")
        for x in item if isinstance(item, list | tuple) else (item,):
            if isinstance(x, np.ndarray):
                lane.check(x)
            elif isinstance(x, bytes):
                if x != pattern(BYTES_SEED, len(x)).tobytes():
                    raise Fault(f"bytes of an item: {len(x)}, not as they were put")
            elif x != "text":
                raise Fault(f"item {item!r}")


def own_queue(lane: Lane) -> None:
    """Makes a queue without a name, uses it, and gives it to others, or one that it has is used."""
    if lane.extra and lane.rng.randrange(2):
        use_queue(lane, lane.rng.randrange(len(lane.extra)))
        return
    q = lane.pool.queue(maxsize=8)
    keep_queue(lane, q)
    first = lane.own_whole()
    q.put_many([first, lane.own_whole()], timeout=wait(lane))
    got = q.get_nowait()
    if ndpool.handle(got) != ndpool.handle(first):
        raise Fault(f"queue: put {ndpool.handle(first):016x}, got {ndpool.handle(got):016x}")
    lane.say(f"t {transfer_text(send_queue(q))}")


def keep_queue(lane: Lane, q: ndpool.Queue) -> None:
    lane.extra.append(q)
    if len(lane.extra) > 3:
        lane.extra.pop(0).close()


def use_queue(lane: Lane, k: int) -> None:
    q, n = lane.extra[k], lane.rng.randrange(10)
    try:
        if n < 4:
            put_into(lane, q, True)
        elif n < 8:
            get_from(lane, q)
        elif n < 9:
            q.shutdown()
        else:
            lane.extra.pop(k).close()
    except errors.ShutDown:
        lane.extra.pop(k).close()


def take_queue(lane: Lane, t: bytes) -> None:
    """Adopts what turned out to be a queue, as a pickle of one does."""
    keep_queue(lane, adopt_queue(lane.pool, t))
    lane.worker.tally.add("adopted_queue")
