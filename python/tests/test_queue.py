"""Queues in one process: what goes in and comes out, limits, waits, and ends."""

import collections
import datetime
import pickle
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors


@pytest.fixture
def q(pool: ndpool.Pool) -> Iterator[ndpool.Queue]:
    with pool.queue(maxsize=64) as made:
        yield made


def arrays(pool: ndpool.Pool) -> int:
    """How many there are, without what a collection would free: queues make no cycles."""
    return pool.stats().arrays


@dataclass
class Batch:
    """Arrays among other things."""

    inputs: Any
    labels: Any
    name: str


# ---- items


def test_arrays_go_by_reference(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    a = pool.arange(10)
    q.put(a)
    b = q.get()
    assert type(b) is np.ndarray and pool.handle(b) == pool.handle(a)
    a[0] = 99
    assert b[0] == 99 and b.flags.writeable
    before = arrays(pool)
    q.put(b)
    del a, b
    assert arrays(pool) == before, "the queue holds it"
    c = q.get()
    assert c[0] == 99
    del c
    assert arrays(pool) == before - 1


def test_other_arrays_are_copied_once(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    """Private ones, and those of other pools; order and dtype stay."""
    with ndpool.Pool.anonymous(capacity="4M") as other:
        strange = other.ones(5)
        for x in (np.arange(5.0), np.zeros((3, 0)), np.array(7, ">i2"), np.asfortranarray(np.eye(3)), strange):
            q.put(x)
            got = q.get()
            assert ndpool.is_shared(got) and pool.owns(got) and got.flags.writeable
            assert got.dtype == x.dtype and got.shape == x.shape and (got == x).all()
            assert got.flags.f_contiguous == x.flags.f_contiguous
            if x.size:
                got[...] = 5
                assert (x != 5).any(), "a copy"
        del strange
    assert sys.getrefcount(got) == 2
    del got, x
    assert arrays(pool) == 1


def test_a_part_of_an_array_goes_by_reference(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    """As by any other queue, also when nobody else has the array any more; a queue of one entry has no room for that."""
    whole = pool.arange(10)
    q.put(whole[2:8:2])
    part = q.get()
    part[0] = 77
    assert whole[2] == 77 and part.base is not None and (part == [77, 4, 6]).all()
    q.put(whole[::-1])
    del whole, part
    assert (q.get() == [9, 8, 7, 6, 5, 4, 3, 77, 1, 0]).all()
    whole = pool.arange(3)
    with pool.queue(maxsize=1) as short:
        short.put(whole[1:])
        assert (short.get() == [1, 2]).all()


def test_sealed_arrays(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    q.put(ndpool.seal(pool.ones(3)))
    got = q.get()
    assert not got.flags.writeable and ndpool.is_sealed(got)


@pytest.mark.parametrize(
    "x",
    [
        None,
        True,
        3,
        2**100,
        2.5,
        "text",
        b"",
        b"bytes" * 1000,
        bytearray(b"ba"),
        (1, "two", None),
        {"a": [1, 2, {3, 4}]},
        datetime.date(2026, 1, 2),
        collections.OrderedDict(a=1),
        np.float32(1.5),
        np.int64(3),
        list(range(5000)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_other_objects(pool: ndpool.Pool, q: ndpool.Queue, x: Any) -> None:
    q.put(x)
    got = q.get()
    assert got == x and type(got) is type(x)
    del got
    assert arrays(pool) == 1


def test_arrays_within_objects(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    """Arrays of the pool and views of them by reference; others copied, small ones with the pickle."""
    a, private, small = pool.arange(100), np.arange(1000), np.arange(3)
    item = Batch({"whole": a, "same": a, "back": a[::-2], "as bytes": a.view("u1")[5:9]}, [private, small, private], "run")
    q.put(item)
    assert q.qsize() == 1 and pool.tickets() == []
    got = q.get()
    assert got.name == "run" and (got.inputs["back"] == a[::-2]).all() and (got.inputs["as bytes"] == a.view("u1")[5:9]).all()
    assert got.inputs["whole"] is got.inputs["same"] and pool.handle(got.inputs["whole"]) == pool.handle(a)
    a[98:] = -1
    assert got.inputs["whole"][99] == -1 == got.inputs["back"][0]
    assert (got.labels[0] == private).all() and got.labels[0] is got.labels[2] and ndpool.is_shared(got.labels[0])
    assert got.labels[1].tolist() == [0, 1, 2] and not ndpool.is_shared(got.labels[1])
    for x in (got.labels[0], got.labels[1], got.inputs["back"]):
        x[0] = 5
    assert private[0] == 0 == small[0] and a[99] == 5
    del item, got, x
    assert arrays(pool) == 2, "the queue and a"


def test_objects_with_strange_arrays(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    mixed = np.array([1, "a", pool.arange(1000)[3:]], dtype=object)
    long = np.ones(1000, np.longdouble)
    masked = np.ma.masked_array(np.arange(1000), mask=np.arange(1000) % 2 == 0)
    q.put((mixed, long, masked))
    q.put(mixed)
    q.put(long)
    q.put(masked)
    m, x, y = q.get()
    assert m[0] == 1 and m[2][0] == 3 and (x == long).all() and x.dtype == long.dtype and y.sum() == masked.sum()
    assert q.get()[1] == "a" and (q.get() == long).all() and type(q.get()) is type(masked)


def test_more_arrays_than_entries(pool: ndpool.Pool) -> None:
    """An item with too many private arrays goes as one pickle; with too many of the pool it does not."""
    with pool.queue(maxsize=2) as q:
        many = [np.full(1000, k) for k in range(10)]
        q.put(many)
        assert [int(x[0]) for x in q.get()] == list(range(10))
        with pytest.raises(errors.TooLongError) as e:
            q.put([pool.copy(x) for x in many])
        assert (e.value.asked, e.value.limit) == (11, 2)
        assert q.empty()


def test_what_cannot_be_pickled(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    """put itself raises, and the queue is as before."""
    before = arrays(pool)
    for x in (lambda: 1, [np.zeros(1000), threading.Lock()]):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            q.put(x)
    assert q.empty() and arrays(pool) == before


class Grumpy:
    """Cannot be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 / 0",)


def test_what_cannot_be_unpickled(pool: ndpool.Pool, q: ndpool.Queue) -> None:
    """get raises, and that item is spent; get_many returns what came before, and loses nothing."""
    before = arrays(pool)
    q.put([Grumpy(), np.zeros(1000)])
    q.put(1)
    with pytest.raises(ZeroDivisionError):
        q.get()
    assert q.get() == 1 and arrays(pool) == before
    q.put_many([2, pool.arange(3), Grumpy(), b"x", [np.ones(1000)], 3])
    first = q.get_many(10)
    assert first[0] == 2 and first[1].tolist() == [0, 1, 2] and q.qsize() == 4
    with pytest.raises(ZeroDivisionError):
        q.get_many(10)
    rest = q.get_many(10)
    assert rest[0] == b"x" and rest[1][0].sum() == 1000 and rest[2] == 3
    del first, rest
    assert q.empty() and arrays(pool) == before


def test_no_room_to_put_back(pool: ndpool.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What get_many could not put back is what this process gets next."""
    with pool.queue(maxsize=4) as q:
        q.put_many([1, Grumpy(), 2, 3])
        decode = ndpool._items.decode

        def refill(item: Any) -> Any:
            monkeypatch.setattr(ndpool._items, "decode", decode)
            q.put_many([4, 5, 6])  # as another process might
            return decode(item)

        monkeypatch.setattr(ndpool._items, "decode", refill)
        assert q.get_many(10) == [1]
        with pytest.raises(ZeroDivisionError):
            q.get()
        assert [q.get() for _ in range(5)] == [2, 3, 4, 5, 6]
        assert q.empty()


# ---- without pickles


def test_without_pickles_what_goes(pool: ndpool.Pool) -> None:
    """Whole arrays by reference, all others as copies, and bytes. So it is for several at once."""
    whole = pool.arange(10)
    with pool.queue(pickles=False) as q:
        assert not q.pickles
        q.put(whole)
        q.put(whole[2:5])
        q.put_many([np.arange(3), b"raw", pool.full((2, 2), 7, [("a", "i4")])])
        a, part = q.get(), q.get()
        whole[3] = -1
        assert a[3] == -1 and pool.handle(a) == pool.handle(whole)
        assert part.tolist() == [2, 3, 4] and pool.owns(part) and part.size == 3
        b, raw, record = q.get_many(9)
        assert b.tolist() == [0, 1, 2] and raw == b"raw" and (record["a"] == 7).all()
    with pool.queue() as q:
        assert q.pickles


@pytest.mark.parametrize(
    "x",
    [None, 3, "text", bytearray(b"x"), (1, b"x"), [np.ones(1000)], np.float64(1), np.ma.masked_array([1]), lambda: 1],
    ids=lambda x: type(x).__name__,
)
def test_without_pickles_what_does_not(pool: ndpool.Pool, x: Any) -> None:
    before = arrays(pool)
    with pool.queue(pickles=False) as q:
        for put in (lambda: q.put(x), lambda: q.put_nowait(x), lambda: q.put_many([x])):
            with pytest.raises(TypeError, match=rf"put \S*{type(x).__name__}: .*pickles=False.*bytes, and numpy.ndarray"):
                put()
        assert q.empty()
    assert arrays(pool) == before


def test_without_pickles_strange_dtypes(pool: ndpool.Pool) -> None:
    with pool.queue(pickles=False) as q:
        for x in (np.array([None, 1], object), np.ones(3, np.longdouble)):
            with pytest.raises(errors.DTypeError, match=r"put numpy.ndarray: .*pickles=False"):
                q.put(x)
        assert q.empty()


def test_a_pickle_stays(pool: ndpool.Pool) -> None:
    """Who does not unpickle leaves it, with all that belongs to it, at its place, for who does."""
    with pool.queue("q", maxsize=8) as q, pool.queue("q", pickles=False) as safe:
        q.put_many([b"first", [np.ones(1000), "x"], b"last"])
        before = arrays(pool)
        assert safe.get_many(10) == [b"first"] and safe.qsize() == 2
        gets: list[Callable[[], Any]] = [safe.get, safe.get_nowait, lambda: safe.get_many(5), lambda: next(safe)]
        for get in gets:
            with pytest.raises(errors.KindError, match=r"get from queue 'q': .* a pickle, .* stays in the queue") as e:
                get()
            assert isinstance(e.value, TypeError)
        assert arrays(pool) == before - 1 and safe.qsize() == 2
        ones, text = q.get()
        assert (ones == 1).all() and text == "x" and safe.get() == b"last"
        q.put(5)
        q.shutdown()
        with pytest.raises(errors.KindError, match="stays"):
            safe.get()
        assert q.get() == 5
        del ones
        assert arrays(pool) == 1
    pool.remove("q")


@pytest.mark.parametrize("end", ["get", "get_many", "close"])
def test_a_pickle_that_cannot_be_put_back(pool: ndpool.Pool, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """When others have filled the queue meanwhile it is kept, and goes back to its place when there is room."""
    is_pickle = ndpool._items.is_pickle
    with pool.queue("q", maxsize=3) as q, pool.queue("q", pickles=False) as safe:

        def refill(item: Any) -> bool:
            monkeypatch.setattr(ndpool._items, "is_pickle", is_pickle)
            assert q.put_many([2, 3], False) == 2  # as another process might
            return is_pickle(item)

        q.put_many([[np.ones(1000)], 1])
        monkeypatch.setattr(ndpool._items, "is_pickle", refill)
        get: Callable[[], Any] = safe.get if end != "get_many" else lambda: safe.get_many(1)
        for number in (1, 2):
            with pytest.raises(errors.KindError, match="kept until there is room"):
                get()
            assert q.get() == number
        if end == "close":
            safe.close()
        else:
            with pytest.raises(errors.KindError, match="stays in the queue"):
                get()
        assert q.get()[0].sum() == 1000 and q.get() == 3 and q.empty()
        assert arrays(pool) == 1
    pool.remove("q")


def test_a_pickle_that_is_lost(pool: ndpool.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said: the queue was closed by another thread while its item was looked at."""
    q = pool.queue(pickles=False)
    q._core.put((pickle.dumps(1),), b"\3", 0.0)
    is_pickle = ndpool._items.is_pickle

    def close(item: Any) -> bool:
        q.close()
        return is_pickle(item)

    monkeypatch.setattr(ndpool._items, "is_pickle", close)
    with pytest.raises(errors.KindError, match="is lost, because the queue was closed"):
        q.get()
    assert arrays(pool) == 0


def test_without_pickles_is_kept_by_copies(pool: ndpool.Pool) -> None:
    """Plain pickles of a queue, and those of multiprocessing, of one with a name and one without; not so of other ends."""
    from multiprocessing.reduction import ForkingPickler

    with pool.queue("q", pickles=False) as q, pool.queue(pickles=False) as nameless, pool.queue("q") as other:
        assert other.pickles
        other.put("text")
        for made in (pickle.dumps(q), ForkingPickler.dumps(q), ForkingPickler.dumps(nameless)):
            same = pickle.loads(made)
            assert not same.pickles
            with pytest.raises(TypeError, match="pickles=False"):
                same.put("text")
            if same.path:
                with pytest.raises(errors.KindError):
                    same.get()
            same.close()
        assert pickle.loads(pickle.dumps(other)).pickles
    pool.remove("q")


def test_batches(pool: ndpool.Pool) -> None:
    with pool.queue(maxsize=1000) as q:
        assert q.put_many(range(700)) == 700
        assert q.get_many(3) == [0, 1, 2]
        rest: list[int] = []
        while not q.empty():
            rest += q.get_many(10_000)
        assert rest == list(range(3, 700))
        assert q.put_many([]) == 0
        assert q.put_many(range(1100), False) == 1000
        with pytest.raises(queue.Full):
            q.put_many([1], timeout=0.01)
        assert q.get_many(2) == [0, 1] and q.put_many([7, 8, 9], timeout=0.01) == 2
        for bad in (0, -1):
            with pytest.raises(ValueError, match="at least 1"):
                q.get_many(bad)
        q.shutdown(immediate=True)


# ---- limits and waits


def test_limits(pool: ndpool.Pool) -> None:
    with pool.queue(maxsize=2) as q:
        assert q.maxsize == 2 and q.empty() and not q.full() and q.qsize() == 0
        for wait in ((False,), (True, 0.01), (True, -1)):
            with pytest.raises(queue.Empty):
                q.get(*wait)
            with pytest.raises(queue.Empty):
                q.get_many(3, *wait)
        with pytest.raises(queue.Empty):
            q.get_nowait()
        q.put(1)
        assert q.qsize() == 1 and not q.empty() and not q.full()
        q.put(2)
        assert q.full()
        for wait in ((False,), (True, 0.01), (True, -1)):
            for x in (3, pool.ones(2), np.ones(2), b"x"):
                with pytest.raises(queue.Full):
                    q.put(x, *wait)
        with pytest.raises(queue.Full):
            q.put_nowait(3)
        assert q.get() == 1 and q.get() == 2
    for size in (0, -5):
        with ndpool.Queue(size, pool=pool) as q:
            assert q.maxsize == 16384


def test_room_in_the_pool(name: str) -> None:
    """put waits for room in the pool as for room in the queue; what can never fit is refused."""
    with ndpool.Pool.create(name, capacity="4M") as pool, pool.queue(maxsize=100) as q:
        while True:
            try:
                q.put(np.zeros(1 << 17), False)
            except queue.Full as e:
                assert isinstance(e.__cause__, errors.FullError)
                break
        n = q.qsize()
        assert 2 <= n <= 4
        with pytest.raises(queue.Full):
            q.put([np.zeros(1 << 17)], timeout=0.02)
        timer = threading.Timer(0.1, q.get)
        timer.start()
        q.put(np.ones(1 << 17), timeout=20)
        timer.join()
        with pytest.raises(errors.FullError):
            q.put(np.zeros(1 << 20))
        assert q.qsize() == n

        def get() -> None:
            for _ in range(9):
                q.get()

        timer = threading.Timer(0.1, get)
        timer.start()
        assert q.put_many((np.full(1 << 17, k) for k in range(8)), timeout=20) == 8
        timer.join()
        while not q.empty():
            q.get()


def test_waiting(pool: ndpool.Pool) -> None:
    with pool.queue(maxsize=1) as q:
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.extend(q.get(timeout=20) for _ in range(50)))
        thread.start()
        for k in range(50):
            q.put(k, timeout=20)
        thread.join(20)
        assert got == list(range(50))
        begin = time.monotonic()
        with pytest.raises(queue.Empty):
            q.get(timeout=0.15)
        assert 0.14 < time.monotonic() - begin < 5


def test_threads(pool: ndpool.Pool) -> None:
    """Many threads on one queue: each item comes out once, and those of one thread in their order."""
    n, got, lock = 300, list[tuple[int, int]](), threading.Lock()
    with pool.queue(maxsize=16) as q:

        def put(t: int) -> None:
            for k in range(n):
                q.put((t, np.full(200, k)) if k % 3 else (t, k), timeout=30)

        def get() -> None:
            for t, k in q:
                with lock:
                    got.append((t, int(np.ravel(k)[0])))

        putters = [threading.Thread(target=put, args=(t,)) for t in range(3)]
        getters = [threading.Thread(target=get) for _ in range(3)]
        for thread in putters + getters:
            thread.start()
        for thread in putters:
            thread.join(30)
        q.shutdown()
        for thread in getters:
            thread.join(30)
            assert not thread.is_alive()
    assert sorted(got) == [(t, k) for t in range(3) for k in range(n)]
    assert arrays(pool) == 0


# ---- ends


def test_shutdown(pool: ndpool.Pool) -> None:
    with pool.queue("q", maxsize=4) as q, pool.queue("q") as same:
        q.put_many([1, 2])
        same.shutdown()
        for put in (lambda: q.put(3), lambda: q.put_nowait(3), lambda: q.put_many([3])):
            with pytest.raises(errors.ShutDown):
                put()
        assert [*q] == [1, 2]
        for get in (q.get, q.get_nowait, lambda: q.get_many(3)):
            with pytest.raises(errors.ShutDown):
                get()
        if sys.version_info >= (3, 13):
            assert issubclass(errors.ShutDown, queue.ShutDown)
        same.shutdown()
    pool.remove("q")
    with pool.queue(maxsize=4) as q:
        q.put_many([1, np.ones(1000), 3])
        q.shutdown(immediate=True)
        with pytest.raises(errors.ShutDown):
            q.get()
    assert arrays(pool) == 0


def test_shutdown_wakes(pool: ndpool.Pool) -> None:
    with pool.queue(maxsize=1) as full, pool.queue(maxsize=1) as empty:
        full.put(1)
        told: list[str] = []

        def wait(f: Callable[[], Any], what: str) -> None:
            try:
                f()
            except errors.ShutDown:
                told.append(what)

        waits: list[tuple[Callable[[], Any], str]] = [(lambda: full.put(2), "put"), (empty.get, "get"), (empty.get, "get")]
        threads = [threading.Thread(target=wait, args=a) for a in waits]
        for t in threads:
            t.start()
        time.sleep(0.05)
        full.shutdown()
        empty.shutdown()
        for t in threads:
            t.join(5)
        assert sorted(told) == ["get", "get", "put"]


def test_close(pool: ndpool.Pool) -> None:
    q, same = pool.queue("q", maxsize=3), pool.queue("q")
    q.put(1)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            while True:
                q.get()
        except ValueError as e:
            told.append(e)

    thread = threading.Thread(target=wait)
    thread.start()
    while not same.empty():
        time.sleep(0.01)
    q.close()
    q.close()
    thread.join(5)
    assert len(told) == 1 and q.closed and repr(q) == "<ndpool.Queue 'q' closed>"
    for use in (lambda: q.put(1), q.get, q.qsize, q.empty, q.full, q.shutdown, lambda: q.get_many(1)):
        with pytest.raises(ValueError, match="closed"):
            use()
    q.join_thread()
    q.cancel_join_thread()
    same.put(2)
    assert same.get() == 2 and repr(same) == "<ndpool.Queue 'q' 0 items>"
    same.close()
    pool.remove("q")


def test_queues_end_with_their_holders(pool: ndpool.Pool) -> None:
    """One without a name goes with all that is in it; a named one stays, with its items, until the name is removed."""
    q = pool.queue(maxsize=8)
    q.put_many([pool.ones(10), b"x", [np.ones(1000)]])
    assert arrays(pool) == 5 + 0
    q.close()
    assert arrays(pool) == 0
    q = pool.queue(maxsize=8)
    q.put(1)
    del q
    assert arrays(pool) == 0
    with pool.queue("q") as q:
        q.put(1)
    with pool.queue("q") as q:
        assert q.get() == 1 and q.path == "q"
        q.put(2)
    pool.remove("q")
    assert arrays(pool) == 0


def test_a_queue_with_items_keeps_the_pool(name: str) -> None:
    with ndpool.Pool.create(name, capacity="4M") as pool, pool.queue("q") as q:
        q.put(np.arange(3))
    with ndpool.Pool.open(name) as pool, pool.queue("q") as q:
        assert q.get().tolist() == [0, 1, 2]
    with pytest.raises(errors.NotExistError):
        ndpool.Pool.open(name)


def test_options(pool: ndpool.Pool) -> None:
    pool.queue("q", maxsize=5).close()
    pool.queue("q").close()
    for options in ({"maxsize": 6}, {"persistent": True}):
        with pytest.raises(errors.OptionsError):
            pool.queue("q", **options)  # type: ignore[arg-type]
    with pytest.raises(errors.OptionsError):
        pool.queue(maxsize=65537)
    pool.remove("q")


def test_pickling(pool: ndpool.Pool) -> None:
    """Plain pickle takes queues with a path, copy gives the same one."""
    import copy

    with pool.queue("q") as q, pool.queue() as nameless:
        same = pickle.loads(pickle.dumps(q))
        q.put(1)
        assert same.get() == 1 and same.path == "q"
        same.close()
        with pytest.raises(TypeError, match="multiprocessing"):
            pickle.dumps(nameless)
        assert copy.copy(nameless) is nameless is copy.deepcopy(nameless)
        nameless.put({"queue": nameless})
        again = nameless.get()["queue"]
        again.put(5)
        assert nameless.get() == 5
        again.close()
        nameless.put([np.ones(1000)])
        with pytest.raises(pickle.UnpicklingError, match="belongs to an item"):
            pickle.loads(nameless._core.get(1, 0.0)[0][1])  # type: ignore[index]
    pool.remove("q")


def test_random_steps(pool: ndpool.Pool) -> None:
    """Against a list."""
    random.seed(5)
    with pool.queue(maxsize=7) as q:
        model: list[Any] = []
        for k in range(1500):
            step = random.random()
            if step < 0.3:
                try:
                    q.put(k if k % 2 else np.full(3, k), False)
                    model.append(k)
                except queue.Full:
                    assert len(model) == 7
            elif step < 0.45:
                n = random.randrange(1, 5)
                try:
                    put = q.put_many(range(k, k + n), False)
                except queue.Full:
                    put = 0
                assert put == min(n, 7 - len(model))
                model += range(k, k + put)
            elif step < 0.8:
                try:
                    assert np.ravel(q.get(False))[0] == model.pop(0)
                except queue.Empty:
                    assert not model
            else:
                n = random.randrange(1, 5)
                try:
                    got = [np.ravel(x)[0] for x in q.get_many(n, False)]
                except queue.Empty:
                    got = []
                assert got == model[:n]
                del model[:n]
            assert q.qsize() == len(model)
