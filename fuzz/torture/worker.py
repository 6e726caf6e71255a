"""A worker of the torture in Python: see worker.go, whose lines it speaks and whose rules it follows.

It also forks now and then: the child checks all arrays that it has inherited, drops some, works, and ends by itself or by
force, also after its parent.
"""

from __future__ import annotations

import base64
import errno
import faulthandler
import json
import mmap
import multiprocessing
import os
import queue
import random
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

import ndpool
from ndpool import _core, errors, npy

POOL: Final = "torture"
ENV: Final = "NDPOOL_TORTURE_WORKER"
MAX_HELD: Final = 40
MAX_SENT: Final = 16
MAX_LINES: Final = 256
TELL_EVERY: Final = 50
STREAMS, QUEUES, RING_WAIT = 2, 2, 0.02  # see rings.go
SHARED_NAMES, LOCKED_NAMES = 8, 3  # see names.go, which tells what names there are
LOCK_WAIT: Final = 0.02
CHILD_LIFE: Final = 0.5  #: seconds that a forked child works at most
BYTES_SEED: Final = 11  #: of the pattern of bytes in queues
SECOND: Final = {  # see work_pools.go
    "capacity": 4 << 20, "arrays": 1024, "processes": 64, "tickets": 256, "names": 1024, "grace": 0.2, "lock_wait": 60.0,
}
DTYPES: Final = [
    np.dtype(x)
    for x in (
        "<u8", "<u8", "<u8", "?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16", ">f4",
        ">i8", "<M8[ns]", "<m8[10ms]", "S7", "<U3", "V5", [("x", "<f4"), ("y", "<f4"), ("id", "<u4")],
        [("a", "u1"), ("m", "<f8", (3,)), ("t", [("p", "i1"), ("q", "?")])],
    )
]  # fmt: skip

#: Errors that a torture brings with it, the narrower ones first, and what they are called in the figures.
BROUGHT: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (errors.FullError, "full"), (errors.NoMemoryError, "nomemory"), (errors.ProcessesError, "processes"),
    (errors.TableFullError, "table"), (errors.StaleError, "stale"), (errors.PrivateError, "private"),
    (errors.HeldError, "held"), (errors.SealedError, "sealed"), (errors.SpentError, "spent"),
    (errors.ExpiredError, "expired"), (errors.RecalledError, "recalled"), (errors.NotReceiverError, "receiver"),
    (errors.DeadError, "dead"), (errors.NoNameError, "noname"), (errors.NameTakenError, "nametaken"),
    (errors.VersionError, "version"), (errors.WriterError, "writer"), (errors.WriterDied, "writerdied"),
    (errors.StreamEnded, "ended"), (errors.ShutDown, "shut"), (errors.TooLongError, "toolong"),
    (errors.WaitTimeoutError, "timeout"), (queue.Empty, "timeout"), (queue.Full, "timeout"),
)  # fmt: skip


class Fault(Exception):
    """Something is not as it must be."""


def expected(e: BaseException) -> str | None:
    """Returns what an error that a torture brings with it is called; None for others."""
    for kind, word in BROUGHT:
        if isinstance(e, kind):
            return word
    return "nospace" if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EAGAIN, errno.ENOMEM) else None


def must_refuse(what: str, want: type[BaseException] | tuple[type[BaseException], ...], f: Callable[[], Any]) -> None:
    """Does what must be refused, with the error that says why."""
    try:
        f()
    except want:
        return
    except Exception as e:
        if expected(e):
            raise  # for a reason of its own, before it came to that
        raise Fault(f"{what}: got {e!r}, expected {want}") from e
    raise Fault(f"{what}: nobody has refused it, expected {want}")


# ---- content: see work_pattern.go


