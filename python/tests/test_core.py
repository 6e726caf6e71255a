"""The extension module alone, with hooks of a few lines: a second instance of the module, so that the package's own hooks
stay as they are."""

from __future__ import annotations

import copy
import gc
import importlib.machinery
import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest


def load() -> Any:
    """Returns an instance of the module that nobody else has."""
    package = importlib.util.find_spec("ndpool")
    assert package is not None and package.submodule_search_locations is not None
    found = importlib.machinery.PathFinder.find_spec("_core", list(package.submodule_search_locations))
    assert found is not None and found.origin is not None
    loader = importlib.machinery.ExtensionFileLoader("ndpool._core", found.origin)
    spec = importlib.util.spec_from_loader("ndpool._core", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


core = load()
UNITS = ("generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")


class CoreError(Exception):
    """What the error hook of these tests makes."""

    def __init__(self, status: str, message: str, numbers: dict[str, int]) -> None:
        super().__init__(message)
        self.status, self.numbers = status, numbers


def code_of(dtype: np.dtype[Any]) -> int:
    order = {"|": 0, "<": 1, ">": 2, "=": 1 if sys.byteorder == "little" else 2}[dtype.byteorder]
    if dtype.kind in "Mm":
        unit, multiple = np.datetime_data(dtype)
        return ord(dtype.kind) | order << 8 | UNITS.index(unit) << 16 | multiple << 32
    if dtype.kind not in "biufcSUV" or dtype.str == "<f16":
        raise TypeError(f"no code for {dtype}")
    return ord(dtype.kind) | order << 8 | dtype.itemsize << 32


def encode(dtype: np.dtype[Any]) -> tuple[int, bytes]:
    if dtype.names is None:
        return code_of(dtype), b""
    fields = [[name, dtype.fields[name][0].str, dtype.fields[name][1]] for name in dtype.names]  # type: ignore[index]
    text = json.dumps({"itemsize": dtype.itemsize, "fields": fields}, separators=(",", ":"))
    return code_of(np.dtype((np.void, dtype.itemsize))) | 1 << 24, text.encode()


def decode(code: int, record: bytes) -> np.dtype[Any]:
    if record:
        d = json.loads(record)
        names, formats, offsets = zip(*d["fields"], strict=True)
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": d["itemsize"]})
    kind, size = chr(code & 255), code >> 32
    sign = "|<>"[code >> 8 & 255]
    if kind in "Mm":
        return (
            np.dtype(f"{sign}{kind}8[{size}{UNITS[code >> 16 & 255]}]")
            if code >> 16 & 255
            else np.dtype(f"{sign}{kind}8")
        )
    return np.dtype(f"{sign}{kind}{size // 4 if kind == 'U' else size}")


attached: list[Any] = []


def attach(segment: bytes, path: str) -> Any:
    folder, name = os.path.split(path)
    attached.append(core.Pool(name, "open", dir=folder))
    return attached[-1]


core.set_hooks(error=CoreError, attach=attach, encode=encode, decode=decode)

MB = 1 << 20


@pytest.fixture
def name() -> Iterator[str]:
    word = f"ndpool-test-{uuid.uuid4().hex}"
    yield word
    attached.clear()
    gc.collect()
    try:
        os.unlink(f"/dev/shm/{word}")
    except FileNotFoundError:
        pass


@pytest.fixture
def pool(name: str) -> Iterator[Any]:
    p = core.Pool(name, "create", capacity=32 * MB)
    yield p
    if not p.closed:
        gc.collect()
        faults = p.verify()["faults"]
        p.close()
        assert faults == []


def refused(status: str) -> Any:
    return pytest.raises(CoreError, check=lambda e: e.status == status)


# ---- pools


def test_pool_is_what_was_asked_for(name: str) -> None:
    before = time.time()
    p = core.Pool(
        name,
        "create",
        capacity=MB,
        arrays=2048,
        processes=7,
        tickets=64,
        names=32,
        mode=0o640,
        grace=1.5,
        lock_wait=0.25,
    )
    assert p.path == f"/dev/shm/{name}"
    assert len(p.segment) == 16 and not p.closed and p.process != 0
    assert before - 1 <= p.created <= time.time() + 1
    assert p.options() == {
        "capacity": MB, "arrays": 2048, "processes": 7, "tickets": 64, "names": 32, "mode": 0o640, "grace": 1.5,
        "lock_wait": 0.25, "persistent": False, "reserve": False, "huge_pages": False, "anonymous": False,
    }  # fmt: skip
    fd = p.fileno_dup()
    assert os.fstat(fd).st_ino == os.stat(p.path).st_ino
    os.close(fd)
    q = core.Pool(name, "open")
    assert q.segment == p.segment and q.process != p.process and q.alive(p.process)
    assert core.Pool(name, "open_or_create", capacity=MB).segment == p.segment
    q.close()
    q.close()
    assert q.closed and not p.closed


def test_pool_goes_with_its_last_reference(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB)
    a = p.empty(8)
    del p
    assert os.path.exists(f"/dev/shm/{name}")
    a[:] = 7
    assert a.base.pool.path == f"/dev/shm/{name}"
    del a
    assert not os.path.exists(f"/dev/shm/{name}")


def test_closed_pool(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB)
    a = p.empty(3)
    a[:] = 1
    p.close()
    assert p.closed and p.options()["capacity"] == MB
    with refused("closed"):
        p.empty(3)
    with refused("closed"):
        core.send(a)
    assert core.reduce(a) is None
    assert a.sum() == 3
    del a
    with refused("closed"):
        p.stats()


def test_wrong_ways_to_a_pool(name: str, tmp_path: Any) -> None:
    with refused("not-exist"):
        core.Pool(name, "open")
    core_pool = core.Pool(name, "create", capacity=MB)
    with refused("exist"):
        core.Pool(name, "create")
    with refused("options"):
        core.Pool(name, "open", capacity=2 * MB)
    for bad in ({"capacity": -1}, {"grace": -1.0}, {"grace": float("nan")}, {"fd": 0}):
        with pytest.raises(ValueError):
            core.Pool(name, "open", **bad)
    with pytest.raises(ValueError, match="how must be"):
        core.Pool(name, "make")
    with pytest.raises(ValueError):
        core.Pool("a\0b", "open")
    with pytest.raises(TypeError):
        core.Pool(name)
    with pytest.raises(OverflowError):
        core.Pool(name, "open", uids=[1 << 32])
    assert core.Pool(name, "open", uids=[0, 1], gids=(5,)).segment == core_pool.segment


def test_anonymous_pool() -> None:
    p = core.Pool("", "create", capacity=MB, anonymous=True)
    assert p.options()["anonymous"]
    fd = p.fileno_dup()
    q = core.Pool("", "open", fd=fd)
    os.close(fd)
    assert q.segment == p.segment


def test_python_subclass(name: str) -> None:
    class Mine(core.Pool):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.args = args

    class Again(Mine):
        pass

    p = Again(name, "create", capacity=MB)
    assert p.args == (name, "create") and weakref.ref(p)() is p
    a = p.empty(2)
    assert a.base.pool is p
    dead = weakref.ref(p)
    p.me = p
    del p, a
    gc.collect()
    assert dead() is None


def test_unlink_and_reap(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB)
    core.unlink(name)
    with refused("not-exist"):
        core.unlink(name, dir="/dev/shm")
    assert p.empty(1).size == 1
    q = core.Pool(name, "create", capacity=MB)
    assert core.reap(name, dir=None) == {"processes": 0, "expired": 0, "removed": False}
    assert q.reap() == {"processes": 0, "expired": 0, "removed": False}
    assert q.trim() >= 0
    assert q.recall_older(0) == 0 and q.refuse(q.process) == 0


# ---- arrays

SHAPES = [
    0,
    1,
    5,
    (),
    (0,),
    (3, 0, 2),
    (2, 3),
    (4, 1, 5),
    (1,) * 10,
    (2,) * 10,
    [2, 3],
    (np.int64(2), np.int8(3)),
    range(3),
]


@pytest.mark.parametrize("order", ["C", "F", "A", "K", "c", "f"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_empty_is_like_numpys(pool: Any, shape: Any, order: str) -> None:
    same = order if order in "CFcf" else "C"
    for dtype in (
        float,
        np.float32,
        "i2",
        np.dtype(">u4"),
        None,
        bool,
        "S5",
        "U3",
        "M8[ms]",
        "m8[3D]",
        "V7",
        "c16",
        "S",
        "U",
        "S0",
    ):
        a, b = pool.empty(shape, dtype, order), np.zeros(shape, dtype, same)
        assert type(a) is np.ndarray
        assert (a.shape, a.dtype) == (b.shape, b.dtype) and (a.strides == b.strides or a.size == 0)
        assert a.flags.c_contiguous == b.flags.c_contiguous and a.flags.f_contiguous == b.flags.f_contiguous
        assert a.flags.writeable and a.flags.aligned and not a.flags.owndata
        block = a.base
        assert type(block) is core.Block and block is core.block_of(a) and block.pool is pool
        assert block.address == a.ctypes.data and block.nbytes == a.nbytes and not block.readonly
        a[...] = b
        assert np.array_equal(a, b)


def test_empty_takes_names_in_any_order(pool: Any) -> None:
    a = pool.empty(order="F", zero=True, dtype="i4", shape=(2, 3), timeout=None)
    assert a.flags.f_contiguous and a.dtype == "i4" and not a.any()
    assert pool.empty((2, 2), timeout=1).dtype == float
    name = b"shape".decode()  # not the interned one
    assert pool.empty(**{name: 3}).shape == (3,)


def test_empty_refuses(pool: Any) -> None:
    for args, kwargs in (
        ((), {}),
        ((1, float, "C", True, 0.0, 0), {}),
        ((1,), {"shape": 1}),
        ((1,), {"siz": 1}),
        (("ab",), {}),
        ((1.5,), {}),
    ):
        with pytest.raises(TypeError):
            pool.empty(*args, **kwargs)
    for shape in (-1, (2, -1)):
        with pytest.raises(ValueError, match="negative dimensions are not allowed"):
            pool.empty(shape)
    for kwargs in ({"order": "X"}, {"order": "CF"}, {"order": 3}, {"timeout": -1}, {"timeout": float("nan")}):
        with pytest.raises(ValueError):
            pool.empty(1, **kwargs)
    with pytest.raises(TypeError):
        pool.empty(1, object)
    with pytest.raises(TypeError):
        pool.empty(1, "no such dtype")
    with pytest.raises(OverflowError):
        pool.empty(1 << 70)
    with refused("spec"):
        pool.empty((1,) * 65)
    with refused("spec"):
        pool.empty((1 << 40, 1 << 40))
    assert pool.stats()["arrays"] == 0


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="numpy had 32 dimensions")
def test_many_dimensions(pool: Any) -> None:
    shape = (1,) * 62 + (3, 2)
    a = pool.empty(shape, "i4")
    a[...] = np.arange(6, dtype="i4").reshape(3, 2)
    assert len(core.send(a)) == 16
    b = pool.adopt(core.send(a))
    assert b.shape == shape and np.array_equal(a, b)
    c = pool.adopt(core.send(a[..., ::-1, :]))
    assert np.array_equal(c, a[..., ::-1, :])


def test_zero(pool: Any) -> None:
    for n in (100, 100_000, 3 * MB):
        a = pool.empty(n, "u1")
        a.fill(255)
        del a
        assert not pool.empty(n, "u1", zero=True).any()


def test_subarray_and_structured(pool: Any) -> None:
    a = pool.empty(3, np.dtype(("i4", (2, 5))))
    assert a.shape == (3, 2, 5) and a.dtype == "i4"
    point = np.dtype([("x", "<f4"), ("y", "<i2")])
    b = pool.empty((4, 2), point)
    b["x"], b["y"] = 1.5, 7
    c = pool.adopt(core.send(b))
    assert c.dtype == point and c.dtype.names == ("x", "y") and np.array_equal(b, c)
    v = pool.adopt(core.send(b[1:, ::-1]["y"]))
    assert v.dtype == "<i2" and v.shape == (3, 2) and (v == 7).all()
    w = pool.adopt(core.message(b[::2]))
    assert w.dtype == point and w.shape == (2, 2)
    assert pool.empty(2, np.dtype([("x", "i4")], align=True)).dtype.isalignedstruct
    assert not pool.empty(2, np.dtype([("x", "i4")])).dtype.isalignedstruct


def test_metadata_stays_with_its_dtype(pool: Any) -> None:
    noted = np.dtype("f8", metadata={"unit": "m"})
    for dtype, metadata in (
        (noted, {"unit": "m"}),
        ("f8", None),
        (float, None),
        (np.dtype("f8"), None),
        (noted, {"unit": "m"}),
    ):
        a = pool.empty(2, dtype)
        assert a.dtype.metadata == metadata
        assert (core.reduce(a) is None) == (metadata is not None)
    for t in pool.transfers():
        pool.recall(t["transfer"])


def test_memory_is_reused(pool: Any) -> None:
    a = pool.empty(1000)
    where, handle = a.ctypes.data, a.base.handle
    del a
    b = pool.empty(1000)
    assert b.ctypes.data == where and b.base.handle != handle


def test_full(pool: Any) -> None:
    keep = []
    with refused("full") as info:
        while True:
            keep.append(pool.empty(4 * MB, "u1"))
    numbers = info.value.numbers
    assert numbers["asked"] >= 4 * MB and numbers["capacity"] == 32 * MB and numbers["pid"] == os.getpid()
    begin = time.monotonic()
    with pytest.raises(CoreError):
        pool.empty(4 * MB, "u1", timeout=0.2)
    assert 0.19 <= time.monotonic() - begin < 5
    begin = time.monotonic()
    with refused("full"):
        pool.empty(64 * MB, "u1", timeout=None)  # no hope
    assert time.monotonic() - begin < 5


def test_wait_for_room(pool: Any) -> None:
    keep = [pool.empty(28 * MB, "u1")]
    timer = threading.Timer(0.2, keep.clear)
    timer.start()
    assert pool.empty(28 * MB, "u1", timeout=None).nbytes == 28 * MB
    timer.join()


def test_wait_is_ended_by_a_signal(pool: Any) -> None:
    class Alarm(Exception):
        pass

    def ring(*args: object) -> None:
        raise Alarm

    keep = pool.empty(28 * MB, "u1")
    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.15)
    try:
        with pytest.raises(Alarm):
            pool.empty(28 * MB, "u1", timeout=None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    del keep


# ---- blocks


def test_block(pool: Any) -> None:
    a = pool.empty(4, "u1")
    a[:] = [1, 2, 3, 4]
    block = a.base
    m = memoryview(block)
    assert bytes(m) == b"\1\2\3\4" and not m.readonly and m.obj is block
    m[0] = 9
    assert a[0] == 9
    with pytest.raises(TypeError):
        type(block)()
    with pytest.raises(TypeError):
        type("Sub", (type(block),), {})
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            way(block)
    with pytest.raises(AttributeError):
        block.handle = 0
    dead = weakref.ref(block)
    del a, block
    assert dead() is not None
    del m
    assert dead() is None
    assert pool.stats()["arrays"] == 0


def test_block_of(pool: Any) -> None:
    a = pool.empty((4, 6), "i4")
    block = a.base
    windows = np.lib.stride_tricks.sliding_window_view(a, (2, 2))
    views = [
        a, a[1:], a.T, a[::-1, ::-2], a[2, 3:4], a.reshape(-1), a.view("u1"), a[1:1], a[4:], a[..., None], a.view(np.matrix),
        windows, np.broadcast_to(a, (3, 4, 6)), np.asarray(memoryview(a)), np.frombuffer(block, "i4"), memoryview(a),
        memoryview(block)[3:5], block, np.lib.stride_tricks.as_strided(a, (2,), (4,)), a[0].real, np.ravel(a), a.flat.base,
    ]  # fmt: skip
    for v in views:
        assert core.block_of(v) is block
    far = np.lib.stride_tricks.as_strided(a, (1 << 40,), (1 << 40,))
    outside = np.lib.stride_tricks.as_strided(a, (2,), (4096,))
    released = memoryview(a)
    released.release()
    for x in (
        np.empty(3),
        a.copy(),
        a + 1,
        None,
        3,
        "text",
        [a],
        bytes(3),
        np.dtype("f4"),
        far,
        outside,
        released,
        a[0, 0],
    ):
        assert core.block_of(x) is None

    class Liar:
        def __init__(self, of: Any) -> None:
            self.private = np.zeros(3)
            self.base = of
            self.__array_interface__ = self.private.__array_interface__

    assert core.block_of(np.asarray(Liar(a))) is None

    class Endless:
        @property
        def base(self) -> Any:
            return Endless()

    assert core.block_of(Endless()) is None

    class Broken:
        @property
        def base(self) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        core.block_of(Broken())
    for f in (core.handle, core.is_sealed, core.is_private, core.check_hash, core.send, core.message, core.seal):
        with refused("mismatch"):
            f(np.zeros(3))
    assert core.reduce(np.zeros(3)) is None
    del views, windows, far, outside


def test_references(pool: Any) -> None:
    def rounds(work: Callable[[], Any]) -> None:
        work()
        before = [sys.getrefcount(x) for x in watched]
        for _ in range(200):
            work()
        assert [sys.getrefcount(x) for x in watched] == before
        assert pool.stats()["arrays"] == 0

    def failing(*args: Any, **kwargs: Any) -> None:
        with pytest.raises((CoreError, ValueError, TypeError)):
            pool.empty(*args, **kwargs)

    point = np.dtype([("x", "<f4")])
    shape = (3, 1000)
    watched = [
        pool,
        core.Block,
        core.Pool,
        None,
        point,
        np.dtype(float),
        np.dtype("f4"),
        shape,
        pool.path,
        pool.segment,
    ]
    watched = [x for x in watched if sys.getrefcount(x) < 1 << 29]  # others are immortal
    rounds(lambda: pool.empty(3))
    rounds(lambda: pool.empty(shape, point, "F", timeout=None))
    rounds(lambda: pool.empty([3], "f4", zero=True))
    rounds(lambda: pool.adopt(core.send(pool.empty(shape, point))))
    rounds(lambda: pool.adopt(core.send(pool.empty(shape, point)[1:])))
    rounds(lambda: core.rebuild(*core.reduce(pool.empty(shape, float))[1]))
    rounds(lambda: core.seal(pool.empty(shape, "f4"), True))
    rounds(lambda: [pool.retain(core.handle(a)) for a in [pool.empty(shape)]])
    rounds(lambda: core.block_of(pool.empty(3)[1:].reshape(1, 2)))
    rounds(lambda: (pool.arrays(), pool.processes(), pool.transfers(), pool.verify(), pool.options()))
    rounds(lambda: failing((1 << 40, 1 << 40), point))
    rounds(lambda: failing(-1))
    rounds(lambda: failing(3, object))
    rounds(lambda: failing(3, timeout=-1))


def test_threads(pool: Any) -> None:
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            kept = []
            for n in rng.integers(0, 5000, 400):
                a = pool.empty(int(n), "i4")
                a.fill(seed)
                kept.append(pool.adopt(core.send(a)) if n % 3 == 0 else a)
                if len(kept) > 10:
                    b = kept.pop(0)
                    assert (b == seed).all()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert pool.stats()["arrays"] == 0


# ---- transfers and messages


def test_send_and_adopt(name: str, pool: Any) -> None:
    other = core.Pool(name, "open")
    a = pool.empty((2, 3), "f4", "F")
    a[...] = np.arange(6).reshape(2, 3)
    assert core.is_private(a)
    t = core.send(a)
    assert len(t) == 16 and not core.is_private(a)
    assert [x["transfer"] for x in pool.transfers()] == [t]
    b = other.adopt(t)
    assert np.array_equal(a, b) and b.flags.f_contiguous and b.base.pool is other and b.base.handle == a.base.handle
    b[0, 0] = 99
    assert a[0, 0] == 99
    with refused("spent"):
        other.adopt(t)
    r = other.adopt(memoryview(core.send(a)), readonly=True)
    assert r.base.readonly and not r.flags.writeable and np.array_equal(r, a)
    with pytest.raises(ValueError):
        r.flags.writeable = True
    directed = core.send(a, other.process)
    with refused("not-receiver"):
        pool.adopt(directed)
    assert np.array_equal(other.adopt(directed), a)
    t = core.send(a)
    pool.recall(t)
    with refused("recalled"):
        other.adopt(t)
    for bad in (b"", b"x" * 15, b"x" * 17, b"x" * 40, b"nd" + bytes(38)):
        with refused("message"):
            other.adopt(bad)
    with pytest.raises(TypeError):
        core.send([a])
    with pytest.raises(TypeError):
        core.send()
    with pytest.raises(TypeError):
        core.send(a, "x")
    with refused("dead"):
        core.send(a, 12345)


def test_views_travel(name: str, pool: Any) -> None:
    other = core.Pool(name, "open")
    a = pool.empty((6, 8), ">i4")
    a[...] = np.arange(48).reshape(6, 8)
    for v in (
        a[1:], a[::-1], a[:, ::-3], a[2, 3], a[2:3, 3], a[1:1], a.T, a.reshape(-1), a.view("u1"), a.view("S4"), a[..., None],
        a[6:], np.broadcast_to(a[0], (5, 8)), a.view(np.matrix)[1:], a.reshape(2, 3, 2, 2, 2), a[5:, 7:], a[()], a[..., 0, 0],
    ):  # fmt: skip
        if not isinstance(v, np.ndarray):
            continue
        m = core.send(v)
        b = other.adopt(m)
        assert (b.shape, b.dtype) == (v.shape, v.dtype) and np.array_equal(b, v)
        assert type(b) is np.ndarray and core.block_of(b).handle == a.base.handle
        assert all(s == t for n, s, t in zip(v.shape, v.strides, b.strides, strict=True) if n > 1 and v.size)
    assert len(core.send(a)) == 16 and len(core.message(a)) == 40
    assert len(core.send(a[...])) == 16 and len(core.send(a.reshape(6, 8))) == 16
    assert len(core.send(a.reshape(8, 6))) > 40
    for t in pool.transfers():
        pool.recall(t["transfer"])
    m = core.message(a[2:])
    pool.recall(m)
    with refused("recalled"):
        other.adopt(m)


def test_bytes_are_never_trusted(name: str, pool: Any) -> None:
    """Each flip of a message is refused, or gives an array that lies within the block."""
    other = core.Pool(name, "open")
    a = pool.empty((4, 4), "i4", zero=True)
    m = core.message(a[1:, ::2])
    pool.recall(m)
    core.handle(a)
    bare = bytearray(m)
    bare[32:40] = bytes(8)
    assert np.array_equal(other.adopt(bare), a[1:, ::2])
    bounds = np.lib.array_utils.byte_bounds if hasattr(np.lib, "array_utils") else np.byte_bounds  # type: ignore[attr-defined]
    lo, hi = 0, a.nbytes
    accepted = 0
    for bit in range(8 * len(bare)):
        text = bytearray(bare)
        text[bit // 8] ^= 1 << bit % 8
        try:
            b = other.adopt(text)
        except (CoreError, ValueError, TypeError):
            continue
        accepted += 1
        first, behind = bounds(b) if b.size else (b.ctypes.data, b.ctypes.data)
        at = core.block_of(b).address
        assert lo <= first - at <= behind - at <= hi
    assert accepted > 0


def test_handles(name: str, pool: Any) -> None:
    other = core.Pool(name, "open")
    a = pool.empty(5, zero=True)
    with refused("private"):
        other.retain(a.base.handle)
    h = core.handle(a[1:])
    assert h == a.base.handle and not core.is_private(a)
    b = other.retain(h, readonly=True)
    assert np.array_equal(a, b) and not b.flags.writeable
    del a, b
    with refused("stale"):
        other.retain(h)
    with refused("foreign"):
        other.retain(3)
    for bad in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            other.retain(bad)
    with pytest.raises(TypeError):
        other.retain("3")


def test_reduce_and_rebuild(name: str, pool: Any) -> None:
    a = pool.empty((3, 4), "f4")
    a[...] = 5
    for v in (a, a[1:, ::-1], a.T, a[..., 0]):
        f, args = core.reduce(v)
        assert f == core.rebuild and args[1] == pool.path
        b = f(*args)
        assert np.array_equal(b, v) and core.block_of(b) is not core.block_of(a) and core.block_of(b).pool is pool
    for x in (
        a.view(np.matrix),
        np.ma.array(a),
        a.view(np.recarray),
        np.float32(3),
        None,
        a.view(np.dtype("f4", metadata={"a": 1})),
    ):
        assert core.reduce(x) is None
    odd = pool.empty(32, "u1")
    assert core.reduce(odd.view("f16")) is None  # the hook says so
    assert core.reduce(odd.view("c32")) is None  # the core says so
    assert [t for t in pool.transfers() if t["transfer"][:8] == odd.base.handle.to_bytes(8, "little")] == []
    with pytest.raises(TypeError):
        core.send(odd.view("f16"))
    with refused("message"):
        core.send(odd.view("c32"))
    with refused("message"):
        core.rebuild(b"x", "")
    with pytest.raises(TypeError):
        core.rebuild(core.message(a), 3)
    for t in pool.transfers():
        pool.recall(t["transfer"])


def test_rebuild_asks_for_the_pool(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB)
    a = p.empty(3, zero=True)
    twin = core.Pool(name, "open")  # holds the segment while p is closed
    b = twin.adopt(core.send(a))
    f, args = core.reduce(b)
    p.close()
    c = f(*args)
    assert len(attached) == 1 and c.base.pool is attached[0] and np.array_equal(a, c)
    f, args = core.reduce(b)
    assert f(*args).base.pool is attached[0] and len(attached) == 1

    def wrong(segment: bytes, path: str) -> Any:
        assert (segment, path) == (twin.segment, twin.path)
        return None

    attached.clear()
    del c
    core.set_hooks(error=CoreError, attach=wrong, encode=encode, decode=decode)
    try:
        f, args = core.reduce(b)
        with pytest.raises(TypeError, match="Pool"):
            f(*args)
    finally:
        core.set_hooks(error=CoreError, attach=attach, encode=encode, decode=decode)


# ---- sealing


def test_seal(name: str, pool: Any) -> None:
    other = core.Pool(name, "open")
    a = pool.empty((2, 3), "i4", "F")
    a[...] = [[1, 2, 3], [4, 5, 6]]
    held = pool.adopt(core.send(a))
    with refused("held"):
        core.seal(a)
    del held
    with refused("mismatch"):
        core.seal(a[1:])
    assert not core.is_sealed(a)
    s = core.seal(a, True)
    assert core.is_sealed(s) and not s.flags.writeable and s.base.readonly and s.flags.f_contiguous
    assert np.array_equal(s, [[1, 2, 3], [4, 5, 6]]) and s.base.address == s.ctypes.data
    assert core.block_of(a) is None
    del a
    core.check_hash(s)
    with refused("sealed"):
        core.seal(s)
    b = other.adopt(core.send(s))
    assert core.is_sealed(b) and not b.flags.writeable and np.array_equal(b, s)
    core.check_hash(b)
    v = other.adopt(core.send(s[1:]))
    assert not v.flags.writeable and np.array_equal(v, s[1:])
    c = core.seal(pool.empty(3, zero=True))
    with refused("mismatch"):
        core.check_hash(c)
    d = core.seal(pool.empty((2, 3), "u1", zero=True).reshape(-1), hash=True)
    assert d.shape == (6,)
    e = core.seal(pool.empty((0, 3)))
    assert e.shape == (0, 3)


# ---- inspection


def test_inspection(name: str, pool: Any) -> None:
    stats = pool.stats()
    assert ",".join(stats) == (
        "capacity,committed,live,held,cached,free,largest_free,tables,arrays,array_limit,retired,processes,"
        "process_limit,transfers,transfer_limit,names,name_limit,takeovers,sweeps,expired,stolen,lost,trimmed"
    )
    assert stats["capacity"] == 32 * MB and stats["arrays"] == 0 and stats["processes"] == 1
    point = np.dtype([("x", "<f4"), ("y", "<i2")])
    a, b = pool.empty((3, 5), "f4", "F"), pool.empty(7, point)
    t = core.send(b)
    by = {d["handle"]: d for d in pool.arrays()}
    d = by[a.base.handle]
    assert (d["shape"], d["dtype"], d["fortran"], d["bytes"], d["private"]) == ((3, 5), np.dtype("f4"), True, 60, True)
    assert d["extent"] >= 64 and d["offset"] >= 0 and not d["sealed"] and not d["hashed"] and not d["named"]
    d = by[b.base.handle]
    assert d["dtype"] == point and d["in_transit"] == 1 and len(d["holders"]) == 1 and not d["private"]
    [p] = pool.processes()
    assert p["id"] == pool.process and p["pid"] == os.getpid() and p["uid"] == os.getuid() and p["alive"] and p["self"]
    assert p["command"] and p["attached"] >= 0 and p["arrays"] == 2 and p["slot"] == d["holders"][0]
    [x] = pool.transfers()
    assert (
        x["transfer"] == t
        and x["sender"] == pool.process
        and x["receiver"] == 0
        and x["expires"] == 0
        and x["age"] >= 0
    )
    report = pool.verify(content=True)
    assert (
        report["faults"] == []
        and report["more"] == 0
        and report["arrays"] == 2
        and report["indexes"]
        and report["took"] >= 0
    )
    assert pool.stats()["transfers"] == 1
    snapshot = core.Pool(name, "peek")
    assert snapshot.condition() == "live" and snapshot.stats()["arrays"] == 2
    assert (
        {d["handle"] for d in snapshot.arrays()} == set(by)
        and len(snapshot.processes()) == 1
        and len(snapshot.transfers()) == 1
    )
    with refused("closed"):
        snapshot.empty(3)
    snapshot.close()
    pool.recall(t)


def test_persistent_pool_is_idle(name: str) -> None:
    core.Pool(name, "create", capacity=MB, persistent=True).close()
    assert core.Pool(name, "peek").condition() == "idle"
    core.unlink(name)


def test_faults_are_told(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB)
    a = p.empty((3, 4), "f4")
    h = core.handle(a)
    fd = p.fileno_dup()
    granule = h & 0xFFFFFFFF
    os.pwrite(fd, b"\xff" * 8, granule * 64 + 64)  # the dtype
    os.close(fd)
    report = p.verify()
    assert report["faults"] and all(set(f) == {"law", "place", "expected", "found"} for f in report["faults"])
    with pytest.raises(CoreError):
        p.retain(h)
    os.unlink(p.path)


# ---- processes


def in_child(work: Callable[[], None]) -> int:
    """Runs work in a forked child that ends as processes of multiprocessing do."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_fork(pool: Any) -> None:
    a = pool.empty(1000, "i4", zero=True)
    parent = pool.process
    r, w = os.pipe()

    def child() -> None:
        assert pool.process != parent and pool.alive(parent)
        a[0] = 42
        b = pool.empty(10, "i4")
        b[:] = 7
        os.write(w, core.send(b))

    assert in_child(child) == 0
    assert a[0] == 42
    b = pool.adopt(os.read(r, 16))
    assert (b == 7).all()
    os.close(r)
    os.close(w)
    pool.reap()
    assert pool.stats()["processes"] == 1 and pool.stats()["arrays"] == 2


def test_fork_without_a_place(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB, processes=1)
    a = p.empty(100)

    def child() -> None:
        nonlocal a
        with refused("forked"):
            p.empty(3)
        with refused("forked"):
            core.send(a)
        assert core.reduce(a) is None
        del a
        gc.collect()

    assert in_child(child) == 0
    a[:] = 1
    assert p.stats()["arrays"] == 1


def run(script: str, *args: str) -> tuple[int, str]:
    head = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_core
core = test_core.core
"""
    done = subprocess.run(
        [sys.executable, "-c", head + script, *args], check=False, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_leaving_at_the_end(name: str) -> None:
    """Arrays that are never dropped do not keep the pool when the process ends in order."""
    code, out = run(
        """
pool = core.Pool(sys.argv[1], "create", capacity=1 << 20)
kept = [pool.empty(100) for _ in range(10)]
sys.kept = kept
import builtins, ctypes
ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept[0]))
ctypes.pythonapi.Py_IncRef(ctypes.py_object(pool))
""",
        name,
    )
    assert (code, out) == (0, "")
    assert not os.path.exists(f"/dev/shm/{name}")


def test_at_exit(name: str) -> None:
    code, out = run(
        """
import os
pool = core.Pool(sys.argv[1], "create", capacity=1 << 20)
a = pool.empty(100)
core.at_exit()
print(os.path.exists(pool.path), pool.closed)
del a
core.at_exit()
del pool
""",
        name,
    )
    assert (code, out) == (0, "False True\n")


def test_killed_process_is_swept(name: str) -> None:
    p = core.Pool(name, "create", capacity=MB)
    code, out = run(
        """
import os, signal
pool = core.Pool(sys.argv[1], "open")
a = pool.empty(100)
os.kill(os.getpid(), signal.SIGKILL)
""",
        name,
    )
    assert (code, out) == (-signal.SIGKILL, "")
    assert p.reap()["processes"] == 1
    assert p.stats()["arrays"] == 0 and p.stats()["sweeps"] == 1


# ---- the module


def test_module() -> None:
    assert core.VERSION.count(".") == 2
    other = load()
    assert other is not core and other.Pool is not core.Pool
    with pytest.raises(RuntimeError):
        other.Pool("no-such-pool", "open")
    p = other.Pool("", "create", capacity=MB, anonymous=True)
    with pytest.raises(RuntimeError, match="hooks"):
        p.empty(3)
    with pytest.raises(TypeError):
        other.set_hooks(error=None)
    with pytest.raises(TypeError):
        core.Pool.empty(p, 3)
    dead = weakref.ref(other)
    del other, p
    gc.collect()
    assert dead() is None


def test_hooks_that_fail(pool: Any) -> None:
    a = pool.empty(3, "f4")
    t = core.send(a)

    def fail(*args: object) -> Any:
        raise ZeroDivisionError

    try:
        core.set_hooks(error=fail, attach=fail, encode=fail, decode=fail)
        for work in (
            lambda: pool.empty(3),
            lambda: pool.adopt(t),
            lambda: core.rebuild(b"", ""),
            lambda: core.reduce(a.view("i2")),
        ):
            with pytest.raises(ZeroDivisionError):
                work()
        core.set_hooks(error=lambda *x: 3, attach=lambda *x: 3, encode=lambda *x: 3, decode=lambda *x: 3)
        with pytest.raises(RuntimeError):
            core.rebuild(b"", "")
        with pytest.raises(TypeError):
            pool.empty(3)
        with pytest.raises(TypeError):
            pool.retain(core.handle(a))
    finally:
        core.set_hooks(error=CoreError, attach=attach, encode=encode, decode=decode)
    assert pool.stats()["arrays"] == 1
