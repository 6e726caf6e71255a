"""Streams: publishing, reading, waiting, and what becomes a frame."""

import ctypes
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors


def test_publish_and_read(pool: ndpool.Pool) -> None:
    before, wall = time.monotonic_ns(), time.time_ns()
    with pool.writer("camera") as w, pool.reader("camera") as r:
        assert r.newest() is None
        assert w.publish(np.arange(6).reshape(2, 3), attributes={"exposure": 3, "who": "me"}) == 1
        frame = r.latest(timeout=1)
        assert (frame.array == [[0, 1, 2], [3, 4, 5]]).all() and frame.array.dtype == int
        assert frame.sequence == 1 and frame.skipped == 0
        assert frame.attributes == {"exposure": 3, "who": "me"}
        assert before <= frame.monotonic <= time.monotonic_ns() and wall - 10**9 < frame.wall < time.time_ns() + 10**9
        assert repr(frame) == "<ndpool.Frame 1 int64[2, 3]>"
        with pytest.raises(TimeoutError):
            r.latest(timeout=0)
        again = r.newest()
        assert again is not None and again.sequence == 1 and (again.array == frame.array).all()
        assert w.publish(2.5) == 2
        assert r.next(0).attributes == {}
        assert repr(w) == "<ndpool.StreamWriter 'camera'>" and w.path == r.path == "camera"
    assert w.closed and r.closed and repr(r) == "<ndpool.StreamReader 'camera' closed>"
    assert frame.array.sum() == 15, "frames stay"


def test_own_arrays_go_without_a_copy(pool: ndpool.Pool) -> None:
    with pool.writer("s") as w, pool.reader("s") as r:
        out = w.empty((480, 640, 3), "u1")
        out[:] = 7
        handle, arrays = pool.handle(out), pool.stats().arrays
        w.publish(out)
        assert pool.stats().arrays == arrays, "no copy"
        assert not out.flags.writeable and ndpool.is_sealed(out)
        with pytest.raises(ValueError, match="read-only"):
            out[0] = 1
        frame = r.latest()
        assert pool.handle(frame.array) == handle
        assert not frame.array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            frame.array.flags.writeable = True
        assert w.publish(out) == 2, "again"
        assert pool.handle(r.latest().array) == handle


def test_views_of_what_was_published(pool: ndpool.Pool) -> None:
    """Published by a view the whole chain is read-only; a view that was made before is not, as the documentation says."""
    with pool.writer("s") as w, pool.reader("s") as r:
        a = w.empty(10, "i4")
        a[:] = 0
        older = a[3:5]
        w.publish(a[:])
        assert not a.flags.writeable and not a[1:].flags.writeable
        assert older.flags.writeable
        older[0] = 9
        assert r.latest().array[3] == 9


def test_copies(pool: ndpool.Pool) -> None:
    """A part of an array, and an array of another pool or of none, are copied, and can be written to as before."""
    part, private = pool.arange(10)[2:5], np.arange(4, dtype=">u2")
    with pool.writer("s", frames=8) as w, pool.reader("s") as r, ndpool.Pool.anonymous(capacity="4M") as other:
        strange = other.arange(3)
        fortran = np.asfortranarray(np.ones((3, 4)))
        for k, x in enumerate((part, private, private[::-1], strange, fortran, [1, 2], "text", True)):
            assert w.publish(x) == k + 1
            got = r.next(0).array
            assert (got == x).all() and got.dtype == np.asarray(x).dtype and got.shape == np.shape(x)
        assert part.flags.writeable and private.flags.writeable and strange.flags.writeable
        del strange


def test_shape_and_dtype_change(pool: ndpool.Pool) -> None:
    shapes: list[tuple[tuple[int, ...], str]] = [((3, 4), "f4"), ((), "c16"), ((0, 5), "u1"), ((2,) * 12, "?")]
    shapes.append(((100_000,), "M8[ns]"))
    with pool.writer("s") as w, pool.reader("s") as r:
        for shape, dtype in shapes:
            w.publish(np.ones(shape, dtype) if dtype[0] != "M" else np.zeros(shape, dtype))
            got = r.latest(0).array
            assert got.shape == shape and got.dtype == np.dtype(dtype)


