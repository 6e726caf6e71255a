"""A worker of the storm in Python: see worker.go, whose lines it speaks and whose rules it follows.

It also forks now and then: the child checks all arrays that it has inherited, drops some, and ends by itself or by force.
"""

import os
import queue
import random
import signal
import sys
import threading
import time

import numpy as np

import ndpool
from ndpool import errors

MAX_HELD = 40
EXPECTED = (
    errors.FullError, errors.TableFullError, errors.StaleError, errors.HeldError, errors.SealedError, errors.SpentError,
    errors.ExpiredError, errors.RecalledError, errors.NotReceiverError, errors.DeadError, errors.PrivateError,
    errors.ProcessesError, errors.NoNameError, errors.NameTakenError, errors.VersionError, errors.WriterError,
    errors.StreamEnded, TimeoutError, queue.Empty, queue.Full,
)
STREAMS, QUEUES, RING_WAIT = 2, 2, 0.02  # see rings.go
SHARED_NAMES, LOCKED_NAMES = 8, 3  # see names.go, which tells what names there are
LOCK_WAIT = 0.02
TREE = ("a", "b", "c")


class Fault(Exception):
    """An array is not what its handle says."""


class Worker:
    """Allocates, fills, hands on, adopts, checks and releases arrays at random."""

    def __init__(self, directory: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pool = ndpool.Pool.open("storm", dir=directory)
        self.held: list[np.ndarray] = []
        self.lines: queue.Queue[str] = queue.Queue(256)
        self.arrays = self.adopted = self.named = self.rings = 0
        self.writers: dict[int, ndpool.StreamWriter] = {}
        self.readers: dict[int, ndpool.StreamReader] = {}
        self.last: dict[int, int] = {}
        self.queues: dict[int, ndpool.Queue] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        threading.Thread(target=self.read, daemon=True).start()
        for _ in range(self.rng.randrange(20_000)):
            if self.ended.is_set():
                break
            try:
                self.turn()
            except EXPECTED:
                pass
        self.leave()

    def read(self) -> None:
        """Passes lines on. What does not fit is dropped: a receiver may always fail to adopt."""
        for line in sys.stdin:
            try:
                self.lines.put_nowait(line)
            except queue.Full:
                pass
        self.ended.set()

    def turn(self) -> None:
        try:
            line = self.lines.get_nowait()
        except queue.Empty:
            self.step()
        else:
            self.take(line)

    def step(self) -> None:
        n = self.rng.randrange(1000)
        if not self.held or (n < 300 and len(self.held) < MAX_HELD):
            self.alloc()
        elif n < 550:
            self.release(self.rng.randrange(len(self.held)))
        elif n < 800:
            self.give(self.rng.choice(self.held))
        elif n < 850:
            check(self.rng.choice(self.held))
        elif n < 890:
            self.ring()
        elif n < 970:
            self.name()
        elif n < 980:
            self.fork()
        elif n < 985:
            self.seal(self.rng.randrange(len(self.held)), n % 2 == 0)
        elif n < 990:
            self.pool.recall(older_than=0.3)
        elif n < 992:
            self.pool.trim()
        elif n < 994:
            self.pool.reap()
        else:
            time.sleep(self.rng.random() * 0.002)
            self.count()

    def alloc(self) -> None:
        n = 1 + self.rng.randrange(1 << (3 + self.rng.randrange(13)))
        shape = (n,) + (1,) * 9 if self.rng.randrange(20) == 0 else (n,)
        a = self.pool.empty(shape, np.uint64)
        self.arrays += 1
        a.reshape(-1)[:] = pattern(a)
        self.hold(a)

    def hold(self, a: np.ndarray) -> None:
        self.held.append(a)
        check(a)

    def release(self, k: int) -> None:
        self.held[k], self.held[-1] = self.held[-1], self.held[k]
        check(self.held.pop())

    def seal(self, k: int, hashed: bool) -> None:
        a = self.held.pop(k)
        self.held.append(a)
        self.held[-1] = ndpool.seal(a, hash=hashed)

    def give(self, a: np.ndarray) -> None:
        """Tells the storm about an array: by a transfer, by a transfer to one process, or by its handle."""
        kind = self.rng.randrange(3)
        if kind == 0:
            self.say(f"h {ndpool.handle(a):016x}")
        elif kind == 1:
            self.say(f"t {text(ndpool.send(a))}")
        else:
            to = self.pool.process
            for info in self.pool.processes():
                if self.rng.randrange(3) == 0:
                    to = info.id
            self.say(f"d {(to & 0xFFFFFFFF) - 1}.{to >> 32} {text(ndpool.send(a, to=to))}")

    def say(self, line: str) -> None:
        os.write(1, (line + "\n").encode())

    def count(self) -> None:
        self.say(f"n {self.arrays} {self.adopted} {self.named} {self.rings}")
        self.arrays = self.adopted = self.named = self.rings = 0

    def take(self, line: str) -> None:
        kind, word = line.split()[:2]
        while len(self.held) >= MAX_HELD:
            self.release(self.rng.randrange(len(self.held)))
        if kind == "h":
            self.hold(self.pool.retain(int(word, 16)))
            return
        if self.rng.randrange(20) == 0:
            return  # lost on the way
        handle, ticket = word.split(":")
        a = self.pool.adopt(int(handle, 16).to_bytes(8, "little") + int(ticket, 16).to_bytes(8, "little"))
        self.adopted += 1
        self.hold(a)

    def name(self) -> None:
        """Does one operation with names, as names.go does."""
        self.named += 1
        k = self.rng.randrange(SHARED_NAMES)
        single = f"w{os.getpid()}/{k}" if self.rng.randrange(4) == 0 else f"s/{k}"
        tree = f"t/{k}"
        n = self.rng.randrange(10)
        if n < 2:
            a = self.rng.choice(self.held)
            self.publish({"": (a, {"handle": f"{ndpool.handle(a):016x}"})}, single)
        elif n < 3:
            self.publish({name: self.rng.choice(self.held) for name in TREE}, tree)
        elif n < 5:
            self.look_up(single)
        elif n < 6:
            self.look_up_tree(tree)
        elif n < 7:
            found = [x for x in self.pool.entries(tree) if not x.group]
            if len(found) != len(TREE) or len({x.version for x in found}) != 1:
                raise Fault(f"tree {tree}: {[(x.path, x.version) for x in found]}")
        elif n < 8:
            attrs = self.pool.attrs(single)
            attrs["n"] = attrs.get("n", 0) + 1
        elif n < 9:
            self.remove(single, tree)
        else:
            self.locked(f"l/{k % LOCKED_NAMES}")

    def publish(self, tree: dict, path: str) -> None:
        mode = self.rng.choice(({}, {"merge": True}, {"overwrite": True}))
        persistent = path[0] != "w" and self.rng.randrange(8) == 0
        if "" not in tree:
            self.pool.publish(tree, path, persistent=persistent, **mode)
            return
        a, attrs = tree[""]
        if "merge" in mode:
            group, _, name = path.partition("/")
            self.pool.publish({name: (a, attrs)}, group, persistent=persistent, **mode)
        else:
            self.pool.put(path, a, attrs=attrs, persistent=persistent, **mode)

    def look_up(self, path: str) -> None:
        item = self.pool.item(path)
        if item.attrs.get("handle") != f"{ndpool.handle(item.array):016x}":
            raise Fault(f"name {path}: version {item.version}: array {ndpool.handle(item.array):016x}, attributes {item.attrs}")
        self.hold(item.array)

    def look_up_tree(self, path: str) -> None:
        tree = self.pool.tree(path)
        if sorted(tree) != list(TREE):
            raise Fault(f"tree {path}: {sorted(tree)}")
        for a in tree.values():
            check(a)

    def remove(self, single: str, tree: str) -> None:
        if self.rng.randrange(2):
            self.pool.remove(single)
        elif (n := self.pool.remove(tree, tree=True)) != len(TREE):
            raise Fault(f"tree {tree}: removed {n} names")

    def locked(self, path: str) -> None:
        """Changes two numbers one after the other, or looks at both."""
        lock, xs = self.pool.lock(path), self.pool[path]
        write = self.rng.randrange(2) == 0
        side = lock if write else lock.shared
        if not side.acquire(LOCK_WAIT):
            return
        try:
            torn = side.torn
            if not torn and xs[0] != xs[1]:
                raise Fault(f"lock of {path}: {xs}, and nobody told")
            if write:
                xs[0] += np.uint64(1)
                self.pause()
                xs[1] = xs[0]
            else:
                self.pause()
                if not torn and xs[0] != xs[1]:
                    raise Fault(f"lock of {path}: {xs} while it is held to read")
        finally:
            side.release()

    def ring(self) -> None:
        """Does one operation with streams and queues, as rings.go does."""
        self.rings += 1
        k, n = self.rng.randrange(STREAMS), self.rng.randrange(20)
        if n < 1:
            for ends in self.writers, self.readers, self.queues:
                if self.rng.randrange(3) == 0 and k in ends:
                    ends.pop(k).close()
        elif n < 6:
            self.publish_frame(k)
        elif n < 11:
            self.read_frame(k)
        elif n < 15:
            self.put(k)
        elif n == 15 and k == 1 and self.rng.randrange(20) == 0:
            self.queue(k).shutdown()
        else:
            self.get(k)

    def publish_frame(self, k: int) -> None:
        if k not in self.writers:
            self.writers[k] = self.pool.writer(f"r/s{k}", frames=3, lossless=k == 1)
        w = self.writers[k]
        a = w.empty((1 + self.rng.randrange(1 << self.rng.randrange(13)),), np.uint64)
        a[:] = pattern(a)
        w.publish(a, attributes={"handle": f"{ndpool.handle(a):016x}"}, timeout=RING_WAIT)

    def read_frame(self, k: int) -> None:
        """Wants that frames are whole and come in their order."""
        if k not in self.readers:
            every, from_now = self.rng.randrange(2) == 0, self.rng.randrange(2) == 0
            self.readers[k], self.last[k] = self.pool.reader(f"r/s{k}", every=every, from_now=from_now), 0
        r, how = self.readers[k], self.rng.randrange(3)
        f = r.newest() if how == 0 else r.latest(RING_WAIT) if how == 1 else r.next(RING_WAIT)
        if f is None:
            return
        if f.attributes.get("handle") != f"{ndpool.handle(f.array):016x}":
            raise Fault(f"stream {k}: frame {f.sequence}: array {ndpool.handle(f.array):016x}, attributes {f.attributes}")
        if f.sequence < self.last[k] or (f.sequence == self.last[k] and how):
            raise Fault(f"stream {k}: frame {f.sequence} came after frame {self.last[k]}")
        self.last[k] = f.sequence
        self.hold(f.array)

    def queue(self, k: int) -> ndpool.Queue:
        if k not in self.queues:
            self.queues[k] = self.pool.queue(f"r/q{k}", maxsize=20)
        return self.queues[k]

    def was_shut(self, k: int) -> None:
        """Leaves a queue that was shut down; if it is empty it is removed for all."""
        q = self.queues.pop(k)
        try:
            if q.qsize() == 0:
                self.pool.remove(f"r/q{k}")
        finally:
            q.close()

    def put(self, k: int) -> None:
        q, a = self.queue(k), self.rng.choice(self.held)
        try:
            q.put(a if k == 0 else [a, *self.rng.choices(self.held, k=2), "text"], timeout=RING_WAIT)
        except errors.ShutDown:
            self.was_shut(k)

    def get(self, k: int) -> None:
        q = self.queue(k)
        try:
            items = q.get_many(1 + self.rng.randrange(3), timeout=RING_WAIT)
        except errors.ShutDown:
            self.was_shut(k)
            return
        for item in items:
            for a in item if isinstance(item, (list, tuple)) else (item,):
                if isinstance(a, np.ndarray):
                    check(a)
                elif a != "text":
                    raise Fault(f"queue {k}: {item!r}")

    def pause(self) -> None:
        if self.rng.randrange(3) == 0:
            time.sleep(self.rng.random() * 0.001)

    def fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                code = self.child()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if status not in (0, signal.SIGKILL):
            raise Fault(f"child {pid} ended with status {status}")

    def child(self) -> int:
        """What a child does: its holds are its own, whatever happens to its parent."""
        self.rng.seed(os.getpid())
        try:
            self.writers, self.readers = {}, {}  # the parent's alone; queues are both processes'
            for a in self.held:
                check(a)
            while self.held and self.rng.randrange(4):
                self.release(self.rng.randrange(len(self.held)))
            self.alloc()
            self.say(f"t {text(ndpool.send(self.held[-1]))}")
        except (*EXPECTED, errors.ForkedError):
            pass
        except BaseException as e:
            print(f"storm: child {os.getpid()}: {e!r}", file=sys.stderr)
            return 3
        if self.rng.randrange(2):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def leave(self) -> None:
        for ends in self.writers, self.readers, self.queues:
            for x in ends.values():
                x.close()
        while self.held:
            self.release(len(self.held) - 1)
        self.pool.recall(older_than=0)
        try:
            self.count()
        except BrokenPipeError:
            pass
        self.pool.close()


def text(transfer: bytes) -> str:
    """A transfer as Go prints it."""
    return f"{int.from_bytes(transfer[:8], 'little'):016x}:{int.from_bytes(transfer[8:], 'little'):016x}"


def pattern(a: np.ndarray) -> np.ndarray:
    """What an array must contain: it follows from its handle."""
    return np.uint64(ndpool.handle(a)) + np.arange(a.size, dtype=np.uint64) * np.uint64(8 * 0x9E3779B97F4A7C15 % 2**64)


def check(a: np.ndarray) -> None:
    want = pattern(a)
    got = a.reshape(-1)
    if not np.array_equal(got, want):
        k = int(np.flatnonzero(got != want)[0])
        raise Fault(f"array {ndpool.handle(a):016x}: element {k} of {a.size}: got {got[k]:#x}, expected {want[k]:#x}")


if __name__ == "__main__":
    directory, seed = os.environ["NDPOOL_STORM_WORKER"].split()
    try:
        Worker(directory, int(seed)).run()
    except BaseException as e:
        print(f"storm: python worker of seed {seed}, process {os.getpid()}: {e!r}", file=sys.stderr)
        sys.exit(3)
