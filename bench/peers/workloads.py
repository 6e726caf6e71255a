"""Measures one peer in Python: workloads.py MODULE, jobs as JSON on stdin. measure.py runs it, by the peer's interpreter.

A job is {"workload", "parameters", "seconds", "place", "capacity", "arrays"}. Lines of JSON come on stdout: one about the peer,
then for each job in turn any number of samples {"value": 12.3, ...}, and {"end": true}, or {"absent": "why there are none"}.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from crew import Crew, Hand, source_of
from peer import Cannot, Peer, Sample
from taken import Taken, files, taken

HERE = os.path.dirname(os.path.abspath(__file__))
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


# ---- allocation


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


# ---- to other processes


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


# ---- memory


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


ALL: dict[str, Callable[..., Iterator[Sample]]] = {
    "pair": pair,
    "churn": churn,
    "handover": handover,
    "pass": passing,
    "fanout": fanout,
    "crowd": crowd,
    "many": many,
    "open": opening,
    "touch": touch,
    "recovery": recovery,
    "memory": memory,
}


# ---- jobs


def samples(crew: Crew, job: dict[str, Any]) -> Iterator[Sample]:
    workload, parameters = job["workload"], job["parameters"]
    if workload in crew.peer.lacks:
        raise Cannot("does not have this: " + crew.peer.lacks[workload])
    own = getattr(crew.peer, workload + "_" if workload == "pass" else workload, None)
    if own is not None:
        return own(job["place"], job["seconds"], **parameters)
    return ALL[workload](Scene(crew, job), **parameters)


def do(crew: Crew, job: dict[str, Any], say: Callable[[Sample], None]) -> None:
    try:
        for sample in samples(crew, job):
            say(sample)
    except Cannot as e:
        say({"absent": str(e)})
    except Exception as e:
        crew.forget()  # they may still wait for something
        say({"absent": f"cannot: {type(e).__name__}: {e}"})
    else:
        say({"end": True})


def main() -> None:
    module, jobs = sys.argv[1], json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")  # what libraries print is not a sample
    os.dup2(2, 1)

    def say(sample: Sample) -> None:
        print(json.dumps(sample), file=out, flush=True)

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.path.insert(0, os.path.join(HERE, "python"))
    try:
        kind: type[Peer] = importlib.import_module(module).PEER
        say({"peer": kind.name, "version": kind.version(), "leaves": kind.leaves, "lacks": kind.lacks})
    except Exception as e:
        say({"absent": f"cannot be imported: {type(e).__name__}: {e}"})
        return
    crew = Crew(module, kind)
    try:
        for job in jobs:
            do(crew, job, say)
    finally:
        crew.forget(patience=2)


if __name__ == "__main__":
    main()
