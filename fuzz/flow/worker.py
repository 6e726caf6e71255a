"""A worker of flow in Python: see worker.go, whose lines it speaks, and stream.go and queue.go, whose checks it makes."""

import ctypes
import json
import os
import queue
import random
import sys
import threading
import time
import zlib

import numpy as np

import ndpool
from ndpool import _core, errors

MAGIC = 0x31776F6C6670646E
HEAD, HASH_AT, MAX_BYTES = 64, 56, 8 << 20
ATTRIBUTED = 1
STUCK = 30.0
LONG_SLEEP = 10**10  # nanoseconds; see wake.go
LOST_AFTER = 2.0
SPOKES = HANDS = 3
SLEPT = 50e-6
HOLD, BATCH = 4, 8
CODE_FOUND = 4
CLOCK_SLACK = 100_000  # nanoseconds
TYPES = [np.dtype(t) for t in ("u1", "i2", "f4", "f8", "u8", "c16")]
RINGS = {
    "s/latest": {},
    "s/ring": {"frames": 8},
    "s/lossless": {"frames": 5, "readers": 16, "lossless": True},
    "q/fifo": {"maxsize": 48},
    "q/back": {"maxsize": 200},
    "q/pong": {"maxsize": 1},
    "s/fast": {"frames": 2, "lossless": True},
    "q/crowd": {"maxsize": 3},
    "q/fill": {"maxsize": 3},
}
ROUND_OF = {"q/deal": "s/deal-round", "q/fill": "s/fill-round"}


class Structure(ctypes.Structure):
    """A frame that is no array: the head of a message and a body."""

    _fields_ = (("head", ctypes.c_uint64 * 8), ("body", ctypes.c_uint64 * 56))


class Found(Exception):
    """What flow looks for: a torn frame, a lost item, a wait that does not end."""


