"""One measurement of a peer in Python: its other processes, and how often a step is repeated."""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from crew import Crew, Hand
from peer import Cannot, Peer, Sample

MIB = 1 << 20
SETUP = 12  # seconds that the arrays of churn, many and memory may take until they are there
LONG = 2  # seconds: of a step that is measured without a warm-up
clock = time.perf_counter


class Scene:
    """One measurement: where, and with what."""

    def __init__(self, crew: Crew, job: dict[str, Any]) -> None:
        self.crew, self.kind = crew, crew.peer
        self.place: str = job["place"]
        self.capacity: int = job["capacity"]
        self.arrays: int = job["arrays"]
        self.seconds: float = job["seconds"]
        self.settle: float = job.get("settle", 3)

    @contextlib.contextmanager
    def peer(self) -> Iterator[Peer]:
        peer = self.kind(self.place, self.capacity, self.arrays)
        try:
            yield peer
        finally:
            gc.collect()  # of what an exception still holds
            peer.close()

    @contextlib.contextmanager
    def hands(self, peer: Peer, n: int) -> Iterator[list[Hand]]:
        """Other processes, attached."""
        hands = self.crew.need(n)
        for hand in hands:
            hand.order("attach", peer.pass_on())
        for hand in hands:
            hand.answer()
        yield hands
        for hand in hands:
            hand.order("close")
        for hand in hands:
            hand.answer()

    def repeat(self, step: Callable[[], float], warm: int = 2) -> Iterator[float]:
        """Times of a step, for the time of the measurement, after a warm-up of a quarter of it. At least one.

        What takes very long takes so long the first time, too, and is not done twice."""
        end = clock() + self.seconds / 4
        for _ in range(warm):
            if (took := step()) > LONG:
                yield took
                return
        while clock() < end:
            step()
        end = clock() + self.seconds
        yield step()
        while clock() < end:
            yield step()


def summary(times: Iterator[float], unit: float) -> Sample:
    """The median of times in seconds, in units of so many of a second."""
    found = sorted(t / unit for t in times)
    return {"value": statistics.median(found), "n": len(found), "p99": found[int(0.99 * (len(found) - 1))]}


def fill(peer: Peer, items: list[Any], sizes: Sequence[int]) -> None:
    """Allocates all of so many items, and writes them, as long as the time for setting up lasts."""
    end = clock() + SETUP
    for i, size in enumerate(sizes):
        if i % 256 == 0 and clock() > end:
            raise Cannot(f"too slow: {i:,} of {len(items):,} arrays after {SETUP} s")
        try:
            items[i] = peer.alloc(size)
            peer.array(items[i])[:] = 1
        except Exception as e:
            raise Cannot(f"cannot: {type(e).__name__}: {e}, after {i:,} of {len(items):,} arrays") from e


def free_all(peer: Peer, items: list[Any]) -> None:
    while items:
        item = items.pop()
        if item is not None:
            peer.free(item)
        del item
