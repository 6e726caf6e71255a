"""What must be refused: see work_forge.go."""

from __future__ import annotations

from collections.abc import Callable

import ndpool
from ndpool import errors

from . import POOL
from .faults import must_refuse
from .hidden import message
from .lane import Lane
from .names import own


def with_transfer(lane: Lane, what: str, want: type[BaseException], wrong: Callable[[bytes], bytes]) -> None:
    """Adopts a transfer with something changed in it. Nothing is spent by that."""
    a = lane.own_whole()
    t = message(a)
    lane.remark(what)
    try:
        must_refuse(what, want, lambda: lane.pool.adopt(wrong(t)))
    finally:
        try:
            lane.pool.recall(t)
        except errors.RecalledError:
            pass  # by another lane's recall of what is old


def wrong_nonce(lane: Lane) -> None:
    def later(t: bytes) -> bytes:
        nonce = (int.from_bytes(t[36:40], "little") + (1 << 20)) % 2**32
        return t[:36] + nonce.to_bytes(4, "little")

    with_transfer(lane, "adopt a ticket of the future", errors.ForgedError, later)


def wrong_ticket(lane: Lane) -> None:
    beyond = (1 << 31).to_bytes(4, "little")
    with_transfer(lane, "adopt a ticket beyond the table", errors.ForgedError, lambda t: t[:32] + beyond + t[36:])


def wrong_handle(lane: Lane) -> None:
    def other(t: bytes) -> bytes:
        generation = (int.from_bytes(t[28:32], "little") + (1 << 30)) % 2**32
        return t[:28] + generation.to_bytes(4, "little") + t[32:]

    with_transfer(lane, "adopt a ticket for another handle", errors.ForgedError, other)


def foreign_segment(lane: Lane) -> None:
    def other(t: bytes) -> bytes:
        return t[:8] + bytes([t[8] ^ 1]) + t[9:]

    with_transfer(lane, "adopt a message of another segment", errors.ForeignError, other)


def broken_message(lane: Lane) -> None:
    with_transfer(lane, "adopt half a message", errors.MessageError, lambda t: t[:30])


def twice(lane: Lane) -> None:
    t = lane.pool.send(lane.own_whole())
    lane.check(lane.pool.adopt(t))
    must_refuse("adopt twice", errors.SpentError, lambda: lane.pool.adopt(t))


def foreign_granule(lane: Lane) -> None:
    handle = 1 << 32 | lane.rng.choice((0, 2**32 - 1, 1))
    must_refuse("retain a handle that leads to no descriptor", errors.ForeignError, lambda: lane.pool.retain(handle))


def other_generation(lane: Lane) -> None:
    handle = ndpool.handle(lane.any())
    wrong = (((handle >> 32) + (1 << 30)) % 2**32) << 32 | handle & 0xFFFFFFFF
    must_refuse("retain a generation that never was", errors.StaleError, lambda: lane.pool.retain(wrong))


def dead_receiver(lane: Lane) -> None:
    to = lane.pool.process + (1 << 40)
    must_refuse("send to a process that never was", errors.DeadError, lambda: lane.pool.send(lane.any(), to=to))


def second_reference(lane: Lane) -> None:
    a = lane.own_whole()
    kept = lane.pool.retain(ndpool.handle(a))
    must_refuse("seal with two references", (errors.HeldError, errors.SealedError), lambda: ndpool.seal(a))
    lane.check(kept)


def store_sealed(lane: Lane) -> None:
    a = lane.any()
    if a.flags.writeable:
        return
    must_refuse("make a read-only array writable", ValueError, lambda: a.setflags(write=True))


def bad_spec(lane: Lane) -> None:
    must_refuse("allocate a negative length", (errors.SpecError, ValueError), lambda: lane.pool.empty((3, -1)))
    must_refuse("allocate objects", errors.DTypeError, lambda: lane.pool.empty(3, object))


def too_large(lane: Lane) -> None:
    must_refuse("allocate more than the pool has", errors.FullError, lambda: lane.pool.empty(1 << 40, "u1"))


def wrong_path(lane: Lane) -> None:
    path = lane.rng.choice(("", "a//b", "../x", "a/./b", "/s", "s/"))
    must_refuse(f"look up {path!r}", errors.PathError, lambda: lane.pool[path])


def group(lane: Lane) -> None:
    must_refuse("look up a group", errors.GroupError, lambda: lane.pool["l"])


def not_locked(lane: Lane) -> None:
    path = own(lane) + "/locked"
    lane.pool.put(path, lane.own_whole(), overwrite=True)
    lock = lane.pool.lock(path)
    must_refuse("unlock what is not locked", errors.NotLockedError, lock.release)
    lane.pool.remove(path)


def bad_attrs(lane: Lane) -> None:
    a, wrong = lane.own_whole(), {"x": print}
    must_refuse("attributes that are none", errors.AttributesError, lambda: lane.pool.put("s/0", a, attrs=wrong))


def bad_name(lane: Lane) -> None:
    place = lane.worker.dir
    must_refuse("open what no file can be named", errors.PoolNameError, lambda: ndpool.Pool.open("a/b", dir=place))


def other_options(lane: Lane) -> None:
    wrong = (errors.OptionsError, errors.NotExistError)
    must_refuse("open with another capacity", wrong, lambda: ndpool.Pool.open(POOL, dir=lane.worker.dir, capacity=4096))


FORGERIES = (
    wrong_nonce, wrong_ticket, wrong_handle, foreign_segment, broken_message, twice,
    foreign_granule, other_generation, dead_receiver, second_reference, store_sealed, bad_spec,
    too_large, wrong_path, group, not_locked, bad_attrs, bad_name, other_options,
)  # fmt: skip


def forge(lane: Lane) -> None:
    """Does something that must be refused, and with the error that says why."""
    lane.rng.choice(FORGERIES)(lane)