class Inner(ctypes.Structure):
    _fields_ = (("x", ctypes.c_float), ("n", ctypes.c_int16))


class Pose(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint8), ("position", ctypes.c_double * 3), ("inner", Inner), ("name", ctypes.c_char * 5))


class Pointer(ctypes.Structure):
    _fields_ = (("next", ctypes.POINTER(ctypes.c_int)),)


def test_structures(pool: ndpool.Pool) -> None:
    with pool.writer("s") as w, pool.reader("s") as r:
        pose = Pose(7, (1, 2, 3), Inner(0.5, -3), b"left")
        w.publish(pose)
        frame = r.latest(0)
        assert frame.array.shape == () and frame.array.dtype.names == ("id", "position", "inner", "name")
        assert frame.array["position"].tolist() == [1, 2, 3] and frame.array["inner"]["n"] == -3
        got = frame.structure(Pose)
        assert bytes(got) == bytes(pose) and got.inner.x == 0.5 and got.name == b"left"
        got.id = 8  # a copy
        assert frame.array["id"] == 7
        with pytest.raises(errors.MismatchError, match="of Inner"):
            frame.structure(Inner)
        scalar = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])[0]
        w.publish(scalar)
        assert r.latest(0).array.tolist() == (1, 2.5)
        w.publish((ctypes.c_int * 3)(4, 5, 6))
        assert r.latest(0).array.tolist() == [4, 5, 6]
        with pytest.raises(errors.DTypeError, match="Pointer"):
            w.publish(Pointer())
        with pytest.raises(errors.DTypeError):
            w.publish(np.array([object()]))
        with pytest.raises(errors.AttributesError):
            w.publish(1, attributes={"a": object()})
        assert w.publish(1) == 4, "what failed has no number"


def test_frames_as_arrays(pool: ndpool.Pool) -> None:
    with pool.writer("s") as w, pool.reader("s") as r:
        w.publish(np.arange(3, dtype="i4"))
        with r.latest(0) as frame:
            a = np.asarray(frame)
            assert a is frame.array
            assert np.asarray(frame, "f8").tolist() == [0, 1, 2]
            assert np.array(frame).flags.writeable
        with pytest.raises(errors.ClosedError):
            frame.array  # noqa: B018
        assert a.tolist() == [0, 1, 2] and "released" in repr(frame)


def test_frames_end_with_their_references(pool: ndpool.Pool) -> None:
    """A reader keeps what it took while the writer goes on, and all of it goes when it lets go."""
    with pool.writer("s", frames=2) as w, pool.reader("s") as r:
        held = []
        for k in range(10):
            w.publish(np.full(1000, k))
            held.append(r.latest(0).array)
        assert [a[0] for a in held] == list(range(10)) and all((a == a[0]).all() for a in held)
        assert pool.stats().arrays == 11
        del held
        gc.collect()
        assert pool.stats().arrays == 3, "the stream and its two frames"
    pool.remove("s")
    assert pool.stats().arrays == 0


def test_skipped(pool: ndpool.Pool) -> None:
    with pool.writer("s", frames=4) as w:
        latest, each, late = pool.reader("s"), pool.reader("s"), None
        for k in range(10):
            w.publish(k)
        late = pool.reader("s", from_now=True)
        frame = latest.latest(0)
        assert frame.sequence == 10 and frame.skipped == 9
        got = [each.next(0) for _ in range(4)]
        assert [f.sequence for f in got] == [7, 8, 9, 10] and [f.skipped for f in got] == [6, 0, 0, 0]
        with pytest.raises(TimeoutError):
            late.next(0)
        w.publish(10)
        assert late.next(0).skipped == 0 and latest.latest(0).skipped == 0
        for reader in (latest, each, late):
            reader.close()


def test_reader_before_writer(pool: ndpool.Pool) -> None:
    with pool.reader("later") as r:
        with pytest.raises(TimeoutError):
            r.latest(timeout=0.02)
        assert r.newest() is None and "later" not in pool
        got: list[int] = []
        thread = threading.Thread(target=lambda: got.append(r.latest(timeout=20).sequence))
        thread.start()
        time.sleep(0.02)
        with pool.writer("later") as w:
            w.publish(1)
            thread.join(20)
        assert got == [1]