def pattern(seed: int, size: int) -> np.ndarray:
    """What the bytes of a block must be: it follows from its handle."""
    words = np.arange(size // 8 + 1, dtype=np.uint64) * np.uint64(8 * 0x9E3779B97F4A7C15 % 2**64) + np.uint64(seed)
    return words.view(np.uint8)[:size]


def raw(a: np.ndarray) -> np.ndarray:
    """All bytes of the block that an array lies in."""
    block = _core.block_of(a)
    assert block is not None
    return np.frombuffer(block, np.uint8) if block.nbytes else np.empty(0, np.uint8)


def fill(a: np.ndarray) -> None:
    raw(a)[:] = pattern(ndpool.handle(a), a.nbytes)


def check(a: np.ndarray, seed: int | None = None) -> int:
    """Compares an array, or a view of one, with what its block must be. Returns the bytes."""
    block = _core.block_of(a)
    if block is None:
        raise Fault(f"array {a.dtype} {a.shape} is in no pool")
    if a.size == 0 or a.itemsize == 0:
        return 0
    want = pattern(ndpool.handle(a) if seed is None else seed, block.nbytes)
    place = a.__array_interface__["data"][0] - block.address
    shown = np.ndarray(a.shape, a.dtype, want, place, a.strides)
    if a.tobytes() != shown.tobytes():
        got, expect = a.tobytes(), shown.tobytes()
        k = next(k for k in range(len(got)) if got[k] != expect[k])
        raise Fault(
            f"array {block.handle:016x}, {a.dtype} {a.shape} at byte {place}: byte {k} of {len(got)}: got {got[k]:#x}, "
            f"expected {expect[k]:#x}"
        )
    return int(a.nbytes)


# ---- texts, as Go prints them


def transfer_text(t: bytes) -> str:
    """A transfer, or a message."""
    if len(t) == 16:
        return f"{int.from_bytes(t[:8], 'little'):016x}:{int.from_bytes(t[8:], 'little'):016x}"
    ticket = int.from_bytes(t[32:40], "little")
    text = f"ndpool1:{t[8:24].hex()}:{int.from_bytes(t[24:32], 'little'):016x}:{f'{ticket:016x}' if ticket else '-'}"
    if len(t) > 40:
        text += ":" + base64.urlsafe_b64encode(t[40:]).decode().rstrip("=")
    return text


def transfer_of(text: str) -> bytes:
    if not text.startswith("ndpool1:"):
        handle, ticket = text.split(":")
        return int(handle, 16).to_bytes(8, "little") + int(ticket, 16).to_bytes(8, "little")
    parts = text.split(":")
    ticket = 0 if len(parts) < 4 or parts[3] == "-" else int(parts[3], 16)
    view = base64.urlsafe_b64decode(parts[4] + "=" * (-len(parts[4]) % 4)) if len(parts) > 4 else b""
    body = bytes.fromhex(parts[1]) + int(parts[2], 16).to_bytes(8, "little") + ticket.to_bytes(8, "little") + view
    return b"nd\x01" + (b"\x02" if view else b"\x01") + len(body).to_bytes(4, "little") + body


def process_text(process: int) -> str:
    return f"{(process & 0xFFFFFFFF) - 1}.{process >> 32}"


# ---- what a worker is beside its lanes


class Events:
    """The last operations, in a file that survives a death: see work_events.go."""

    COUNT, SIZE = 200, 96

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.map: mmap.mmap | None = None
        self.n = 0
        if not path:
            return
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < self.COUNT * self.SIZE:
                os.pwrite(fd, bytes(self.COUNT * self.SIZE), 0)
            self.map = mmap.mmap(fd, self.COUNT * self.SIZE)
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
            return
        finally:
            os.close(fd)
        for k in range(self.COUNT):
            number = self.map[k * self.SIZE : k * self.SIZE + 12]
            if number.isdigit():
                self.n = max(self.n, int(number))

    def add(self, lane: int, op: str, detail: str = "") -> None:
        if self.map is None:
            return
        with self.lock:
            self.n += 1
            text = f"{self.n:012d} {lane} {op} {detail}".encode("ascii", "replace")[: self.SIZE - 1]
            at = self.n % self.COUNT * self.SIZE
            self.map[at : at + self.SIZE] = text.replace(b"\n", b" ").ljust(self.SIZE - 1) + b"\n"


class Tally:
    """What was done since it was last told, by kind: see work_tally.go."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.take()

    def take(self) -> str:
        with self.lock:
            told = json.dumps(self.__dict__.get("told", {}), sort_keys=True)
            self.told: dict[str, Any] = {"ops": {}, "errors": {}, "bytes": 0, "stall_us": 0, "stall": ""}
            self.done = 0
            return told

    def add(self, op: str) -> None:
        with self.lock:
            self.told["ops"][op] = self.told["ops"].get(op, 0) + 1
            self.done += 1

    def fail(self, word: str) -> None:
        with self.lock:
            self.told["errors"][word] = self.told["errors"].get(word, 0) + 1

    def checked(self, n: int) -> None:
        with self.lock:
            self.told["bytes"] += n

    def stall(self, op: str, seconds: float) -> None:
        us = int(seconds * 1e6)
        with self.lock:
            if us > self.told["stall_us"]:
                self.told["stall_us"], self.told["stall"] = us, op


class Input:
    """What the parent says. What was read and not used is handed on over an exec: see work_lines.go."""

    def __init__(self, rest: str) -> None:
        self.lock = threading.Lock()  # held while bytes are on their way from the pipe to lines; who execs keeps it
        self.part = b""
        self.lines: queue.Queue[str] = queue.Queue(MAX_LINES)
        self.turns: queue.Queue[str] = queue.Queue()  # in lockstep: "go", "freeze", and "" at the end
        self.frozen = threading.Event()
        self.ended = threading.Event()
        self.more(rest.encode())

    def read(self) -> None:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        while True:
            poll.poll()
            with self.lock:
                got = os.read(0, 4096)
                self.more(got)
            if not got:
                self.ended.set()
                self.turns.put("")
                return

    def more(self, got: bytes) -> None:
        *lines, self.part = (self.part + got).split(b"\n")
        for line in lines:
            self.line(line.decode())

    def line(self, line: str) -> None:
        word = line.partition(" ")[0]
        if word in ("go", "freeze"):
            self.turns.put(word)
            if word == "freeze":
                self.frozen.set()
            return
        try:
            self.lines.put_nowait(line)
        except queue.Full:
            pass  # a receiver may always fail to adopt

    def take(self) -> str | None:
        """What is left, for the next life; None if all is to freeze. Nothing is read any more, unless that."""
        self.lock.acquire()
        if self.frozen.is_set():
            self.lock.release()
            return None
        rest = ""
        while not self.lines.empty():
            line = self.lines.get_nowait()
            if len(rest) < 1 << 15:
                rest += line + "\n"
        return rest + self.part.decode()


class Worker:
    """The process; its lanes do the work."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.dir: str = config["dir"]
        self.seed = int(config["seed"])
        self.lockstep = bool(config.get("lockstep"))
        self.no = frozenset(config.get("no") or ())
        self.plant: str = config.get("plant") or ""
        self.tally = Tally()
        self.tally.take()
        self.events = Events(config.get("events") or "")
        self.input = Input(config.get("rest") or "")
        self.stop = threading.Event()
        self.pool: ndpool.Pool
        self.lanes: list[Lane] = []
        self.failure: BaseException | None = None
        self.saying = threading.Lock()

    def run(self) -> None:
        threading.Thread(target=self.input.read, daemon=True).start()
        if self.lockstep:
            self.march()
            return
        if not self.attach():
            return
        count = self.config.get("lanes") or (3 if self.seed % 3 == 0 else 1)
        self.lanes = [Lane(self, k) for k in range(count)]
        threads = [threading.Thread(target=lane.live) for lane in self.lanes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.failure is not None:
            raise self.failure
        if self.input.frozen.is_set():
            self.freeze()
        self.leave()

    def attach(self) -> bool:
        """Opens the pool. There may be no room for this process, or no pool any more: then it waits a little."""
        for _ in range(100):
            try:
                fd = self.config.get("fd") or 0
                self.pool = ndpool.Pool.open("", fd=fd) if fd else ndpool.Pool.open(POOL, dir=self.dir)
            except (errors.NotExistError, errors.TableFullError, errors.FullError, errors.NoMemoryError) as e:
                self.tally.fail(expected(e) or "notexist")
                time.sleep(0.02)
                continue
            self.say(f"id {process_text(self.pool.process)}")
            return True
        self.count()
        return False

    def march(self) -> None:
        """Does one operation for each line "go", and nothing by itself: its choices follow from the seed alone."""
        lane = Lane(self, 0)
        self.lanes = [lane]
        opened = False
        if self.config.get("again"):
            opened = self.attach()
            self.say("done exec")
        while (turn := self.input.turns.get()) == "go":
            if not opened:
                opened = self.attach()
                if not opened:
                    return
                self.say("done open")
                continue
            lane.note = ""
            lane.turn()
            self.say(f"done {lane.note}")
        if turn == "freeze":
            self.freeze()
        if opened:
            self.leave()

    def say(self, line: str) -> None:
        """Says a line by one call, so that a death leaves a whole line or none."""
        with self.saying:
            os.write(1, (line + "\n").encode())

    def count(self) -> None:
        self.say("n " + self.tally.take())

    def freeze(self) -> None:
        """Tells what this process holds, and keeps it until the input ends."""
        await_children()
        self.count()
        held: dict[str, None] = {}
        for lane in self.lanes:
            lane.close_streams()
            lane.close_others()
            held.update(dict.fromkeys(lane.handles()))
        words = list(held)
        if self.plant == "extra":
            words = words[1:]
        self.say(" ".join(["held", *words]))
        self.input.ended.wait()

    def leave(self) -> None:
        """Checks and releases everything."""
        await_children()
        for lane in self.lanes:
            lane.leave()
        self.pool.recall(older_than=0)
        try:
            self.count()
        except BrokenPipeError:
            pass
        self.pool.close()


def bury_children() -> None:
    """Wants that those children that have ended have found nothing wrong."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        judge(pid, status)


def await_children() -> None:
    while True:
        try:
            judge(*os.waitpid(-1, 0))
        except ChildProcessError:
            return


def judge(pid: int, status: int) -> None:
    if status not in (0, signal.SIGKILL):
        raise Fault(f"child {pid} ended with status {status}")


# ---- the work


class Lane:
    """One thread of a worker. What it holds is its own."""

    def __init__(self, worker: Worker, number: int) -> None:
        self.worker = worker
        self.number = number
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
        w = self.worker
        start = time.monotonic()
        line = None
        try:
            line = w.input.lines.get_nowait()
        except queue.Empty:
            pass
        op, name, waits = (None, "take", False) if line is not None else self.choose()
        w.events.add(self.number, name, line or "")
        self.note = name
        try:
            if op is None:
                self.take(line or "")
            else:
                op(self)
        except errors.ForkedError:
            raise  # of a child for which some pool had no slot
        except Exception as e:
            word = None if isinstance(e, Fault) else expected(e)
            if word is None:
                w.events.add(self.number, "FAULT", repr(e))
                raise Fault(f"{name}: {e!r}") from e
            w.tally.fail(word)
            self.note += " " + word
        w.tally.add(name)
        if not waits:
            w.tally.stall(name, time.monotonic() - start)
        if w.tally.done >= TELL_EVERY or w.lockstep:
            w.count()
            if not w.lockstep and self.number == 0:
                bury_children()

    def choose(self) -> tuple[Callable[[Lane], None], str, bool]:
        can = [o for o in OPS if self.can(o)]
        n = self.rng.randrange(sum(o.weight for o in can))
        for o in can:
            n -= o.weight
            if n < 0:
                return o.do, o.name, o.waits
        raise AssertionError

    def can(self, o: Op) -> bool:
        if (not o.empty and not self.held) or (o.timely and self.worker.lockstep) or o.group in self.worker.no:
            return False
        return o.name != "alloc" or len(self.held) < MAX_HELD

    # -- arrays

    def shape(self, n: int) -> tuple[int, ...]:
        kind = self.rng.randrange(100)
        if kind == 0:
            return (self.rng.randrange(4), 0, self.rng.randrange(4))
        dims = 64 if kind == 1 else 9 + self.rng.randrange(4) if kind < 5 else self.rng.randrange(5)
        shape = []
        for _ in range(dims - 1):
            shape.append(1 + (self.rng.randrange(4) if n > 4 else 0))
            n //= shape[-1]
        return (*shape, max(n, 1)) if dims else ()

    def spec(self) -> tuple[tuple[int, ...], np.dtype, str]:
        dtype = self.rng.choice(DTYPES)
        size = 1 << (20 + self.rng.randrange(4) if self.rng.randrange(300) == 0 else 3 + self.rng.randrange(16))
        shape = self.shape(1 + self.rng.randrange(max(size // max(dtype.itemsize, 1), 1)))
        return shape, dtype, "F" if self.rng.randrange(4) == 0 else "C"

    def alloc(self) -> None:
        shape, dtype, order = self.spec()
        if self.rng.randrange(5) == 0:
            a = self.pool.zeros(shape, dtype, order)
            if raw(a).any():
                raise Fault(f"new array {ndpool.handle(a):016x} of zeros has others")
        else:
            a = self.pool.empty(shape, dtype, order)
        self.made(a, shape, dtype, order)

    def made(self, a: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, order: str) -> None:
        if a.shape != shape or a.dtype != dtype or not a.flags.writeable or not a.flags[f"{order}_CONTIGUOUS"]:
            raise Fault(f"new array: got {a.dtype} {a.shape}, expected {dtype} {shape} {order}")
        if self.worker.plant == "nofill" and a.nbytes > 100 and self.rng.randrange(10) == 0:
            self.hold(a)
        fill(a)
        self.remark(f"{ndpool.handle(a):016x}")
        self.hold(a)

    def alloc_wait(self) -> None:
        """Allocates much, and waits for room; it does not wait for what can never be."""
        if self.rng.randrange(10) == 0:
            must_refuse("wait for more than the pool has", errors.FullError, lambda: self.pool.empty(1 << 40, "u1", timeout=1))
            return
        n = 1 << (16 + self.rng.randrange(8))
        a = self.pool.empty((n,), "u1", timeout=self.rng.random() * 0.02)
        self.make_room()
        self.made(a, (n,), np.dtype("u1"), "C")

    def private(self) -> None:
        """Works on arrays that nobody is ever told of: their handles are not asked for."""
        sizes = [self.rng.randrange(1 << self.rng.randrange(14)) for _ in range(1 + self.rng.randrange(8))]
        made = [self.pool.empty(n, "u1") for n in sizes]
        for k, a in enumerate(made):
            raw(a)[:] = pattern(k, a.nbytes)
        self.pause()
        for k, a in enumerate(made):
            if not np.array_equal(raw(a), pattern(k, a.nbytes)):
                raise Fault(f"private array of {a.nbytes} bytes has changed")
            self.worker.tally.checked(a.nbytes)

    def flood(self) -> None:
        """Takes all there is, so that others are short of it, and gives it back."""
        made = []
        for _ in range(64):
            made.append(self.pool.empty(1 << (12 + self.rng.randrange(10)), "u1"))

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
            if _core.is_whole(a):
                return a
        return self.pool.copy(self.held[first])

    def own_whole(self) -> np.ndarray:
        """An array that is no view, and has the content of its own block."""
        a = self.whole()
        if not any(a is x for x in self.held):
            fill(a)
        return a

    def check_any(self) -> None:
        a = self.any()
        if self.worker.plant == "flip" and a.flags.writeable and a.nbytes and _core.is_whole(a):
            raw(a)[self.rng.randrange(a.nbytes)] ^= 1
        self.check(a)

    def release(self) -> None:
        k = self.rng.randrange(len(self.held))
        self.held[k], self.held[-1] = self.held[-1], self.held[k]
        a = self.held.pop()
        self.check(a)
        self.remark(f"{ndpool.handle(a):016x}")

    def make_room(self) -> None:
        while len(self.held) >= MAX_HELD:
            self.release()

    def retain_again(self) -> None:
        handle = ndpool.handle(self.any())
        self.make_room()
        try:
            a = self.pool.retain(handle, readonly=self.rng.randrange(2) == 0)
        except errors.StaleError as e:
            if any(ndpool.handle(x) == handle for x in self.held):
                raise Fault(f"retain {handle:016x}, which is held: {e!r}") from e
            return
        self.hold(a)

    def seal(self) -> None:
        hashed = self.rng.randrange(2) == 0
        a = self.held.pop(self.rng.randrange(len(self.held)))
        block = _core.block_of(a)
        self.held = [x for x in self.held if _core.block_of(x) is not block]  # views of it must not be used then
        self.held.append(a)
        try:
            self.held[-1] = ndpool.seal(a, hash=hashed)
        except errors.MismatchError:
            if _core.is_whole(a):
                raise
            return  # a part of a block
        a = self.held[-1]
        if not ndpool.is_sealed(a) or a.flags.writeable:
            raise Fault(f"array {ndpool.handle(a):016x} is not sealed")
        if hashed:
            ndpool.check_hash(a)
        self.check(a)

    def check_hash(self) -> None:
        """Compares content and hash, if there is one."""
        try:
            ndpool.check_hash(self.any())
        except errors.MismatchError:
            pass

    def view(self) -> None:
        """Looks at a part of an array, or at all of it in another way, and at times keeps that instead."""
        a = self.any()
        for _ in range(1 + self.rng.randrange(3)):
            kind = self.rng.randrange(3)
            if kind == 0:
                a = a.transpose(self.rng.sample(range(a.ndim), a.ndim))
            elif kind == 1 and a.flags.c_contiguous:
                a = a.reshape(a.size, 1) if a.size else a
            else:
                a = a[(*(self.slice(n) for n in a.shape[: self.rng.randrange(a.ndim + 1)]), ...)]
        if not a.size:
            return  # the place of no elements may be outside
        if self.rng.randrange(4) == 0 and len(self.held) < MAX_HELD:
            self.hold(a)
        else:
            self.check(a)

    def slice(self, n: int) -> slice:
        kind = self.rng.randrange(4)
        if kind == 0 or n == 0:
            return slice(None)
        if kind == 1:
            return slice(None, None, -1 - self.rng.randrange(3))
        start = self.rng.randrange(n)
        return slice(start, start + 1 + self.rng.randrange(n), 1 + self.rng.randrange(3))

    # -- transfers

    def give_handle(self) -> None:
        self.say(f"h {ndpool.handle(self.any()):016x}")

    def send(self) -> None:
        """Opens a transfer to anybody; of a view it is a message."""
        a = self.any()
        t = self.pool.send(a) if self.rng.randrange(3) else _core.message(a)
        if (len(t) == 16) and not _core.is_whole(a):
            raise Fault(f"transfer {transfer_text(t)} of a view")
        self.sent = [*self.sent, t][-MAX_SENT:]
        self.remark(f"{ndpool.handle(a):016x}")
        self.say(f"t {transfer_text(t)}")

    def someone(self) -> int:
        """A process of the pool, at times this one or a dead one."""
        to = self.pool.process
        for info in self.pool.processes():
            if self.rng.randrange(3) == 0:
                to = info.id
        return to

    def send_to(self) -> None:
        to = self.someone()
        t = self.pool.send(self.any(), to=to)
        self.sent = [*self.sent, t][-MAX_SENT:]
        self.say(f"d {process_text(to)} {transfer_text(t)}")

    def take(self, line: str) -> None:
        """Adopts, or retains, what a line says, and keeps what it got."""
        kind, word = line.split()[:2]
        self.make_room()
        readonly = self.rng.randrange(4) == 0
        if kind == "h":
            try:
                a = self.pool.retain(int(word, 16), readonly=readonly)
            except errors.KindError:
                return  # a queue
        elif self.rng.randrange(20) == 0:
            return  # lost on the way
        else:
            t = transfer_of(word)
            if transfer_text(t) != word:
                raise Fault(f"{word} is read as {transfer_text(t)}")
            if self.rng.randrange(10) == 0:
                self.recall_foreign(t)
            try:
                a = self.pool.adopt(t, readonly=readonly)
            except errors.KindError:
                self.take_queue(t)
                return
        if readonly and a.flags.writeable:
            raise Fault(f"array {ndpool.handle(a):016x} is not read-only")
        self.worker.tally.add("adopted")
        self.remark(f"{ndpool.handle(a):016x}")
        self.hold(a)

    def recall_foreign(self, t: bytes) -> None:
        """Tries to take back what somebody else has sent, in most cases."""
        try:
            self.pool.recall(t)
        except (errors.NotSenderError, errors.SpentError, errors.ExpiredError, errors.RecalledError):
            pass

    def recall(self) -> None:
        """Takes one of its own transfers back. It is spent then, for everybody."""
        if not self.sent:
            return
        t = self.sent.pop(self.rng.randrange(len(self.sent)))
        gone = (errors.SpentError, errors.ExpiredError, errors.RecalledError)
        try:
            self.pool.recall(t)
        except gone:
            pass
        for _ in range(2):
            must_refuse(f"adopt {transfer_text(t)}, which was recalled", gone, lambda: self.pool.adopt(t))

    def recall_older(self) -> None:
        self.pool.recall(older_than=0 if self.worker.lockstep else 0.3)

    def refuse(self) -> None:
        who = self.someone()
        self.pool.alive(who)
        self.pool.refuse(who)

    # -- what must be refused

    def forge(self) -> None:
        """Does something that must be refused, and with the error that says why."""
        self.rng.choice(FORGERIES)(self)

    def with_transfer(self, what: str, want: type[BaseException], wrong: Callable[[bytes], bytes]) -> None:
        """Adopts a transfer with something changed in it. Nothing is spent by that."""
        a = self.own_whole()
        t = _core.message(a)
        self.remark(what)
        try:
            must_refuse(what, want, lambda: self.pool.adopt(wrong(t)))
        finally:
            try:
                self.pool.recall(t)
            except errors.RecalledError:
                pass  # by another lane's recall of what is old

    def wrong_nonce(self) -> None:
        def later(t: bytes) -> bytes:
            nonce = (int.from_bytes(t[36:40], "little") + (1 << 20)) % 2**32
            return t[:36] + nonce.to_bytes(4, "little")

        self.with_transfer("adopt a ticket of the future", errors.ForgedError, later)

    def wrong_ticket(self) -> None:
        beyond = (1 << 31).to_bytes(4, "little")
        self.with_transfer("adopt a ticket beyond the table", errors.ForgedError, lambda t: t[:32] + beyond + t[36:])

    def wrong_handle(self) -> None:
        def other(t: bytes) -> bytes:
            generation = (int.from_bytes(t[28:32], "little") + (1 << 30)) % 2**32
            return t[:28] + generation.to_bytes(4, "little") + t[32:]

        self.with_transfer("adopt a ticket for another handle", errors.ForgedError, other)

    def foreign_segment(self) -> None:
        def other(t: bytes) -> bytes:
            return t[:8] + bytes([t[8] ^ 1]) + t[9:]

        self.with_transfer("adopt a message of another segment", errors.ForeignError, other)

    def broken_message(self) -> None:
        self.with_transfer("adopt half a message", errors.MessageError, lambda t: t[:30])

    def twice(self) -> None:
        t = self.pool.send(self.own_whole())
        self.check(self.pool.adopt(t))
        must_refuse("adopt twice", errors.SpentError, lambda: self.pool.adopt(t))

    def foreign_granule(self) -> None:
        handle = 1 << 32 | self.rng.choice((0, 2**32 - 1, 1))
        must_refuse("retain a handle that leads to no descriptor", errors.ForeignError, lambda: self.pool.retain(handle))

    def other_generation(self) -> None:
        handle = ndpool.handle(self.any())
        wrong = (((handle >> 32) + (1 << 30)) % 2**32) << 32 | handle & 0xFFFFFFFF
        must_refuse("retain a generation that never was", errors.StaleError, lambda: self.pool.retain(wrong))

    def dead_receiver(self) -> None:
        to = self.pool.process + (1 << 40)
        must_refuse("send to a process that never was", errors.DeadError, lambda: self.pool.send(self.any(), to=to))

    def second_reference(self) -> None:
        a = self.own_whole()
        kept = self.pool.retain(ndpool.handle(a))
        must_refuse("seal with two references", (errors.HeldError, errors.SealedError), lambda: ndpool.seal(a))
        self.check(kept)

    def store_sealed(self) -> None:
        a = self.any()
        if a.flags.writeable:
            return
        must_refuse("make a read-only array writable", ValueError, lambda: a.setflags(write=True))

    def bad_spec(self) -> None:
        must_refuse("allocate a negative length", (errors.SpecError, ValueError), lambda: self.pool.empty((3, -1)))
        must_refuse("allocate objects", errors.DTypeError, lambda: self.pool.empty(3, object))

    def too_large(self) -> None:
        must_refuse("allocate more than the pool has", errors.FullError, lambda: self.pool.empty(1 << 40, "u1"))

    def wrong_path(self) -> None:
        path = self.rng.choice(("", "a//b", "../x", "a/./b", "/s", "s/"))
        must_refuse(f"look up {path!r}", errors.PathError, lambda: self.pool[path])

    def group(self) -> None:
        must_refuse("look up a group", errors.GroupError, lambda: self.pool["l"])

    def not_locked(self) -> None:
        path = self.own() + "/locked"
        self.pool.put(path, self.own_whole(), overwrite=True)
        lock = self.pool.lock(path)
        must_refuse("unlock what is not locked", errors.NotLockedError, lock.release)
        self.pool.remove(path)

    def bad_attrs(self) -> None:
        a, wrong = self.own_whole(), {"x": print}
        must_refuse("attributes that are none", errors.AttributesError, lambda: self.pool.put("s/0", a, attrs=wrong))

    def bad_name(self) -> None:
        place = self.worker.dir
        must_refuse("open what no file can be named", errors.PoolNameError, lambda: ndpool.Pool.open("a/b", dir=place))

    def other_options(self) -> None:
        wrong = (errors.OptionsError, errors.NotExistError)
        must_refuse("open with another capacity", wrong, lambda: ndpool.Pool.open(POOL, dir=self.worker.dir, capacity=4096))

    # -- names, as names.go has them

    def own(self) -> str:
        return f"w{process_text(self.pool.process).replace('.', '-')}-{self.number}"

    def single(self) -> str:
        path = f"{self.own() if self.rng.randrange(4) == 0 else 's'}/{self.rng.randrange(SHARED_NAMES)}"
        self.remark(path)
        return path

    def tree(self) -> str:
        return f"t/{self.rng.randrange(SHARED_NAMES)}"

    def how(self, path: str) -> tuple[str, bool]:
        return self.rng.choice(("", "merge", "overwrite")), path[0] != "w" and self.rng.randrange(8) == 0

    def publish(self) -> None:
        a, path = self.own_whole(), self.single()
        mode, persistent = self.how(path)
        attrs: dict[str, Any] = {
            "handle": f"{ndpool.handle(a):016x}", "shape": a.shape, "nested": {"pi": 3.25, "none": None, "ok": True},
        }  # fmt: skip
        if self.rng.randrange(10) == 0:
            attrs["long"] = " " * (1 << self.rng.randrange(14))
        if mode == "merge":
            top, _, name = path.partition("/")
            self.pool.publish({name: (a, attrs)}, top, persistent=persistent, merge=True)
        else:
            self.pool.put(path, a, attrs=attrs, persistent=persistent, overwrite=mode == "overwrite")

    def publish_tree(self) -> None:
        path = self.tree()
        mode, persistent = self.how(path)
        tree = {"a": self.own_whole(), "b": self.own_whole(), "g": {"c": self.own_whole()}}
        self.pool.publish(tree, path, persistent=persistent, **({mode: True} if mode else {}))

    def publish_for_now(self) -> None:
        """Publishes for the time of a with statement."""
        path = self.own() + "/now"
        with self.pool.publish({"a": self.own_whole(), "g": {"b": self.own_whole()}}, path, overwrite=True) as made:
            if list(made.names) != [path + "/a", path + "/g/b"]:
                raise Fault(f"published {made.names}")
            self.check(self.pool[path + "/g/b"])
        if path in self.pool:
            raise Fault(f"{path} is still there")

    def look_up(self) -> None:
        """Wants that array and attributes are of one moment, and keeps the array for a while."""
        self.make_room()
        path, readonly = self.single(), self.rng.randrange(3) == 0
        if self.rng.randrange(3) == 0:
            self.hold(self.pool[path])
            return
        item = self.pool.item(path, readonly=readonly)
        handle = f"{ndpool.handle(item.array):016x}"
        if item.attrs.get("handle") != handle or item.attrs["nested"]["pi"] != 3.25:
            raise Fault(f"name {path}: version {item.version}: array {handle}, attributes {item.attrs}")
        self.hold(item.array)

    def look_up_tree(self) -> None:
        path = self.tree()
        tree = self.pool.tree(path)
        if sorted(tree) != ["a", "b", "g"] or sorted(tree["g"]) != ["c"]:
            raise Fault(f"tree {path}: {sorted(tree)}")
        for a in (tree["a"], tree["b"], tree["g"]["c"]):
            self.check(a)

    def list(self) -> None:
        if self.rng.randrange(4) == 0:
            self.pool.entries()
            return
        path = self.tree()
        found = [x for x in self.pool.entries(path) if not x.group]
        if len(found) != 3 or len({x.version for x in found}) != 1:
            raise Fault(f"tree {path}: {[(x.path, x.version) for x in found]}")

    def set_attrs(self) -> None:
        attrs = self.pool.attrs(self.single())
        attrs["n"] = attrs.get("n", 0) + 1

    def remove(self) -> None:
        if self.rng.randrange(2):
            self.pool.remove(self.single())
            return
        path = self.tree()
        if (n := self.pool.remove(path, tree=True)) != 3:
            raise Fault(f"tree {path}: removed {n} names")

    def locked(self) -> None:
        """Changes two numbers one after the other, or looks at both."""
        self.with_lock(LOCK_WAIT)

    def try_locked(self) -> None:
        self.with_lock(0)

    def with_lock(self, timeout: float) -> None:
        path = f"l/{self.rng.randrange(LOCKED_NAMES)}"
        lock, xs = self.pool.lock(path), self.pool[path]
        write = self.rng.randrange(2) == 0
        side = lock if write else lock.shared
        if not side.acquire(timeout):
            return
        try:
            torn = side.torn
            if torn:
                self.worker.tally.add("torn")
            elif xs[0] != xs[1]:
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

    # -- streams and queues, as rings.go has them

    def end_ring(self) -> None:
        k = self.rng.randrange(STREAMS)
        ends: dict[int, Any] = self.rng.choice((self.writers, self.readers, self.queues))
        if k in ends:
            ends.pop(k).close()

    def publish_frame(self) -> None:
        k = self.rng.randrange(STREAMS)
        if k not in self.writers:
            self.writers[k] = self.pool.writer(f"r/s{k}", frames=3, lossless=k == 1)
        w = self.writers[k]
        if k == 1 and self.rng.randrange(10) == 0:
            w.await_readers(1, timeout=self.wait())
        a = w.empty(*self.spec())
        fill(a)
        w.publish(a, attributes={"handle": f"{ndpool.handle(a):016x}"}, timeout=self.wait())

    def read_frame(self) -> None:
        """Wants that frames are whole and come in their order."""
        self.make_room()
        k = self.rng.randrange(STREAMS)
        if k not in self.readers:
            every, from_now = self.rng.randrange(2) == 0, self.rng.randrange(2) == 0
            self.readers[k], self.last[k] = self.pool.reader(f"r/s{k}", every=every, from_now=from_now), 0
        r, how = self.readers[k], self.rng.randrange(3)
        f = r.newest() if how == 0 else r.latest(self.wait()) if how == 1 else r.next(self.wait())
        if f is None:
            return
        handle = f"{ndpool.handle(f.array):016x}"
        if f.attributes.get("handle") != handle or not ndpool.is_sealed(f.array):
            raise Fault(f"stream {k}: frame {f.sequence}: array {handle}, attributes {f.attributes}")
        if f.sequence < self.last[k] or (f.sequence == self.last[k] and how):
            raise Fault(f"stream {k}: frame {f.sequence} came after frame {self.last[k]}")
        self.last[k] = f.sequence
        self.hold(f.array)

    def wait(self) -> float:
        return 0.0 if self.worker.lockstep else RING_WAIT

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

    def shut(self) -> None:
        self.queue(1).shutdown()

    def put(self) -> None:
        k = self.rng.randrange(QUEUES)
        q = self.queue(k)
        try:
            self.put_into(q, k > 0)
        except errors.ShutDown:
            self.was_shut(k)

    def put_into(self, q: ndpool.Queue, more: bool) -> None:
        kind = self.rng.randrange(6)
        if kind == 0:
            q.put(pattern(BYTES_SEED, self.rng.randrange(3000)).tobytes(), timeout=self.wait())
        elif kind == 1:
            q.put_nowait(self.own_whole())
        elif kind == 2:
            q.put_many([self.own_whole() for _ in range(3)], timeout=self.wait())
        elif kind == 3 and more:
            q.put([self.any(), *self.rng.choices(self.held, k=2), "text"], timeout=self.wait())
        else:
            q.put(self.own_whole(), timeout=self.wait())

    def get(self) -> None:
        k = self.rng.randrange(QUEUES)
        q = self.queue(k)
        try:
            self.get_from(q)
        except errors.ShutDown:
            self.was_shut(k)

    def get_from(self, q: ndpool.Queue) -> None:
        if self.rng.randrange(3) == 0:
            items = [q.get_nowait()]
        else:
            items = q.get_many(1 + self.rng.randrange(3), timeout=self.wait())
        for item in items:
            self.worker.tally.add("item")
            for x in item if isinstance(item, list | tuple) else (item,):
                if isinstance(x, np.ndarray):
                    self.check(x)
                elif isinstance(x, bytes):
                    if x != pattern(BYTES_SEED, len(x)).tobytes():
                        raise Fault(f"bytes of an item: {len(x)}, not as they were put")
                elif x != "text":
                    raise Fault(f"item {item!r}")

    def own_queue(self) -> None:
        """Makes a queue without a name, uses it, and gives it to others, or one that it has is used."""
        if self.extra and self.rng.randrange(2):
            self.use_queue(self.rng.randrange(len(self.extra)))
            return
        q = self.pool.queue(maxsize=8)
        self.keep_queue(q)
        first = self.own_whole()
        q.put_many([first, self.own_whole()], timeout=self.wait())
        got = q.get_nowait()
        if ndpool.handle(got) != ndpool.handle(first):
            raise Fault(f"queue: put {ndpool.handle(first):016x}, got {ndpool.handle(got):016x}")
        self.say(f"t {transfer_text(q._core.send())}")

    def keep_queue(self, q: ndpool.Queue) -> None:
        self.extra.append(q)
        if len(self.extra) > 3:
            self.extra.pop(0).close()

    def use_queue(self, k: int) -> None:
        q, n = self.extra[k], self.rng.randrange(10)
        try:
            if n < 4:
                self.put_into(q, True)
            elif n < 8:
                self.get_from(q)
            elif n < 9:
                q.shutdown()
            else:
                self.extra.pop(k).close()
        except errors.ShutDown:
            self.extra.pop(k).close()

    def take_queue(self, t: bytes) -> None:
        """Adopts what turned out to be a queue, as a pickle of one does."""
        self.keep_queue(ndpool.Queue._of(self.pool._core.adopt_queue(t), None, True))
        self.worker.tally.add("adopted_queue")

    # -- pools

    def use_clone(self) -> None:
        """Opens the pool once more, hands arrays to that, or leaves it."""
        if self.clone is None:
            try:
                if self.rng.randrange(2) == 0:
                    self.clone = ndpool.Pool.open("", fd=self.pool.fileno())
                else:
                    self.clone = ndpool.Pool.open(POOL, dir=self.worker.dir)
            except errors.NotExistError:
                return  # somebody has unlinked it
            if self.clone.process == self.pool.process or self.clone.segment != self.pool.segment:
                raise Fault(f"clone: got process {process_text(self.clone.process)}, beside {process_text(self.pool.process)}")
            return
        c = self.clone
        if self.rng.randrange(10) == 0:
            self.close_clone()
            return
        t = self.pool.send(self.own_whole(), to=c.process)
        must_refuse("adopt what is for the clone", (errors.NotReceiverError, errors.RecalledError), lambda: self.pool.adopt(t))
        self.check(c.adopt(t))
        a = c.empty(1 + self.rng.randrange(500), np.uint64)
        fill(a)
        self.say(f"t {transfer_text(c.send(a))}")

    def close_clone(self) -> None:
        if self.clone is not None:
            self.clone.close()
        self.clone = None

    def use_second(self) -> None:
        """Opens or creates the second pool, uses it, or leaves it. Its name is unlinked now and then."""
        if self.second is None:
            self.second = ndpool.Pool("second", dir=self.worker.dir, **SECOND)
            if self.second.segment != self.known:
                self.known = self.second.segment
                self.worker.tally.add("second_new")
            return
        p, n = self.second, self.rng.randrange(20)
        if n < 1:
            self.close_second()
        elif n < 8 and len(self.second_held) < 10:
            a = p.empty(1 + self.rng.randrange(4000), np.uint64)
            fill(a)
            self.second_held.append(a)
            self.check(p.adopt(p.send(a)))
        elif n < 10 and self.second_held:
            p[f"x/{self.rng.randrange(SHARED_NAMES)}"] = self.rng.choice(self.second_held)
        elif n < 12:
            self.check(p[f"x/{self.rng.randrange(SHARED_NAMES)}"])
        elif n < 14 and self.held:
            a = self.any()
            must_refuse("send an array by another pool", errors.ForeignError, lambda: p.send(a))
            must_refuse("adopt a message of another pool", errors.ForeignError, lambda: p.adopt(self.foreign(a)))
        elif n < 15:
            p.reap()
        elif self.second_held:
            self.check(self.second_held.pop(self.rng.randrange(len(self.second_held))))

    def foreign(self, a: np.ndarray) -> bytes:
        """A message of a bare handle of this pool."""
        head = b"nd\x01\x01" + (32).to_bytes(4, "little") + self.pool.segment
        return head + ndpool.handle(a).to_bytes(8, "little") + bytes(8)

    def close_second(self) -> None:
        for a in self.second_held:
            self.check(a)
            del a
        self.second_held = []
        if self.second is not None:
            self.second.close()
        self.second = None

    # -- looking, files, and the rest

    def look(self) -> None:
        s = self.pool.stats()
        if s.free > s.capacity or s.held > s.capacity or s.arrays > s.array_limit or s.transfers > s.transfer_limit:
            raise Fault(f"stats: {s}")
        for x in self.pool.arrays():
            if x.bytes > x.extent or x.extent > s.capacity:
                raise Fault(f"array info: {x}")
        if not any(x.id == self.pool.process for x in self.pool.processes()):
            raise Fault(f"process {process_text(self.pool.process)} is not in the process table")
        self.pool.tickets()
        self.pool.rings()

    def verify(self) -> None:
        r = self.pool.verify(content=self.rng.randrange(8) == 0)
        if r.faults:
            raise Fault(f"{len(r.faults)} faults, first: {r.faults[0]}")

    def peek(self) -> None:
        try:
            p = ndpool.Pool.peek(POOL, dir=self.worker.dir)
        except errors.NotExistError:
            return  # somebody has unlinked it
        try:
            if p.segment == self.pool.segment and p.condition() != "live":
                raise Fault(f"peek: pool is {p.condition()}, and this process is attached")
            p.stats(), p.arrays(), p.processes(), p.tickets(), p.entries()
        finally:
            p.close()

    def file(self) -> None:
        """Writes an array as numpy's files, and reads it again."""
        a = self.own_whole()
        place = tempfile.mkdtemp(prefix="npy-", dir=self.worker.dir)
        try:
            if self.rng.randrange(2):
                path = os.path.join(place, "a.npy")
                npy.save(a, path)
                b = npy.load(self.pool, path)
            else:
                path, prefix = os.path.join(place, "a.npz"), self.own() + "/npz"
                npy.save_npz({"x": a, "g": {"y": a}}, path, progress=False)
                npy.load_npz(self.pool, path, prefix, progress=False)
                b = self.pool[prefix + "/g/y"]
                self.pool.remove(prefix, tree=True)
            if b.dtype != a.dtype or b.shape != a.shape or not _core.is_whole(b):
                raise Fault(f"copy of {a.dtype} {a.shape}: got {b.dtype} {b.shape}")
            self.worker.tally.checked(check(b, ndpool.handle(a)))
        except OSError as e:
            if e.errno is not None or "requested and" not in str(e):
                raise
            self.worker.tally.fail("nospace")  # numpy's tofile, on a full file system
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def trim(self) -> None:
        self.pool.trim()

    def reap(self) -> None:
        self.pool.reap()

    def sleep(self) -> None:
        time.sleep(self.rng.random() * 0.002)

    def pause(self) -> None:
        if not self.worker.lockstep and self.rng.randrange(3) == 0:
            time.sleep(self.rng.random() * 0.001)

    def say(self, line: str) -> None:
        self.worker.say(line)

    def remark(self, text: str) -> None:
        self.note += " " + text

    # -- fork and exec

    def fork(self) -> None:
        """Forks. The child works on with what it has inherited, beside its parent and its parent's threads."""
        bury_children()
        with self.worker.saying, self.worker.events.lock, self.worker.tally.lock:  # or the child has them for ever
            pid = os.fork()
            if pid == 0:
                self.worker.saying = threading.Lock()
                self.worker.events.lock = threading.Lock()
                self.worker.tally.lock = threading.Lock()
                self.worker.input = Input("")  # whose thread there is none of; another thread may have been inside
        if pid == 0:
            code = 3
            try:
                code = self.child()
            finally:
                os._exit(code)
        if self.rng.randrange(2):
            os.waitpid(pid, os.WNOHANG)

    def child(self) -> int:
        """What a child does: its holds are its own, whatever happens to its parent."""
        parent, until = os.getppid(), time.monotonic() + self.rng.random() * CHILD_LIFE
        self.rng.seed(self.worker.seed * 1000 + os.getpid())
        os.close(0)
        try:
            self.writers, self.readers, self.clone, self.sent = {}, {}, None, []  # the parent's alone
            for lane in self.worker.lanes:
                for a in lane.held:
                    if lane is self or _core.block_of(a) is not None:  # else it was just being sealed there
                        self.check(a)
            self.worker.plant = ""
            self.worker.no |= {"fork", "exec"}
            turns = self.rng.randrange(40)
            while turns and time.monotonic() < until and os.getppid() == parent:
                turns -= 1
                if not self.pool.forked:
                    self.turn()
            if self.rng.randrange(3) == 0:
                self.writers, self.readers, self.queues, self.extra, self.second_held = {}, {}, {}, [], []
                for lane in self.worker.lanes:
                    lane.held = []
                self.pool.close()
        except errors.ForkedError:
            pass
        except BrokenPipeError:
            pass  # all is over
        except BaseException as e:
            print(f"torture: child {os.getpid()} of seed {self.worker.seed}: {e!r}", file=sys.stderr)
            return 3
        if self.rng.randrange(2):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def process(self) -> None:
        """Lets a process of multiprocessing send an array back, by its handle in a pickle."""
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        a = self.own_whole()

        def work() -> None:
            os.close(0)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            check(a)
            theirs.send(a)
            b = self.pool.empty(1000, np.uint16)
            fill(b)
            theirs.send(b)

        def child() -> None:
            try:
                work()
            except (errors.ForkedError, ConnectionError):
                pass  # there was no slot for it, or all is over
            except Exception as e:
                if expected(e) is None:
                    raise

        p = context.Process(target=child)
        p.start()
        theirs.close()
        try:
            for _ in range(2):
                if not ours.poll(0.5):
                    return
                self.check(ours.recv())
        except (EOFError, ConnectionError):
            return  # it has died
        finally:
            ours.close()
            p.kill()

    def exec(self) -> None:
        """Begins a new life in the same process: see work_exec.go."""
        w = self.worker
        rest = w.input.take()
        if rest is None:
            return
        text = json.dumps({**w.config, "seed": w.seed + 1, "again": True, "rest": rest})
        w.count()
        w.say(f"x {w.seed + 1}")
        w.saying.acquire()  # no other lane is in the middle of a line
        os.execve(sys.executable, sys.orig_argv, {**os.environ, ENV: text})

    # -- the end

    def handles(self) -> list[str]:
        """Those of all blocks of the pool that the lane holds."""
        found = [f"{ndpool.handle(a):016x}" for a in self.held]
        for q in (*self.queues.values(), *self.extra):
            found.append(f"{int.from_bytes(self.queue_transfer(q)[:8], 'little'):016x}")
        return found

    def queue_transfer(self, q: ndpool.Queue) -> bytes:
        """A transfer of a queue that is taken back at once: there is no other way to learn its handle."""
        t = q._core.send()
        self.pool.recall(t)
        return t

    def close_streams(self) -> None:
        for ends in self.writers, self.readers:
            for x in ends.values():
                x.close()
            ends.clear()

    def close_others(self) -> None:
        self.close_clone()
        self.close_second()

    def leave(self) -> None:
        self.close_streams()
        self.close_others()
        for q in (*self.queues.values(), *self.extra):
            q.close()
        while self.held:
            self.release()


class Op:
    """A kind of operation: see work_step.go."""

    def __init__(
        self, name: str, weight: int, do: Callable[[Lane], None], group: str = "", waits: bool = False, timely: bool = False,
        empty: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.weight, self.do = name, weight, do
        self.group = group  #: leaves it out, if it is told so
        self.waits = waits  #: on purpose, so that it is no stall
        self.timely = timely  #: rests on time, so that it is left out in lockstep
        self.empty = empty  #: can be done without any array


OPS: Final = (
    Op("alloc", 250, Lane.alloc, empty=True),
    Op("alloc_wait", 5, Lane.alloc_wait, waits=True, timely=True, empty=True),
    Op("private", 40, Lane.private, empty=True),
    Op("flood", 1, Lane.flood, empty=True),
    Op("release", 250, Lane.release),
    Op("check", 50, Lane.check_any),
    Op("retain", 20, Lane.retain_again),
    Op("seal", 20, Lane.seal),
    Op("hash", 10, Lane.check_hash),
    Op("view", 40, Lane.view),
    Op("handle", 60, Lane.give_handle),
    Op("send", 120, Lane.send),
    Op("sendto", 60, Lane.send_to),
    Op("recall", 15, Lane.recall),
    Op("recall_older", 5, Lane.recall_older, empty=True),
    Op("refuse", 5, Lane.refuse, empty=True),
    Op("forge", 40, Lane.forge),
    Op("publish", 30, Lane.publish),
    Op("publish_tree", 15, Lane.publish_tree),
    Op("publish_now", 5, Lane.publish_for_now),
    Op("lookup", 30, Lane.look_up, empty=True),
    Op("lookup_tree", 15, Lane.look_up_tree, empty=True),
    Op("list", 10, Lane.list, empty=True),
    Op("attrs", 15, Lane.set_attrs, empty=True),
    Op("remove", 15, Lane.remove, empty=True),
    Op("lock", 20, Lane.locked, waits=True, timely=True, empty=True),
    Op("trylock", 10, Lane.try_locked, empty=True),
    Op("end_ring", 6, Lane.end_ring, empty=True),
    Op("frame_put", 30, Lane.publish_frame, waits=True, empty=True),
    Op("frame_get", 30, Lane.read_frame, waits=True, empty=True),
    Op("queue_put", 25, Lane.put, waits=True),
    Op("queue_get", 30, Lane.get, waits=True, empty=True),
    Op("queue_own", 8, Lane.own_queue, waits=True),
    Op("shut", 1, Lane.shut, empty=True),
    Op("file", 6, Lane.file, group="files"),
    Op("clone", 10, Lane.use_clone, group="clone"),
    Op("second", 15, Lane.use_second, group="second", empty=True),
    Op("peek", 2, Lane.peek),
    Op("look", 6, Lane.look, empty=True),
    Op("verify", 2, Lane.verify, empty=True),
    Op("trim", 2, Lane.trim, empty=True),
    Op("reap", 2, Lane.reap, empty=True),
    Op("sleep", 6, Lane.sleep, waits=True, timely=True, empty=True),
    Op("fork", 10, Lane.fork, group="fork"),
    Op("process", 2, Lane.process, group="fork", waits=True),
    Op("exec", 1, Lane.exec, group="exec", empty=True),
)

FORGERIES: Final = (
    Lane.wrong_nonce, Lane.wrong_ticket, Lane.wrong_handle, Lane.foreign_segment, Lane.broken_message, Lane.twice,
    Lane.foreign_granule, Lane.other_generation, Lane.dead_receiver, Lane.second_reference, Lane.store_sealed, Lane.bad_spec,
    Lane.too_large, Lane.wrong_path, Lane.group, Lane.not_locked, Lane.bad_attrs, Lane.bad_name, Lane.other_options,
)  # fmt: skip


def main() -> int:
    faulthandler.enable()
    config = json.loads(os.environ[ENV])
    try:
        Worker(config).run()
    except BaseException as e:
        print(f"torture: python worker of seed {config['seed']}, process {os.getpid()}: {e!r}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code) if code else sys.exit(0)
