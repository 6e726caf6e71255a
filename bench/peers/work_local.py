"""Workloads of one process: allocate and free."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from peer import Peer, Sample
from scene import Scene, clock, fill, free_all, summary


def pair(scene: Scene, size: int) -> Iterator[Sample]:
    with scene.peer() as peer:
        alloc, free = peer.alloc, peer.free
        batch = 1

        def step() -> float:
            begin = clock()
            for _ in range(batch):
                item = alloc(size)
                free(item)
                del item
            return (clock() - begin) / batch

        batch = max(1, int(0.002 / max(step(), step(), 1e-7)))
        yield summary(scene.repeat(step), 1e-9)


def churn(scene: Scene, live: int) -> Iterator[Sample]:
    first, table = randoms(live)
    with scene.peer() as peer:
        items: list[Any] = [None] * live
        try:
            fill(peer, items, first)
            yield summary(scene.repeat(churner(peer, items, table)), 1e-9)
        finally:
            free_all(peer, items)


def churner(peer: Peer, items: list[Any], table: list[tuple[int, int]]) -> Callable[[], float]:
    """A step of some hundred exchanges."""
    alloc, array, free, at = peer.alloc, peer.array, peer.free, 0

    def step() -> float:
        nonlocal at
        part = table[at : at + 200]
        at = (at + 200) % len(table)
        begin = clock()
        for index, size in part:
            free(items[index])
            items[index] = None
            item = items[index] = alloc(size)
            array(item)[:8] = 1
            del item
        return (clock() - begin) / len(part)

    return step


@functools.cache
def randoms(live: int) -> tuple[list[int], list[tuple[int, int]]]:
    """The sizes of the first arrays, and which one is exchanged for what size: the same for all, from xorshift64*, seed 1."""
    x = 1

    def following() -> int:
        nonlocal x
        x ^= x >> 12
        x ^= x << 25 & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 27
        return x * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF

    def size() -> int:
        return int(64 * 2 ** (6 * (following() >> 11) * 2.0**-53))

    return [size() for _ in range(live)], [(following() % live, size()) for _ in range(200_000)]