def test_the_writer_ends(pool: ndpool.Pool) -> None:
    with pool.reader("s") as r:
        with pool.writer("s", frames=4) as w:
            for k in range(3):
                w.publish(k)
        assert [int(f.array) for f in r] == [0, 1, 2], "iteration ends with the writer"
        with pytest.raises(TimeoutError):
            r.next(0.01)  # it is told once
        with pool.writer("s") as w:
            assert w.publish(3) == 4
            assert r.next(0).sequence == 4
        with pytest.raises(errors.StreamEnded) as ended:
            r.next(0)
        assert not isinstance(ended.value, errors.WriterDied) and isinstance(ended.value, EOFError)
    with pytest.raises(errors.ClosedError):
        w.publish(1)
    with pytest.raises(ValueError, match="closed"):
        r.next()


def test_one_writer(pool: ndpool.Pool) -> None:
    with pool.writer("s"):
        with pytest.raises(errors.WriterError) as e:
            pool.writer("s")
        assert e.value.pid == os.getpid()
    pool.writer("s").close()


def test_options(pool: ndpool.Pool) -> None:
    pool.writer("s", frames=3, lossless=True, readers=2).close()
    pool.writer("s").close()
    pool.writer("s", frames=3).close()
    for options in ({"frames": 4}, {"readers": 3}, {"persistent": True}):
        with pytest.raises(errors.OptionsError):
            pool.writer("s", **options)  # type: ignore[arg-type]
    for bad in (0, -1, 1 << 40):
        with pytest.raises(ValueError, match="frames"):
            pool.writer("t", frames=bad)
    with pytest.raises(errors.OptionsError):
        pool.writer("t", frames=1 << 20)
    with pytest.raises(errors.PathError):
        pool.writer("a//b")
    assert "t" not in pool


def test_kinds(pool: ndpool.Pool) -> None:
    """An array is no stream, and a stream is no array and no queue."""
    pool["array"] = 1
    pool.writer("stream").close()
    pool.queue("queue").close()
    for name in ("array", "queue"):
        with pytest.raises(errors.KindError):
            pool.writer(name)
    for name in ("array", "stream"):
        with pytest.raises(errors.KindError):
            pool.queue(name)
    for name in ("stream", "queue"):
        with pytest.raises(errors.KindError):
            pool[name]
    with pytest.raises(errors.KindError), pool.reader("array") as r:
        r.latest(0)
    for name in ("stream", "queue"):
        pool.remove(name)


def test_await_readers(pool: ndpool.Pool) -> None:
    """A reader that was there before the stream gets its first frame, if the writer waits for it."""
    r = pool.reader("s", every=True)
    first: list[int] = []
    t = threading.Thread(target=lambda: first.append(r.next(timeout=20).sequence))
    t.start()
    with pool.writer("s", frames=1, lossless=True, readers=2) as w:
        with pytest.raises(errors.OptionsError):
            w.await_readers(3)
        w.await_readers(1, timeout=20)
        for n in range(3):
            w.publish(np.int64(n), timeout=20)
            t.join(timeout=20 if n == 0 else 0)
            if n == 0:
                r.close()
        with pytest.raises(errors.WaitTimeoutError):
            w.await_readers(1, timeout=0.01)
    assert first == [1]


def test_lossless(pool: ndpool.Pool) -> None:
    """The writer waits for readers that want every frame, and for no others."""
    with pool.writer("s", frames=4, lossless=True) as w, pool.reader("s", every=True) as r, pool.reader("s") as other:
        for k in range(4):
            w.publish(k, timeout=0)
        out = w.empty(3)
        with pytest.raises(TimeoutError):
            w.publish(out, timeout=0.01)
        assert not out.flags.writeable, "it is sealed"
        assert r.next(0).sequence == 1
        assert w.publish(out, timeout=0) == 5
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.extend(r.next(20) for _ in range(100)))
        thread.start()
        for k in range(96):
            w.publish(k, timeout=20)
        thread.join(20)
        assert [f.sequence for f in got] == list(range(2, 102)) and not any(f.skipped for f in got)
        assert other.latest(0).skipped == 100
        for k in range(4):
            w.publish(k, timeout=0)
        r.close()
        w.publish(0, timeout=0)


