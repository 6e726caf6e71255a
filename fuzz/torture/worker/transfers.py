"""Transfers, and what a line of the parent says: see work_transfers.go."""

from __future__ import annotations

from typing import Final

import ndpool
from ndpool import errors

from .faults import Fault, must_refuse
from .hidden import is_whole, message
from .lane import Lane
from .queues import take_queue
from .texts import process_text, transfer_of, transfer_text

MAX_SENT: Final = 16


def give_handle(lane: Lane) -> None:
    lane.say(f"h {ndpool.handle(lane.any()):016x}")


def send(lane: Lane) -> None:
    """Opens a transfer to anybody; of a view it is a message."""
    a = lane.any()
    t = lane.pool.send(a) if lane.rng.randrange(3) else message(a)
    if (len(t) == 16) and not is_whole(a):
        raise Fault(f"transfer {transfer_text(t)} of a view")
    lane.sent = [*lane.sent, t][-MAX_SENT:]
    lane.remark(f"{ndpool.handle(a):016x}")
    lane.say(f"t {transfer_text(t)}")


def someone(lane: Lane) -> int:
    """A process of the pool, at times this one or a dead one."""
    to = lane.pool.process
    for info in lane.pool.processes():
        if lane.rng.randrange(3) == 0:
            to = info.id
    return to


def send_to(lane: Lane) -> None:
    to = someone(lane)
    t = lane.pool.send(lane.any(), to=to)
    lane.sent = [*lane.sent, t][-MAX_SENT:]
    lane.say(f"d {process_text(to)} {transfer_text(t)}")


def take(lane: Lane, line: str) -> None:
    """Adopts, or retains, what a line says, and keeps what it got."""
    kind, word = line.split()[:2]
    lane.make_room()
    readonly = lane.rng.randrange(4) == 0
    if kind == "h":
        try:
            a = lane.pool.retain(int(word, 16), readonly=readonly)
        except errors.KindError:
            return  # a queue
    elif lane.rng.randrange(20) == 0:
        return  # lost on the way
    else:
        t = transfer_of(word)
        if transfer_text(t) != word:
            raise Fault(f"{word} is read as {transfer_text(t)}")
        if lane.rng.randrange(10) == 0:
            recall_foreign(lane, t)
        try:
            a = lane.pool.adopt(t, readonly=readonly)
        except errors.KindError:
            take_queue(lane, t)
            return
    if readonly and a.flags.writeable:
        raise Fault(f"array {ndpool.handle(a):016x} is not read-only")
    lane.worker.tally.add("adopted")
    lane.remark(f"{ndpool.handle(a):016x}")
    lane.hold(a)


def recall_foreign(lane: Lane, t: bytes) -> None:
    """Tries to take back what somebody else has sent, in most cases."""
    try:
        lane.pool.recall(t)
    except (errors.NotSenderError, errors.SpentError, errors.ExpiredError, errors.RecalledError):
        pass


def recall(lane: Lane) -> None:
    """Takes one of its own transfers back. It is spent then, for everybody."""
    if not lane.sent:
        return
    t = lane.sent.pop(lane.rng.randrange(len(lane.sent)))
    gone = (errors.SpentError, errors.ExpiredError, errors.RecalledError)
    try:
        lane.pool.recall(t)
    except gone:
        pass
    for _ in range(2):
        must_refuse(f"adopt {transfer_text(t)}, which was recalled", gone, lambda: lane.pool.adopt(t))


def recall_older(lane: Lane) -> None:
    lane.pool.recall(older_than=0 if lane.worker.lockstep else 0.3)


def refuse(lane: Lane) -> None:
    who = someone(lane)
    lane.pool.alive(who)
    lane.pool.refuse(who)
