"""Every class of ndpool.errors is provoked, through what users call."""

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors

MB = 1 << 20
LOCK, BOOT = 4096, 4096 + 144  # offsets of a pool's words: see docs/FORMAT.md
FORGED = (5).to_bytes(4, "little") + (7).to_bytes(4, "little")


class Scene:
    """A small pool with two attachments, and a directory of the test's own."""

    def __init__(self, dir: Path, p: ndpool.Pool, other: ndpool.Pool) -> None:
        self.dir, self.p, self.other = dir, p, other

    def child(self, program: str) -> None:
        """Runs a program that has the pool as p. It ends by SIGKILL."""
        head = f"import os, signal, ndpool; p = ndpool.Pool.open({self.p.name!r}, dir={str(self.dir)!r})\n"
        code = head + program + "\nos.kill(os.getpid(), signal.SIGKILL)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == -signal.SIGKILL, done.stderr

    @contextmanager
    def poked(self, at: int, value: bytes) -> Iterator[None]:
        """Has other bytes in the pool's file for a while."""
        with open(self.p.path, "r+b", buffering=0) as f:
            old = os.pread(f.fileno(), len(value), at)
            os.pwrite(f.fileno(), value, at)
            try:
                yield
            finally:
                os.pwrite(f.fileno(), old, at)

    def mount(self, kind: str, *options: str) -> Path:
        """Returns a directory with a file system of its own."""
        at = self.dir / "mounted"
        at.mkdir()
        done = subprocess.run(["mount", "-t", kind, *options, kind, str(at)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"SKIPPED: CANNOT MOUNT {kind} ({done.stderr.strip()}): an error is not provoked")
        return at


@pytest.fixture
def scene(name: str) -> Iterator[Scene]:
    dir = Path("/dev/shm") / f"{name}-every"
    dir.mkdir()
    options = {
        "capacity": MB,
        "arrays": 64,
        "tickets": 8,
        "names": 16,
        "processes": 6,
        "grace": 0.01,
        "lock_wait": 0.3,
        "dir": dir,
    }
    p = ndpool.Pool.create("every", **options)  # type: ignore[arg-type]
    other = ndpool.Pool.open("every", dir=dir)
    yield Scene(dir, p, other)
    for each in (other, p):
        each.close()
    subprocess.run(["umount", "-l", str(dir / "mounted")], capture_output=True)
    for left in dir.iterdir():
        left.rmdir() if left.is_dir() and not left.is_symlink() else left.unlink()
    dir.rmdir()


Provocation = Callable[[Scene], object]
TABLE: dict[type[errors.NdpoolError], tuple[str, Provocation]] = {}


def provokes(cls: type[errors.NdpoolError], says: str = "") -> Callable[[Provocation], Provocation]:
    def note(f: Provocation) -> Provocation:
        assert cls not in TABLE
        TABLE[cls] = (says, f)
        return f

    return note


@provokes(errors.AccessError, "link")
def _(s: Scene) -> object:
    (s.dir / "link").symlink_to(s.p.path)
    return ndpool.Pool.open("link", dir=s.dir)


@provokes(errors.AttributesError, r"k")
def _(s: Scene) -> object:
    return s.p.put("x", s.p.zeros(3), attrs={"k": object()})


@provokes(errors.ClosedError)
def _(s: Scene) -> object:
    s.other.close()
    return s.other.zeros(3)


@provokes(errors.CorruptError, r"200\b.*64")
def _(s: Scene) -> object:
    a = s.p.zeros(12345, np.uint8)
    h = s.p.handle(a)
    at = Path(s.p.path).read_bytes().index(struct.pack("<QQI", 0x0000_0001_0000_0075, 12345, 1)) + 16
    with s.poked(at, struct.pack("<I", 200)):
        return s.other.retain(h)


@provokes(errors.DTypeError, "object")
def _(s: Scene) -> object:
    return s.p.array([object()])


@provokes(errors.DeadError)
def _(s: Scene) -> object:
    return s.p.send(s.p.zeros(3), s.p.process + (1 << 32))


@provokes(errors.DescriptorError, r"descriptor \d+")
def _(s: Scene) -> object:
    program = """
import errno, ndpool
st, null = os.stat(p.path), os.open(os.devnull, os.O_RDWR)
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        is_ours = os.path.samestat(os.fstat(fd), st)
    except OSError:
        continue
    if is_ours:
        os.dup2(null, fd)
try:
    p.fileno()
except ndpool.errors.DescriptorError as e:
    open(os.path.dirname(p.path) + "/told", "w").write(f"{e.errno} {e}")
"""
    s.child(program)
    number, _, text = (s.dir / "told").read_text().partition(" ")
    raise errors.DescriptorError(text, errno=int(number))  # what was raised in the child


@provokes(errors.ExistError, "every")
def _(s: Scene) -> object:
    return ndpool.Pool.create("every", dir=s.dir)


@provokes(errors.ExpiredError, r"nonce \d+ asked")
def _(s: Scene) -> object:
    t = s.other.send(s.other.arange(3))
    s.other.close()
    time.sleep(0.03)
    return s.p.adopt(t)


@provokes(errors.FilesystemError, "fallocate")
def _(s: Scene) -> object:
    return ndpool.Pool.create("x", dir=s.mount("ramfs"), capacity=MB)  # which has no fallocate


@provokes(errors.ForeignError)
def _(s: Scene) -> object:
    return s.p.retain(0xFFFF_FFFF_FFFF_FFF0)


@provokes(errors.ForgedError, r"nonce \d+ asked")
def _(s: Scene) -> object:
    return s.p.adopt(s.p.send(s.p.zeros(3))[:8] + FORGED)


@provokes(errors.ForkedError)
def _(s: Scene) -> object:
    program = """
one = ndpool.Pool.anonymous(capacity=1 << 20, processes=1)
pid = os.fork()
if pid == 0:
    try:
        one.zeros(3)
    except ndpool.errors.ForkedError as e:
        open(os.path.dirname(p.path) + "/told", "w").write(str(e))
    os._exit(0)
os.waitpid(pid, 0)
"""
    s.child(program)
    raise errors.ForkedError((s.dir / "told").read_text())


@provokes(errors.FormatError, r"got .*expected")
def _(s: Scene) -> object:
    (s.dir / "junk").write_bytes(bytes(100_000))
    return ndpool.Pool.open("junk", dir=s.dir)


@provokes(errors.FullError, r"\d+ of 1048576 bytes free")
def _(s: Scene) -> object:
    return s.p.empty(10 * MB, np.uint8)


@provokes(errors.GroupError, "g")
def _(s: Scene) -> object:
    s.p["g/x"] = np.zeros(3)
    return s.p["g"]


@provokes(errors.HashError)
def _(s: Scene) -> object:
    a = s.p.seal(s.p.full(1000, 77, np.uint8), hash=True)
    with s.poked(Path(s.p.path).read_bytes().index(b"M" * 1000) + 9, b"x"):
        return ndpool.check_hash(a)


@provokes(errors.HeldError)
def _(s: Scene) -> object:
    a = s.p.zeros(3)
    b = s.other.adopt(s.p.send(a))
    return s.p.seal(a), b


@provokes(errors.KindError, "q")
def _(s: Scene) -> object:
    q = s.p.queue("q", maxsize=4)
    return s.other["q"], q


@provokes(errors.LockTimeoutError, r"process \d+ \(slot 1\) has kept the lock")
def _(s: Scene) -> object:
    a, slot, life = s.p.zeros(3), 1, s.other.process >> 32
    with ndpool.Pool.open("every", dir=s.dir) as third, s.poked(LOCK, struct.pack("<I", (slot + 1) | life << 9 & 0xFFFF_FFFF)):
        return third.stats(), third.send(third.zeros(3)), a


@provokes(errors.MessageError, "3")
def _(s: Scene) -> object:
    return s.p.adopt(b"xyz")


@provokes(errors.MismatchError)
def _(s: Scene) -> object:
    return ndpool.send(np.zeros(3))


@provokes(errors.NameTakenError, "x")
def _(s: Scene) -> object:
    s.p.put("x", np.zeros(3))
    return s.p.put("x", np.zeros(3), overwrite=False)


@provokes(errors.NoMemoryError, r"bytes free of 65536")
def _(s: Scene) -> object:
    return ndpool.Pool.create("x", dir=s.mount("tmpfs", "-o", "size=64k"), capacity=MB)


@provokes(errors.NoNameError, "none")
def _(s: Scene) -> object:
    return s.p["none"]


@provokes(errors.NotExistError, "none")
def _(s: Scene) -> object:
    return ndpool.Pool.open("none", dir=s.dir)


@provokes(errors.NotLockedError)
def _(s: Scene) -> object:
    s.p["x"] = np.zeros(3)
    return s.p.lock("x").release()


@provokes(errors.NotReceiverError)
def _(s: Scene) -> object:
    return s.other.adopt(s.p.send(s.p.zeros(3), s.p.process))


@provokes(errors.NotSenderError)
def _(s: Scene) -> object:
    return s.other.recall(s.p.send(s.p.zeros(3)))


@provokes(errors.OptionsError, "tickets")
def _(s: Scene) -> object:
    return ndpool.Pool.open("every", dir=s.dir, tickets=9999)


@provokes(errors.PathError)
def _(s: Scene) -> object:
    return s.p["a/../b"]


@provokes(errors.PoolNameError)
def _(s: Scene) -> object:
    return ndpool.Pool("a/b", dir=s.dir)


@provokes(errors.PrivateError)
def _(s: Scene) -> object:
    a = s.p.zeros(3)
    return s.other.retain(s.other.arrays()[0].handle), a


@provokes(errors.ProcessesError, "6")
def _(s: Scene) -> object:
    kept = []
    while True:
        kept.append(ndpool.Pool.open("every", dir=s.dir))


@provokes(errors.RecalledError)
def _(s: Scene) -> object:
    t = s.p.send(s.p.zeros(3))
    s.p.recall(t)
    return s.p.adopt(t)


@provokes(errors.SealedError)
def _(s: Scene) -> object:
    return s.p.seal(s.p.seal(s.p.zeros(3)))


@provokes(errors.ShutDown)
def _(s: Scene) -> object:
    q = s.p.queue("q", maxsize=4)
    q.shutdown()
    return q.put(np.zeros(3))


@provokes(errors.SpecError)
def _(s: Scene) -> object:
    return s.p.empty((1 << 40, 1 << 40), np.float64)


@provokes(errors.SpentError)
def _(s: Scene) -> object:
    t = s.p.send(s.p.zeros(3))
    return s.p.adopt(t), s.p.adopt(t)


@provokes(errors.StaleError, r"generation \d+ asked, \d+ found")
def _(s: Scene) -> object:
    return s.p.retain(s.p.handle(s.p.zeros(3)))


@provokes(errors.StreamEnded)
def _(s: Scene) -> object:
    w, r = s.p.writer("s"), s.other.reader("s")
    w.close()
    return r.next(timeout=10)


@provokes(errors.SystemCallError, "Not a directory")
def _(s: Scene) -> object:
    return ndpool.Pool.create("x", dir=s.p.path)


@provokes(errors.TableFullError, "all 8 in use")
def _(s: Scene) -> object:
    a = s.p.zeros(3)
    return [s.p.send(a) for _ in range(9)]


@provokes(errors.TooLongError, "4")
def _(s: Scene) -> object:
    return s.p.queue("q", maxsize=4).put([s.p.zeros(100) for _ in range(9)])


@provokes(errors.UncleanError, "slot")
def _(s: Scene) -> object:
    s.child("left = ndpool.Pool.create('left', dir=os.path.dirname(p.path), capacity=1 << 20)")
    with open(s.dir / "left", "r+b") as f:
        f.seek(BOOT)
        f.write(b"another boot's  ")
    return ndpool.Pool.open("left", dir=s.dir)


@provokes(errors.UnsupportedError)
def _(s: Scene) -> object:
    np.save(s.dir / "objects.npy", np.array([object()]), allow_pickle=True)
    return ndpool.npy.load(s.p, s.dir / "objects.npy")


@provokes(errors.VersionError, r"others changed it \d+ times")
def _(s: Scene) -> object:
    class Restless(dict[str, int]):
        """Each time it is stored, somebody else has changed the name meanwhile."""

        def items(self) -> Any:
            others["n"] = others.get("n", 0) + 1
            return super().items()

    s.p["x"] = np.zeros(3)
    others = s.other.attrs("x")
    s.p.attrs("x")["k"] = Restless(a=1)
    return None


@provokes(errors.WaitTimeoutError)
def _(s: Scene) -> object:
    s.p.writer("s").close()
    return s.other.reader("s", from_now=True).next(timeout=0.01)


@provokes(errors.WriterDied)
def _(s: Scene) -> object:
    s.p.writer("s").close()
    r = s.p.reader("s", from_now=True)
    s.child("w = p.writer('s')")
    return r.next(timeout=10)


@provokes(errors.WriterError, r"process \d+ \(slot 0\) writes it")
def _(s: Scene) -> object:
    w = s.p.writer("s")
    return s.other.writer("s"), w


BASES = {errors.NdpoolError, errors.TransferError}


def test_every_class_has_a_provocation() -> None:
    classes = {getattr(errors, name) for name in errors.__all__}
    assert classes - BASES == set(TABLE), "classes that no test provokes, or that are none"


@pytest.mark.parametrize("cls", sorted(TABLE, key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_provoked(scene: Scene, cls: type[errors.NdpoolError]) -> None:
    says, provoke = TABLE[cls]
    with pytest.raises(cls, match=says or ".") as e:
        provoke(scene)
    assert type(e.value) is cls and e.value.message and cls.__doc__
    standard: Any = next(b for b in cls.__mro__ if b.__module__ == "builtins" and b is not Exception)
    with pytest.raises(standard):
        raise e.value
    if issubclass(cls, OSError) and cls is not errors.StreamEnded:
        assert e.value.errno
