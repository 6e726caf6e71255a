"""Workloads of several processes: hand over, pass on, fan out, many to many."""

from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from crew import Hand, source_of
from peer import Peer, Sample
from scene import MIB, Scene, clock, free_all, summary


def handover(scene: Scene, size: int) -> Iterator[Sample]:
    yield from rounds(scene, size, 1)


def fanout(scene: Scene, readers: int, size: int) -> Iterator[Sample]:
    yield from rounds(scene, size, readers)


def rounds(scene: Scene, size: int, readers: int) -> Iterator[Sample]:
    """Each round: allocate, copy in, hand over, wait for the readers' answers, free."""
    source = source_of(size)
    words = source.view(np.uint64)
    base, number = int(words[1:].sum()), 0
    with scene.peer() as peer, scene.hands(peer, readers) as hands:
        put, free, give = peer.put, peer.free, giver(peer, hands, everything=True)

        def step() -> float:
            nonlocal number
            number += 1
            words[0] = number
            begin = clock()
            item = put(source)
            give(item)
            answers(hands, (base + number) & 255)
            free(item)
            del item
            return clock() - begin

        yield summary(scene.repeat(step, warm=1 if size >= 256 * MIB else 2), 1e-6)
        end_reading(hands)


def passing(scene: Scene, size: int) -> Iterator[Sample]:
    with scene.peer() as peer, scene.hands(peer, 1) as hands:
        give = giver(peer, hands, everything=False)
        items = [peer.put(np.full(size, 7, np.uint8))]

        def step() -> float:
            begin = clock()
            give(items[0])
            answers(hands, 7)
            return clock() - begin

        try:
            yield summary(scene.repeat(step, warm=1 if size >= 256 * MIB else 2), 1e-6)
            end_reading(hands)
        finally:
            free_all(peer, items)


def giver(peer: Peer, hands: list[Hand], everything: bool) -> Callable[[Any], None]:
    """What hands an item over to all readers, which are told to read everything, or the beginning."""
    give = peer.give
    for hand in hands:
        hand.order("read", everything)
    gives = [hand.queue.put if hand.queue is not None else hand.link.send for hand in hands]
    if len(gives) == 1:
        only = gives[0]
        return lambda item: only(give(item))

    def to_each(item: Any) -> None:
        for to in gives:
            to(give(item))

    def to_all(item: Any) -> None:
        token = give(item)
        for to in gives:
            to(token)

    return to_each if peer.once else to_all


def answers(hands: list[Hand], want: int) -> None:
    for hand in hands:
        got = hand.answer()
        if got[1] != want:
            raise RuntimeError(f"a reader read {got[1]}, and {want} was sent")


def end_reading(hands: list[Hand]) -> None:
    for hand in hands:
        hand.give(None)
    for hand in hands:
        hand.answer()


def crowd(scene: Scene, producers: int, consumers: int, size: int) -> Iterator[Sample]:
    with scene.peer() as peer, scene.hands(peer, producers + consumers) as hands:
        for hand in hands[producers:]:
            hand.order("consume")
        for k, hand in enumerate(hands[:producers]):
            hand.order("produce", k, size, scene.seconds)
        rate, left = 0.0, set(range(producers))
        while left:
            ready = wait([hand.link for hand in hands])
            for k, hand in enumerate(hands):
                if hand.link in ready:
                    done, took = hand.answer()[1:].split()  # or an error of any of them
                    left.remove(k)
                    rate += int(done) / float(took) if float(took) > 0 else 0
        for _ in range(consumers):
            scene.crew.work.put(None)
        for hand in hands[producers:]:
            hand.answer()
        yield {"value": rate}
