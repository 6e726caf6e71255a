"""Workloads of memory: what arrays take, what it costs to get it, and what becomes of it."""

import os
import time
from collections.abc import Iterator
from typing import Any

from peer import Cannot, Peer, Sample
from scene import MIB, Scene, clock, fill, free_all, summary
from taken import Taken, files, taken


def many(scene: Scene, count: int, size: int) -> Iterator[Sample]:
    items: list[Any] = [None] * count
    before, begin, why = taken(scene.place, scene.kind.leaves), clock(), ""
    with scene.peer() as peer:
        try:
            fill(peer, items, [size] * count)
        except Cannot as e:
            why = str(e)
        seconds = clock() - begin
        while items and items[-1] is None:
            items.pop()
        reached = len(items)
        if why:  # there may not be a single descriptor left to look with
            for item in items[-8:]:
                peer.free(item)
                del item
            del items[-8:]
        sample = cost(scene, peer, before, max(1, len(items)))
        free_all(peer, items)
    sample.update(reached=reached, seconds=round(seconds, 3))
    yield {**sample, "why": why} if why else sample


def memory(scene: Scene, count: int, size: int) -> Iterator[Sample]:
    items: list[Any] = [None] * count
    before = taken(scene.place, scene.kind.leaves)
    with scene.peer() as peer:
        try:
            fill(peer, items, [size] * count)
            yield cost(scene, peer, before, count * size)
        finally:
            free_all(peer, items)


def cost(scene: Scene, peer: Peer, before: Taken, share: int) -> Sample:
    """Memory taken since before, and the value: one share of it."""
    now = taken(scene.place, scene.kind.leaves)
    known = peer.shared_bytes()
    shared, private = now.shared - before.shared if known is None else known, now.private - before.private
    return {
        "value": (shared + private) / share,
        "shared_bytes": shared,
        "private_bytes": private,
        "fds": now.fds - before.fds,
        "maps": now.maps - before.maps,
    }


def opening(scene: Scene, what: str) -> Iterator[Sample]:
    step = (pool_opener if scene.kind.pooled else segment_opener)(scene, what)
    yield summary(scene.repeat(lambda: next(step)), 1e-6)
    step.close()


def pool_opener(scene: Scene, what: str) -> Iterator[float]:
    """Times to create a pool, or to attach to one."""
    if what == "attach":
        with scene.peer() as peer:
            passed = peer.pass_on()
            while True:
                begin = clock()
                other = scene.kind.attach(passed)
                took = clock() - begin
                other.close()
                yield took
    for n in range(1 << 30):
        place = f"{scene.place}/{n}"
        os.mkdir(place)
        begin = clock()
        peer = scene.kind(place, scene.capacity, scene.arrays)
        took = clock() - begin
        peer.close()
        yield took


def segment_opener(scene: Scene, what: str) -> Iterator[float]:
    """Times to create a segment of an array's own, or to attach to it."""
    with scene.peer() as peer:
        if what == "attach":
            item = peer.alloc(scene.capacity)
            token = peer.give(item)
            try:
                while True:
                    begin = clock()
                    other = peer.take(token)
                    took = clock() - begin
                    peer.drop(other)
                    del other
                    yield took
            finally:
                peer.free(item)
                del item
        while True:
            begin = clock()
            item = peer.alloc(scene.capacity)
            took = clock() - begin
            peer.free(item)
            del item
            yield took


def touch(scene: Scene, what: str) -> Iterator[Sample]:
    size = 64 * MIB
    with scene.peer() as peer:
        items: list[Any] = []

        def step() -> float:
            begin = clock()
            if what == "warm":
                free_all(peer, items)
            items.append(peer.alloc(size))
            peer.array(items[-1]).fill(len(items))
            return clock() - begin

        try:
            if what == "warm":
                yield summary(scene.repeat(step), 1e-3)
            else:
                end = clock() + max(scene.seconds, 0.1)
                fresh = (step() for n in range(14) if n < 2 or clock() < end)
                yield summary(fresh, 1e-3)
        finally:
            free_all(peer, items)


def recovery(scene: Scene, holds: int) -> Iterator[Sample]:
    """What stays taken when a process is killed that holds 100 arrays of 64 KiB: of a peer that does not recover it."""
    if holds != 100:
        raise Cannot("does not recover: what stays of 100 arrays of 64 KiB is told")
    before = left(scene)
    with scene.peer() as peer:
        hand = scene.crew.need(1)[0]
        hand.order("attach", peer.pass_on())
        hand.answer()
        hand.order("hold", holds, 64 << 10)
        hand.answer()
        hand.kill()
        time.sleep(scene.settle)
        while_open = left(scene) - before
    scene.crew.forget()
    yield {"value": None, "left_while_open": while_open}  # measure.py adds left_bytes, after the end of this process


def left(scene: Scene) -> int:
    return sum(os.stat(path).st_blocks * 512 for path in files(scene.place, scene.kind.leaves))