def test_too_many_readers(pool: ndpool.Pool) -> None:
    with pool.writer("s", lossless=True, readers=2) as w, pool.reader("s", every=True) as a, pool.reader("s", every=True) as b:
        w.publish(1)
        assert a.next(0).sequence == b.next(0).sequence == 1
        with pytest.raises(errors.TableFullError), pool.reader("s", every=True) as c:
            c.next(0)
        with pool.reader("s") as free:
            assert free.next(0).sequence == 1


def test_held_by_others(pool: ndpool.Pool, name: str) -> None:
    """What another process may write to cannot be published; a copy can."""
    a = pool.arange(5)
    with pool.writer("s") as w, ndpool.Pool.open(name) as other:
        b = other.retain(pool.handle(a))
        with pytest.raises(errors.HeldError):
            w.publish(a)
        assert a.flags.writeable
        assert w.publish(a.copy()) == 1
        del b
        assert w.publish(a) == 2


def test_threads_take_turns(pool: ndpool.Pool) -> None:
    """Threads may share a writer and a reader; each frame goes to one of them."""
    n, got, lock = 200, [], threading.Lock()
    with pool.writer("s", frames=16, lossless=True) as w, pool.reader("s", every=True) as r:

        def read() -> None:
            while True:
                try:
                    frame = r.next(20)
                except errors.ClosedError:
                    return
                with lock:
                    got.append((frame.sequence, int(frame.array[0])))
                    if len(got) == 4 * n:
                        r.close()

        readers = [threading.Thread(target=read) for _ in range(3)]
        writers = [threading.Thread(target=lambda: [w.publish(np.full(10, k), timeout=20) for k in range(n)]) for _ in range(4)]
        for t in readers + writers:
            t.start()
        for t in writers + readers:
            t.join(30)
            assert not t.is_alive()
    assert sorted(s for s, _ in got) == list(range(1, 4 * n + 1))
    assert sorted(k for _, k in got) == sorted(4 * list(range(n)))


def test_close_ends_waits(pool: ndpool.Pool) -> None:
    with pool.writer("s", frames=1, lossless=True) as w, pool.reader("s", every=True) as r:
        w.publish(1)
        told: list[BaseException] = []

        def wait(f: Callable[[], Any]) -> None:
            try:
                f()
            except errors.ClosedError as e:
                told.append(e)

        r2 = pool.reader("other")
        threads = [threading.Thread(target=wait, args=(f,)) for f in (lambda: w.publish(2), r2.latest, r2.next)]
        for t in threads:
            t.start()
        time.sleep(0.05)
        w.close()
        r2.close()
        for t in threads:
            t.join(5)
            assert not t.is_alive()
        assert len(told) == 3
        assert r.next(0).sequence == 1


def test_timeouts(pool: ndpool.Pool) -> None:
    with pool.writer("s"), pool.reader("s") as r:
        begin = time.monotonic()
        with pytest.raises(errors.WaitTimeoutError):
            r.latest(timeout=0.15)
        assert 0.14 < time.monotonic() - begin < 5
        for bad in (-1, float("nan")):
            with pytest.raises(ValueError, match="seconds"):
                r.latest(timeout=bad)
        with pytest.raises(TypeError):
            r.latest(timeout="1")  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["latest", "next", "publish", "get", "put"])
def test_interrupted(pool: ndpool.Pool, what: str) -> None:
    """Ctrl-C ends a wait, and all goes on after it."""
    with (
        pool.writer("s", frames=1, lossless=True) as w,
        pool.reader("s", every=True) as r,
        pool.queue(maxsize=1) as q,
    ):
        w.publish(1)
        if what in ("latest", "next"):
            r.next(0)
        if what == "put":
            q.put(1)
        waits: dict[str, Callable[[], Any]] = {"publish": lambda: w.publish(2), "put": lambda: q.put(2), "get": q.get}
        wait = waits.get(what) or getattr(r, what)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            wait()
        assert time.monotonic() - begin < 5
        timer.join()
        if what not in ("latest", "next"):
            assert r.next(0).sequence == 1
        if what != "put":
            q.put(3)
        assert q.get() in (1, 3)
        assert w.publish(4, timeout=0) == 2 and r.next(0).sequence == 2


