"""One end of what is measured, in Python: a writer, or one of the readers. main.go is the same in Go.

A peer hears lines on one descriptor and answers on another: "run KIND SIZE SECONDS" is answered by "ready" by a reader, and by
a line of JSON when the run is over; the end of the input ends the peer. Kinds are

    idle    the writer pauses before each message, so that the readers sleep: 2 ms, from 1 MiB on 40 ms; latency
    busy    the one reader answers each message by a small one, for which the writer waits; latency
    stream  as fast as they can, nothing is lost where the means can do that; messages per second

A message begins with the time of CLOCK_MONOTONIC before it was published, and a mark for the last one. The writer copies a
message from private memory to wherever the means wants it; a reader looks at the first bytes. What must be copied to be had at
all is copied.
"""

import ctypes
import json
import mmap
import os
import resource
import statistics
import struct
import sys
import time
from typing import Any

import numpy as np

HEAD = struct.Struct("=QQ")  # stamp, 1 if it is the last
PAUSE, LONG_PAUSE, LARGE = 0.002, 0.04, 1 << 20  # between messages that find the readers asleep; of large ones
POLL = 0.001  # of the semaphore's readers
DEEP = 8  # messages that wait at most, where nothing is lost
SMALL = 64  # bytes of an answer
WAIT = 60.0
now = time.monotonic_ns


class Pool:
    """What the two means of ndpool share: how a message gets into the pool, and how it is looked at."""

    def __init__(self, c: dict[str, Any]) -> None:
        import ndpool

        self.pool = ndpool.Pool.open("bench", dir=c["dir"])
        self.empty, self.u1 = self.pool.empty, np.dtype(np.uint8)

    def fill(self, source: np.ndarray, last: int) -> np.ndarray:
        a = self.empty(source.size, self.u1)
        np.copyto(a, source)
        HEAD.pack_into(a, 0, now(), last)
        return a

    def close(self) -> None:
        self.pool.close()


class Streams(Pool):
    """ndpool streams: the newest frame, or every one of a lossless stream."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__(c)
        p = self.pool
        if c["role"] == "writer":
            self.idle, self.every = p.writer("idle"), p.writer("every", frames=DEEP, lossless=True)
            self.back = p.reader("back")
        else:
            self.idle, self.every = p.reader("idle"), p.reader("every", every=True)
            self.back = p.writer("back") if c["index"] == 0 else None

    def send(self, kind: str, source: np.ndarray, last: int) -> None:
        (self.every if kind == "stream" else self.idle).publish(self.fill(source, last))

    def take(self, kind: str) -> tuple[int, int, int]:
        f = self.every.next(timeout=WAIT) if kind == "stream" else self.idle.latest(timeout=WAIT)
        t = now()
        return *HEAD.unpack_from(f.array), t

    def answer(self, source: np.ndarray) -> None:
        self.back.publish(self.fill(source, 0))

    def answered(self) -> None:
        self.back.latest(timeout=WAIT)

    def close(self) -> None:
        for x in (self.idle, self.every, self.back):
            if x is not None:
                x.close()
        super().close()


class Queues(Pool):
    """ndpool queues: each message goes to one reader."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__(c)
        self.out, self.back, self.readers = self.pool.queue("out", maxsize=DEEP), self.pool.queue("answers"), c["readers"]

    def send(self, kind: str, source: np.ndarray, last: int) -> None:
        for _ in range(self.readers if last else 1):
            self.out.put(self.fill(source, last))

    def take(self, kind: str) -> tuple[int, int, int]:
        a = self.out.get(True, WAIT)
        t = now()
        return *HEAD.unpack_from(a), t

    def answer(self, source: np.ndarray) -> None:
        self.back.put(self.fill(source, 0))

    def answered(self) -> None:
        self.back.get(True, WAIT)


class Pipes:
    """The bytes through a pipe for each reader, read into memory that is there."""

    def __init__(self, c: dict[str, Any]) -> None:
        self.out, self.back = c["out"], c["back"]
        self.into: dict[int, memoryview] = {}
        self.size = SMALL

    def begin(self, size: int) -> None:
        self.size = size

    def send(self, kind: str, source: np.ndarray, last: int) -> None:
        for fd in self.out:
            HEAD.pack_into(source, 0, now(), last)
            self.write(fd, source)

    def write(self, fd: int, source: np.ndarray) -> None:
        rest = memoryview(source)
        while rest:
            rest = rest[os.write(fd, rest) :]

    def read(self, fd: int, size: int) -> memoryview:
        if size not in self.into:
            self.into[size] = memoryview(bytearray(size))
        whole = rest = self.into[size]
        while rest:
            rest = rest[os.readv(fd, [rest]) :]
        return whole

    def take(self, kind: str) -> tuple[int, int, int]:
        got = self.read(self.out[0], self.size)
        t = now()
        return *HEAD.unpack_from(got), t

    def answer(self, source: np.ndarray) -> None:
        self.write(self.back[0], source)

    def answered(self) -> None:
        self.read(self.back[0], SMALL)

    def close(self) -> None:
        pass


