"""The other processes of a measurement: each waits for orders of the process that measures, and can be one end of a peer.

They are started by spawn, once, and serve several measurements: a process that imports much does so only once.
"""

import contextlib
import importlib
import multiprocessing as mp
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from peer import Peer

UNREAD = 8  # messages of a producer that consumers have not answered yet


class Crew:
    """Processes that are one end of a peer, each with a connection, and for some peers a queue, of its own."""

    def __init__(self, module: str, peer: type[Peer]) -> None:
        self.module, self.peer = module, peer
        self.context = mp.get_context("spawn")
        self.hands: list[Hand] = []
        self.work: Any = None
        self.acks: list[Any] = []

    def need(self, n: int) -> "list[Hand]":
        """So many processes."""
        while len(self.hands) < n:
            if self.work is None:  # what any of them can take from: a queue that all share
                self.work = self.context.Queue() if self.peer.channel == "queue" else self.context.SimpleQueue()
                self.acks = [self.context.SimpleQueue() for _ in range(4)]
            self.hands.append(Hand(self))
        return self.hands[:n]

    def forget(self, patience: float = 0) -> None:
        """Ends all processes: the next measurement gets new ones."""
        for hand in self.hands:
            hand.end(patience)
        self.hands, self.work = [], None


class Hand:
    """One of the processes, as the one that measures sees it."""

    def __init__(self, crew: Crew) -> None:
        self.queue = crew.context.Queue() if crew.peer.channel == "queue" else None
        self.link, there = crew.context.Pipe()
        args = (crew.module, there, self.queue, crew.work, crew.acks)
        self.process = crew.context.Process(target=serve, args=args, daemon=False)
        self.process.start()
        there.close()
        self.pid: int = self.process.pid or 0

    def order(self, verb: str, *args: Any) -> None:
        self.link.send((verb, args))

    def give(self, token: Any) -> None:
        if self.queue is not None:
            self.queue.put(token)
        else:
            self.link.send(token)

    def answer(self) -> bytes:
        """What the process says; what went wrong there is raised here."""
        try:
            got = self.link.recv_bytes()
        except EOFError:
            self.process.join(2)
            raise RuntimeError(f"another process ended with exit code {self.process.exitcode}") from None
        if got[:1] == b"!":
            raise RuntimeError(got[1:].decode())
        return got

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def end(self, patience: float) -> None:
        with contextlib.suppress(OSError):
            self.link.send(None)
        self.link.close()
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


# ---- in the other process


class Work:
    """What the other process has: its peer, and its channels."""

    def __init__(self, kind: type[Peer], link: "Connection[Any, Any]", own: Any, work: Any, acks: list[Any]) -> None:
        self.kind, self.link, self.work, self.acks = kind, link, work, acks
        self.next = link.recv if own is None else own.get
        self.peer: Any = None

    def attach(self, passed: Any) -> None:
        self.peer = self.kind.attach(passed)
        self.link.send_bytes(b".")

    def close(self) -> None:
        self.peer.close()
        self.peer = None
        self.link.send_bytes(b".")

    def read(self, everything: bool) -> None:
        """Takes tokens until None comes, and answers each with a byte of what it read."""
        take, array, drop, answer, get = self.peer.take, self.peer.array, self.peer.drop, self.link.send_bytes, self.next
        while (token := get()) is not None:
            item = take(token)
            got = sum_of(array(item)) if everything else int(array(item)[:8].view(np.uint64)[0])
            drop(item)
            del item, token
            answer(b"=" + bytes([got & 255]))
        answer(b".")

    def produce(self, number: int, size: int, seconds: float) -> None:
        """Puts what consumers take, and says how many it got answers to, and in what time, in the later part of the time."""
        source, peer, ack = source_of(size), self.peer, self.acks[number]
        items: dict[int, Any] = {}
        count, done, begun, last = 0, 0, 0.0, 0.0
        end = time.perf_counter() + 1.25 * seconds
        warm = end - seconds
        while (now := time.perf_counter()) < end or items:
            if len(items) < UNREAD and now < end:
                count += 1
                items[count] = peer.put(source)
                self.work.put((number, count, peer.give(items[count])))
                continue
            peer.free(items.pop(ack.get()))
            if now < warm:
                continue
            begun = begun or now
            if now < end:
                done, last = done + 1, now
        self.link.send_bytes(b"=" + f"{done} {last - begun}".encode())

    def consume(self) -> None:
        """Reads all that comes, until a None comes."""
        peer, work, acks = self.peer, self.work, self.acks
        while (got := work.get()) is not None:
            number, count, token = got
            del got
            item = peer.take(token)
            sum_of(peer.array(item))
            peer.drop(item)
            del item, token
            acks[number].put(count)
        self.link.send_bytes(b".")

    def hold(self, holds: int, size: int) -> None:
        """Holds arrays, until it is killed."""
        items = []
        for _ in range(holds):
            items.append(self.peer.alloc(size))
            self.peer.array(items[-1])[:] = 1
        self.link.send_bytes(b".")
        while True:
            time.sleep(60)


def sum_of(array: np.ndarray) -> int:
    return int(array.view(np.uint64).sum())


def source_of(size: int) -> np.ndarray:
    """Private memory with something in it; its first word is for the number of the round."""
    source = np.arange(size // 8, dtype=np.uint64)
    source *= np.uint64(0x9E3779B97F4A7C15)
    return source.view(np.uint8)


def serve(module: str, link: "Connection[Any, Any]", own: Any, work: Any, acks: list[Any]) -> None:
    """Does what is ordered, until the process that measures says that it is enough, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who measures ends it
    hand = Work(importlib.import_module(module).PEER, link, own, work, acks)
    try:
        while (got := link.recv()) is not None:
            verb, args = got
            getattr(hand, verb)(*args)
    except EOFError:
        pass
    except Exception as e:
        print(f"{module}: {type(e).__name__}: {e}", file=sys.stderr)
        with contextlib.suppress(OSError):
            link.send_bytes(b"!" + f"{type(e).__name__}: {e}".encode())