def test_waiting_releases_the_interpreter(pool: ndpool.Pool) -> None:
    with pool.reader("s") as r:

        def wait() -> None:
            with pytest.raises(TimeoutError):
                r.latest(timeout=0.3)

        thread = threading.Thread(target=wait)
        thread.start()
        n, end = 0, time.monotonic() + 0.2
        while time.monotonic() < end:
            n += 1
        thread.join()
        assert n > 10_000


def test_the_name_is_removed(pool: ndpool.Pool) -> None:
    """A reader follows the name to the stream that has it next."""
    with pool.reader("s") as r:
        with pool.writer("s") as w:
            w.publish(1)
            assert r.latest(0).sequence == 1
            pool.remove("s")
            with pool.writer("s") as other:
                other.publish("new")
                assert str(r.latest(5).array) == "new"


def test_names_and_lifetime(run: Callable[..., str], name: str) -> None:
    """The name goes with the pool, and a persistent one keeps it."""
    with ndpool.Pool.create(name, capacity="4M") as pool:
        with pool.writer("s") as w:
            w.publish(1)
    assert not os.path.exists(f"/dev/shm/{name}")
    with ndpool.Pool.create(name, capacity="4M") as pool, pool.writer("s", persistent=True) as w:
        w.publish(41)
    assert os.path.exists(f"/dev/shm/{name}")
    program = """
        import ndpool, sys
        frame = ndpool.Pool.open(sys.argv[1]).reader("s").newest()
        print(frame.sequence, frame.array + 1)
        """
    assert run(program, name) == "1 42"
    with ndpool.Pool.open(name) as pool:
        with pool.writer("s") as w:
            assert w.publish(2) == 2
        pool.remove("s")


def test_unclosed_at_the_end(run: Callable[..., str], pool: ndpool.Pool, name: str) -> None:
    """A process that just ends has ended its stream, and not died."""
    with pool.reader("s") as r:
        run("import ndpool, sys; ndpool.Pool.open(sys.argv[1]).writer('s').publish(5)", name)
        assert [int(f.array) for f in r] == [5]
        program = "import ndpool, sys; p = ndpool.Pool.open(sys.argv[1]); w = p.writer('s'); r = p.reader('s'); w.publish(6)"
        run(program, name)
        assert [int(f.array) for f in r] == [6]


def test_fork(pool: ndpool.Pool) -> None:
    """A forked child cannot use its parent's ends, may close them, and can open its own."""
    with pool.writer("s") as w, pool.reader("s") as r:
        w.publish(1)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for use in (lambda: w.publish(2), lambda: r.latest(1), lambda: pool.writer("s")):
                    try:
                        use()
                    except errors.NdpoolError:
                        pass
                    else:
                        raise AssertionError
                w.close()
                r.close()
                with pool.reader("s") as mine:
                    assert mine.latest(1).sequence == 1
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert w.publish(2) == 2 and r.latest(1).sequence == 2


def test_default_pool(run: Callable[..., str]) -> None:
    program = """
        import ndpool
        with ndpool.writer("s", frames=2) as w, ndpool.reader("s") as r, ndpool.queue("q", maxsize=3) as q:
            w.publish([1, 2])
            q.put(r.latest().array)
            assert ndpool.is_sealed(q.get()) and q.maxsize == 3 and ndpool.Queue(path="q").maxsize == 3
            assert ndpool.Queue().maxsize == 16384
            print(ndpool.default_pool().names())
        """
    assert run(program) in ("[]", "['q', 's']")


def test_closed_pool(pool: ndpool.Pool) -> None:
    w, r, q = pool.writer("s"), pool.reader("s"), pool.queue()
    w.publish(1)
    pool.close()
    for use in (lambda: w.publish(2), lambda: r.latest(0), lambda: q.put(1), lambda: q.get(False)):
        with pytest.raises(errors.ClosedError):
            use()
    for end in (w, r, q):
        end.close()
    for make in (lambda: pool.writer("s"), lambda: pool.reader("s"), pool.queue):
        with pytest.raises(errors.ClosedError):
            make()