class Pickled:
    """multiprocessing.Queue, one for each reader. It pickles in a thread of its own."""

    def __init__(self, c: dict[str, Any]) -> None:
        self.out, self.back = c["queues"], c["answers"]
        if c["role"] != "writer":
            self.out = self.out[c["index"] :][:1]

    def send(self, kind: str, source: np.ndarray, last: int) -> None:
        for q in self.out:
            HEAD.pack_into(source, 0, now(), last)
            q.put(source)

    def take(self, kind: str) -> tuple[int, int, int]:
        a = self.out[0].get(True, WAIT)
        t = now()
        return *HEAD.unpack_from(a), t

    def answer(self, source: np.ndarray) -> None:
        self.back.put(source)

    def answered(self) -> None:
        self.back.get(True, WAIT)

    def close(self) -> None:
        for q in (*self.out, self.back):
            q.cancel_join_thread()


class Board:
    """A message in shared memory under a POSIX semaphore, as camera recipes have it. A reader copies it, and polls."""

    def __init__(self, path: str) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.sem_open.restype = ctypes.c_void_p
        for call in (self.libc.sem_wait, self.libc.sem_post):
            call.argtypes = [ctypes.c_void_p]
        self.sem = self.libc.sem_open(("/" + path.replace("/", "-")).encode(), os.O_CREAT, 0o600, 1)
        if not self.sem:
            raise OSError(ctypes.get_errno(), "sem_open")
        fd = os.open(path, os.O_RDWR)
        self.map = mmap.mmap(fd, 0)
        os.close(fd)
        self.bytes = np.frombuffer(self.map, np.uint8)
        self.words = self.bytes[:64].view(np.uint64)  # how many there were, bytes of the newest
        self.seen = int(self.words[0])
        self.into = np.zeros(self.bytes.size, np.uint8)

    def put(self, source: np.ndarray, last: int) -> None:
        HEAD.pack_into(source, 0, now(), last)
        self.libc.sem_wait(self.sem)
        np.copyto(self.bytes[64 : 64 + source.size], source)
        self.words[1] = source.size
        self.words[0] += np.uint64(1)
        self.libc.sem_post(self.sem)

    def get(self) -> np.ndarray:
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            self.libc.sem_wait(self.sem)
            n, size = int(self.words[0]), int(self.words[1])
            if n != self.seen:
                np.copyto(self.into[:size], self.bytes[64 : 64 + size])
            self.libc.sem_post(self.sem)
            if n != self.seen:
                self.seen = n
                return self.into[:size]
            time.sleep(POLL)
        raise TimeoutError


class Boards:
    """Board there and back."""

    def __init__(self, c: dict[str, Any]) -> None:
        self.out, self.back = Board(c["dir"] + "/board-out"), Board(c["dir"] + "/board-back")

    def send(self, kind: str, source: np.ndarray, last: int) -> None:
        self.out.put(source, last)

    def take(self, kind: str) -> tuple[int, int, int]:
        a = self.out.get()
        t = now()
        return *HEAD.unpack_from(a), t

    def answer(self, source: np.ndarray) -> None:
        self.back.put(source, 0)

    def answered(self) -> None:
        self.back.get()

    def close(self) -> None:
        pass


MEANS = {"stream": Streams, "queue": Queues, "pipe": Pipes, "pickle": Pickled, "semaphore": Boards}


def write(means: Any, kind: str, size: int, seconds: float) -> dict[str, Any]:
    """A run of the writer."""
    source = np.ones(size, np.uint8)
    small = np.ones(size, np.uint8) if isinstance(means, Pickled) else source  # its thread may not have pickled the one before
    n, end, trips, pause = 0, now() + int(seconds * 1e9), [], LONG_PAUSE if size >= LARGE else PAUSE
    while (start := now()) < end:
        if kind == "idle":
            time.sleep(pause)
        means.send(kind, source, 0)
        n += 1
        if kind == "busy":
            means.answered()
            trips.append(now() - start)
    if kind == "idle":
        time.sleep(pause)
    means.send(kind, small, 1)
    return {"sent": n, "trip": statistics.median(trips) if trips else 0}


def read(means: Any, kind: str, size: int) -> dict[str, Any]:
    """A run of a reader."""
    answer = np.ones(SMALL, np.uint8)
    took, first, t = [], 0, 0
    while True:
        stamp, last, at = means.take(kind)
        if last:
            break
        t = at
        took.append(t - stamp)
        first = first or t
        if kind == "busy":
            means.answer(answer)
    took.sort()
    n = len(took)
    return {"n": n, "median": took[n // 2] if n else 0, "p99": took[n * 99 // 100] if n else 0, "first": first, "end": t}


def serve(c: dict[str, Any], hear: int, tell: int) -> None:
    """The life of a peer."""
    means = MEANS[c["means"]](c)
    say = lambda text: os.write(tell, (text + "\n").encode())  # noqa: E731
    say("open")
    for line in os.fdopen(hear):
        _, kind, size, seconds = line.split()
        if isinstance(means, Pipes):
            means.begin(int(size))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        if c["role"] == "writer":
            result = write(means, kind, int(size), float(seconds))
        else:
            say("ready")
            result = read(means, kind, int(size))
        result["switches"] = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
        say(json.dumps(result))
    means.close()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
