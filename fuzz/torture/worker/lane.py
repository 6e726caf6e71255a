"""One thread of a worker: what it holds, and how it takes its turns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

import ndpool
from ndpool import errors

from .children import bury_children
from .faults import Fault, expected
from .hidden import is_whole
from .op import Op
from .pattern import check, fill

if TYPE_CHECKING:
    from .worker import Worker

MAX_HELD: Final = 40
TELL_EVERY: Final = 50


class Lane:
    """One thread of a worker. What it holds is its own."""

    def __init__(self, worker: Worker, number: int, ops: Sequence[Op], take: Callable[[Lane, str], None]) -> None:
        self.worker = worker
        self.number = number
        self.ops = ops  #: all that it can do
        self.take = take  #: does what a line says
        self.rng = random.Random(worker.seed * 10 + number)
        self.held: list[np.ndarray] = []
        self.sent: list[bytes] = []
        self.writers: dict[int, ndpool.StreamWriter] = {}
        self.readers: dict[int, ndpool.StreamReader] = {}
        self.last: dict[int, int] = {}
        self.queues: dict[int, ndpool.Queue] = {}
        self.extra: list[ndpool.Queue] = []
        self.clone: ndpool.Pool | None = None
        self.second: ndpool.Pool | None = None
        self.known = b""
        self.second_held: list[np.ndarray] = []
        self.note = ""

    @property
    def pool(self) -> ndpool.Pool:
        return self.worker.pool

    def live(self) -> None:
        w = self.worker
        try:
            for _ in range(100 + self.rng.randrange(20_000)):
                if w.stop.is_set() or w.input.frozen.is_set() or w.input.ended.is_set():
                    return
                self.turn()
        except BaseException as e:
            w.failure = w.failure or e
        finally:
            w.stop.set()

    def turn(self) -> None:
        """Does one operation: what a line says, or one of its own choice. It tells only of faults."""
        w, start = self.worker, time.monotonic()
        line = w.input.next()
        op = self.choose() if line is None else None
        self.note = name = "take" if op is None else op.name
        w.events.add(self.number, name, line or "")
        try:
            if op is None:
                self.take(self, line or "")
            else:
                op.do(self)
        except errors.ForkedError:
            raise  # of a child for which some pool had no slot
        except Exception as e:
            self.met(name, e)
        w.tally.add(name)
        if op is None or not op.waits:
            w.tally.stall(name, time.monotonic() - start)
        if w.tally.done >= TELL_EVERY or w.lockstep:
            w.count()
            if not w.lockstep and self.number == 0:
                bury_children()

    def met(self, name: str, e: Exception) -> None:
        """Counts an error that an operation met, if a torture brings it with it."""
        w = self.worker
        word = None if isinstance(e, Fault) else expected(e)
        if word is None:
            w.events.add(self.number, "FAULT", repr(e))
            raise Fault(f"{name}: {e!r}") from e
        w.tally.fail(word)
        self.note += " " + word

    def choose(self) -> Op:
        """Returns an operation that can be done now."""
        can = [o for o in self.ops if self.can(o)]
        n = self.rng.randrange(sum(o.weight for o in can))
        for o in can:
            n -= o.weight
            if n < 0:
                return o
        raise AssertionError

    def can(self, o: Op) -> bool:
        if (not o.empty and not self.held) or (o.timely and self.worker.lockstep) or o.group in self.worker.no:
            return False
        return o.name != "alloc" or len(self.held) < MAX_HELD

    def hold(self, a: np.ndarray) -> None:
        self.held.append(a)
        self.check(a)

    def check(self, a: np.ndarray) -> None:
        self.worker.tally.checked(check(a))

    def any(self) -> np.ndarray:
        return self.rng.choice(self.held)

    def whole(self) -> np.ndarray:
        """An array that is no view, if there is one."""
        first = self.rng.randrange(len(self.held))
        for k in range(len(self.held)):
            a = self.held[(first + k) % len(self.held)]
            if is_whole(a):
                return a
        return self.pool.copy(self.held[first])

    def own_whole(self) -> np.ndarray:
        """An array that is no view, and has the content of its own block."""
        a = self.whole()
        if not any(a is x for x in self.held):
            fill(a)
        return a

    def release(self) -> None:
        k = self.rng.randrange(len(self.held))
        self.held[k], self.held[-1] = self.held[-1], self.held[k]
        a = self.held.pop()
        self.check(a)
        self.remark(f"{ndpool.handle(a):016x}")

    def make_room(self) -> None:
        while len(self.held) >= MAX_HELD:
            self.release()

    def sleep(self) -> None:
        time.sleep(self.rng.random() * 0.002)

    def pause(self) -> None:
        if not self.worker.lockstep and self.rng.randrange(3) == 0:
            time.sleep(self.rng.random() * 0.001)

    def say(self, line: str) -> None:
        self.worker.say(line)

    def remark(self, text: str) -> None:
        self.note += " " + text