class Worker:
    """What all roles have in common."""

    def __init__(self, job: dict) -> None:
        self.ring, self.back, self.mode, self.who, self.most = (job[k] for k in ("ring", "back", "mode", "who", "most"))
        self.role, self.calm = job["role"].replace("-", "_"), job["calm"]
        self.rng = random.Random(job["seed"] * 1_000_003 + self.who)
        self.pool = ndpool.Pool.open("flow", dir=job["dir"])
        self.ended, self.start = threading.Event(), threading.Event()
        self.number = self.done = self.sleeps = 0

    def run(self) -> None:
        if self.calm:
            _core._test_ring_sleep(LONG_SLEEP)
        threading.Thread(target=self.listen, daemon=True).start()
        getattr(self, self.role)()
        self.count()
        self.pool.close()

    def listen(self) -> None:
        for _ in sys.stdin:
            self.start.set()
        self.ended.set()

    def ready(self) -> None:
        """Says that the rings are open, and in the calm part waits until all others have opened theirs."""
        self.say("ready")
        if self.calm:
            self.start.wait()

    def say(self, *words: object) -> None:
        try:
            os.write(1, (" ".join(map(str, words)) + "\n").encode())
        except BrokenPipeError:
            pass

    def did(self, n: int) -> None:
        self.done += n
        if self.done >= 50:
            self.count()

    def count(self) -> None:
        self.say("n", self.done, self.sleeps)
        self.done = self.sleeps = 0

    def within(self, f, *args, **kwargs):
        """Calls what may wait, and counts it as a sleep if it took long."""
        start = time.monotonic()
        try:
            return f(*args, **kwargs)
        finally:
            if time.monotonic() - start > SLEPT:
                self.sleeps += 1

    def unstuck(self, f, *args, **kwargs):
        """Calls what others must let go on, whoever of them dies."""
        try:
            return self.within(f, *args, timeout=STUCK, **kwargs)
        except (errors.WaitTimeoutError, queue.Full):
            raise Found(f"{f} did not come to an end within {STUCK} s") from None

    def pause(self, most: float) -> None:
        if self.rng.randrange(3) == 0:
            time.sleep(self.rng.random() * most)

    def form(self, most: int) -> tuple[np.dtype, tuple[int, ...]]:
        """A random element type and a shape, as form in message.go."""
        t = self.rng.choice(TYPES)
        size = HEAD << min(self.rng.randrange(18), self.rng.randrange(18))
        rows, cols = 1 + self.rng.randrange(min(size, most) // HEAD), HEAD // t.itemsize
        return t, self.rng.choice([(rows * cols,), (rows, cols), (1, rows, 2, cols // 2), (rows, 1, cols)])

    def alloc(self, flags: int = 0) -> tuple[np.ndarray, dict]:
        """An array with the next message, smaller if there is no space, and what its attributes are."""
        self.number += 1
        most = self.most
        while True:
            t, shape = self.form(max(most, HEAD))
            try:
                a = self.pool.empty(shape, t)
                break
            except (errors.FullError, errors.TableFullError):
                if self.ended.is_set():
                    raise
                most //= 4
                time.sleep(0.001)
        h = self.write(a.reshape(-1).view(np.uint8), flags)
        return a, {"who": self.who, "number": self.number, "hash": h, "shape": list(shape)}

    def write(self, b: np.ndarray, flags: int = 0) -> int:
        """Fills an array of bytes with a message and its body, and returns the hash."""
        words = b.view(np.uint64)
        first = (self.who << 40) + (self.number << 20)
        words[8:] = np.arange(first + HEAD, first + b.size, 8, dtype=np.uint64)
        words[:8] = (MAGIC, self.who, self.number, b.size, time.monotonic_ns(), flags, zlib.crc32(self.ring.encode()), 0)
        words[7] = h = hash_of(b)
        return h

    # ---- streams

    def writer(self) -> None:
        stream = self.become_writer()
        self.ready()
        kept: list[np.ndarray | None] = []
        for _ in range(self.rng.randrange(4000)):
            if self.ended.is_set():
                break
            try:
                kept.append(self.publish(stream))
            except (errors.FullError, errors.TableFullError):
                if not self.ended.is_set():
                    raise
            if len(kept) > self.rng.randrange(HOLD) and (a := kept.pop(0)) is not None:
                read(a.reshape(-1).view(np.uint8), self.ring)
            a = None
            self.pause(0.002)
        stream.close()

    def become_writer(self):
        for _ in range(1000):
            try:
                return self.pool.writer(self.ring, **RINGS.get(self.ring, {}))
            except errors.WriterError as e:
                last = e
            time.sleep(0.01)
        raise Found(f"stream {self.ring}: still another writer: {last}")

    def publish(self, stream) -> np.ndarray | None:
        """Publishes a frame, and returns it if it is an array."""
        if self.rng.randrange(8) == 0:
            self.number += 1
            x = Structure()
            self.write(np.frombuffer(x, np.uint8))
            self.unstuck(stream.publish, x)
            self.did(1)
            return None
        attributed = self.rng.randrange(2) * ATTRIBUTED
        a, attributes = self.alloc(attributed)
        self.unstuck(stream.publish, a, attributes=attributes if attributed else None)
        self.did(1)
        return a

    def reader(self) -> None:
        stream = self.pool.reader(self.ring, every=self.mode == "every")
        self.ready()
        self.last, self.clock, self.base, self.held = 0, 0, {}, []
        for _ in range(self.rng.randrange(8000)):
            if self.ended.is_set():
                break
            self.read_one(stream)
        while self.held:
            self.drop(0)
        stream.close()

    def read_one(self, stream) -> None:
        if self.mode == "latest" and self.rng.randrange(10) == 0:
            f = stream.newest()
            if f is None:
                return
            if f.sequence != self.last:
                self.got(f)
                return
            self.check(f)
            if f.skipped:
                raise Found(f"stream {self.ring}: sequence {f.sequence} once more: told that it skipped {f.skipped}")
            return
        try:
            f = self.within(stream.latest if self.mode == "latest" else stream.next, timeout=0.2)
        except errors.WriterDied:
            self.say("told died")
        except errors.StreamEnded:
            self.say("told ended")
        except errors.WaitTimeoutError:
            pass
        else:
            self.got(f)

    def got(self, f) -> None:
        where = f"stream {self.ring}: sequence {f.sequence} after {self.last}"
        if self.last:
            if f.sequence <= self.last:
                raise Found(where)
            if f.skipped != f.sequence - self.last - 1:
                raise Found(f"{where}: told that it skipped {f.skipped}")
            if f.skipped and self.mode == "every":
                raise Found(f"lossless {where}")
        if f.monotonic < self.clock - CLOCK_SLACK:
            raise Found(f"{where}: of an earlier time")
        who, number = self.check(f)
        base = f.sequence - number
        if self.base.setdefault(who, base) != base:
            raise Found(f"{where}: frame {number} of process {who}, whose first one was {self.base[who]} more than its number")
        self.last, self.clock = f.sequence, f.monotonic
        self.did(1)
        self.held.append(f)
        self.pause(0.003)
        while len(self.held) > self.rng.randrange(HOLD + 1):
            self.drop(self.rng.randrange(len(self.held)))

    def drop(self, k: int) -> None:
        self.check(self.held.pop(k))

    def check(self, f) -> tuple[int, int]:
        a = f.array
        m = read(a.reshape(-1).view(np.uint8), self.ring)
        if a.flags.writeable:
            raise Found(f"stream {self.ring}: a frame that can be written to")
        stamp, at, now = int(m[4]), f.monotonic, time.monotonic_ns()
        if not stamp - CLOCK_SLACK <= at <= now + CLOCK_SLACK:
            raise Found(f"stream {self.ring}: a frame made at {stamp} was published at {at}, and it is {now}")
        want: dict = {}
        if int(m[5]) & ATTRIBUTED:
            want = {"who": int(m[1]), "number": int(m[2]), "hash": int(m[7]), "shape": list(a.shape)}
        if dict(f.attributes or {}) != want:
            raise Found(f"stream {self.ring}: attributes {f.attributes}, expected {want}")
        return int(m[1]), int(m[2])

    # ---- queues

    def producer(self) -> None:
        q = self.pool.queue(self.ring, **RINGS.get(self.ring, {}))
        self.ready()
        put = 0
        for _ in range(self.rng.randrange(4000)):
            if self.ended.is_set():
                break
            try:
                put += self.put(q)
            except (errors.ShutDown, errors.FullError, errors.TableFullError):
                if self.ended.is_set():
                    break
                raise
            self.say("p", put)
            self.did(1)
            self.pause(0.002)
        q.close()

    def put(self, q) -> int:
        """Puts an array, bytes, a pickle with an array, or many."""
        kind = self.rng.randrange(8)
        if kind == 0:
            items = [self.alloc()[0] for _ in range(1 + self.rng.randrange(BATCH))]
            self.unstuck(q.put_many, items)
            return len(items)
        if kind <= 3:
            self.number += 1
            b = np.zeros(HEAD + 8 * self.rng.randrange(64), np.uint8)
            self.write(b)
            item: object = b.tobytes()
            if kind > 1:
                item = {"message": item, "array": self.pool.array([self.who, self.number], np.uint64) if kind == 3 else None}
            self.unstuck_put(q, item)
            return 1
        self.unstuck_put(q, self.alloc()[0])
        return 1

    def unstuck_put(self, q, item: object) -> None:
        try:
            self.within(q.put, item, True, STUCK)
        except queue.Full:
            raise Found(f"put into {self.ring} did not come to an end within {STUCK} s") from None

    def consumer(self) -> None:
        q = self.pool.queue(self.ring, **RINGS.get(self.ring, {}))
        self.ready()
        last: dict[int, int] = {}
        left = self.rng.randrange(4000)
        while left > 0 or self.ended.is_set():
            left -= 1
            try:
                items = self.some(q)
            except errors.ShutDown:
                break
            words = []
            for item in items:
                who, number = self.look(item)
                if self.ring == "q/fifo" and number <= last.get(who, 0):
                    raise Found(f"queue {self.ring}: item {number} of process {who} after {last[who]}")
                last[who] = number
                words.append(f"{who}:{number}")
            if words:
                self.say("g", *words)
                self.did(len(words))
            self.pause(0.002)
        q.close()

    def some(self, q) -> list:
        try:
            if self.mode == "batch":
                return self.within(q.get_many, BATCH, timeout=0.2)
            return [q.get_nowait() if self.rng.randrange(8) == 0 else self.within(q.get, True, 0.2)]
        except queue.Empty:
            return []

    def look(self, item: object) -> tuple[int, int]:
        attached = None
        if isinstance(item, dict):
            item, attached = item["message"], item["array"]
        elif isinstance(item, tuple):
            item, attached, _ = item
            attached = attached[[0, 7]]
        b = np.frombuffer(item, np.uint8) if isinstance(item, bytes) else item.reshape(-1).view(np.uint8)
        m = read(b, self.ring)
        if attached is not None and attached.tolist() != [int(m[1]), int(m[2])]:
            raise Found(f"queue {self.ring}: item {m[2]} of process {m[1]} with the array {attached}")
        return int(m[1]), int(m[2])

    # ---- the calm part: see wake.go

    def answered(self, f, *args):
        """Calls what waits for others, who will not let it wait for long."""
        start = time.monotonic()
        try:
            return self.within(f, *args, timeout=LOST_AFTER)
        except (errors.WaitTimeoutError, queue.Empty, queue.Full):
            raise Found(f"lost wake-up: {f} of {self.ring} took {time.monotonic() - start} s") from None
        finally:
            if (took := time.monotonic() - start) > LOST_AFTER:
                raise Found(f"lost wake-up: {f} of {self.ring} took {took} s")

    def breathe(self) -> None:
        kind = self.rng.randrange(4)
        if kind == 1:
            until = time.monotonic_ns() + self.rng.randrange(60_000)
            while time.monotonic_ns() < until:
                pass
        elif kind == 2:
            time.sleep(self.rng.random() * 0.0003)
        elif kind == 3:
            time.sleep(self.rng.random() * 0.004)

    def exchange(self, out: "Sender", back: "Taker") -> None:
        self.number += 1
        self.answered(out.send, self.number)
        if (n := self.answered(back.take)) != self.number:
            raise Found(f"{self.ring}: sent {self.number}, got {n}")

    def ping(self) -> None:
        out, back = Sender(self, self.ring), Taker(self, self.back)
        self.ready()
        while not self.ended.is_set():
            self.exchange(out, back)
            self.did(1)
            self.breathe()
        out.shut()
        back.close()

    def pong(self) -> None:
        out, back = Sender(self, self.back), Taker(self, self.ring)
        self.ready()
        while (n := self.answered(back.take)) is not None:
            self.breathe()
            self.answered(out.send, n)
            self.did(1)
        out.shut()
        back.close()

    def hub(self) -> None:
        out, back = Sender(self, self.ring), Taker(self, self.back)
        self.ready()
        while not self.ended.is_set():
            self.exchange(out, back)
            for _ in range(SPOKES - 1):
                if (n := self.answered(back.take)) != self.number:
                    raise Found(f"{self.ring}: published {self.number}, got the answer {n}")
            self.did(1)
            self.breathe()
        out.shut()
        back.close()

    def spoke(self) -> None:
        out, back = Sender(self, self.back), Taker(self, self.ring)
        self.ready()
        while (n := self.answered(back.take)) is not None:
            self.breathe()
            self.answered(out.send, n)
            self.did(1)
        out.close()
        back.close()

    def fast(self) -> None:
        out = Sender(self, self.ring)
        self.ready()
        while not self.ended.is_set():
            self.number += 1
            self.answered(out.send, self.number)
            self.did(1)
            if self.rng.randrange(20) == 0:
                self.breathe()
        out.shut()

    def slow(self) -> None:
        back, last = Taker(self, self.ring), 0
        self.ready()
        while (n := self.answered(back.take)) is not None:
            if last and n != last + 1:
                raise Found(f"{self.ring}: got {n} after {last}")
            last = n
            self.did(1)
            self.breathe()
        back.close()

    def crowd_put(self) -> None:
        out = Sender(self, self.ring)
        self.ready()
        while not self.ended.is_set():
            self.answered(out.send, time.monotonic_ns())
            self.did(1)
            if self.rng.randrange(3):
                self.breathe()
        out.close()

    def crowd_get(self) -> None:
        back = Taker(self, self.ring)
        self.ready()
        while (n := self.answered(back.take)) is not None:
            if (age := (time.monotonic_ns() - n) / 1e9) > LOST_AFTER:
                raise Found(f"lost wake-up: an item lay in {self.ring} for {age} s")
            self.did(1)
            self.breathe()
        back.close()

    def dealer(self) -> None:
        out, back = Sender(self, ROUND_OF[self.ring]), Taker(self, self.back)
        give, get = Sender(self, self.ring), Taker(self, self.ring)
        if self.mode != "get":
            for _ in range(HANDS):
                give.send(0, STUCK)
        self.ready()
        while not self.ended.is_set():
            self.number += 1
            self.breathe()
            for _ in range(HANDS):
                if self.mode == "get":
                    self.answered(give.send, self.number)
                else:
                    self.answered(get.take)
            for _ in range(HANDS):
                self.answered(back.take)
            self.answered(out.send, self.number)
            self.did(1)
        give.shut()
        out.shut()
        get.close()
        back.close()

    def hand(self) -> None:
        out, back = Sender(self, self.back), Taker(self, ROUND_OF[self.ring])
        give, get = Sender(self, self.ring), Taker(self, self.ring)
        self.ready()
        while True:
            try:
                if self.mode == "get":
                    if self.answered(get.take) is None:
                        break
                else:
                    self.answered(give.send, self.number)
                self.answered(out.send, self.number)
            except errors.ShutDown:
                break
            if self.answered(back.take) is None:
                break
            self.did(3)
            self.breathe()
        for end in (out, back, give, get):
            end.close()


class Sender:
    """The side of a stream or a queue that sends numbers."""

    def __init__(self, w: Worker, path: str) -> None:
        self.pool = w.pool
        self.end = (self.pool.writer if path[0] == "s" else self.pool.queue)(path, **RINGS.get(path, {}))
        self.is_stream, self.close = path[0] == "s", self.end.close

    def send(self, n: int, timeout: float) -> None:
        if self.is_stream:
            self.end.publish(np.uint64(n), timeout=timeout)
        else:
            self.end.put(self.pool.array(n, np.uint64), True, timeout)

    def shut(self) -> None:
        if not self.is_stream:
            self.end.shutdown()
        self.close()


class Taker:
    """The side that takes them."""

    def __init__(self, w: Worker, path: str) -> None:
        lossless = RINGS.get(path, {}).get("lossless", False)
        if path[0] == "s":
            self.end = w.pool.reader(path, every=lossless)
        else:
            self.end = w.pool.queue(path, **RINGS.get(path, {}))
        self.is_stream, self.every, self.close = path[0] == "s", lossless, self.end.close

    def take(self, timeout: float) -> int | None:
        """The next number, None at the end."""
        try:
            if not self.is_stream:
                return int(self.end.get(True, timeout))
            return int((self.end.next if self.every else self.end.latest)(timeout=timeout).array)
        except (errors.ShutDown, errors.StreamEnded):
            return None


def hash_of(b: np.ndarray) -> int:
    return zlib.crc32(b[HEAD:], zlib.crc32(b[:HASH_AT]))


def read(b: np.ndarray, ring: str) -> np.ndarray:
    """Checks all bytes of a message, and returns the words of its head."""
    if b.size < HEAD:
        raise Found(f"message of {b.size} bytes")
    m = b[:HEAD].view(np.uint64).copy()
    if int(m[0]) != MAGIC or int(m[3]) != b.size:
        raise Found(f"message of {b.size} bytes: its head says {m}")
    if (h := hash_of(b)) != int(m[7]):
        raise Found(f"torn: process {m[1]}, number {m[2]}, {m[3]} bytes: hash {h:#x}, expected {int(m[7]):#x}")
    if int(m[6]) != zlib.crc32(ring.encode()):
        raise Found(f"message of another ring than {ring}: {m}")
    return m


if __name__ == "__main__":
    job = json.loads(os.environ["NDPOOL_FLOW_WORKER"])
    try:
        Worker(job).run()
    except BaseException as e:
        print(f"flow: python {job['role']} {job['who']} of {job['ring']}, process {os.getpid()}: {e!r}", file=sys.stderr)
        sys.exit(CODE_FOUND if isinstance(e, Found) else 3)
