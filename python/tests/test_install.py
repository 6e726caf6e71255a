"""install: programs that know nothing of pools send large arrays by reference."""

from __future__ import annotations

import gc
import logging
import multiprocessing as mp
import os
import pickle
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Array = np.ndarray[Any, Any]
MB = 1 << 20
WAIT = 30


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    """Nothing is installed before and after each test."""
    ndpool.uninstall()
    yield
    ndpool.uninstall()


def through(x: Any) -> Any:
    """Returns what a receiver gets."""
    return pickle.loads(ForkingPickler.dumps(x))


def size(x: Any) -> int:
    """Returns how many bytes a message takes. Nobody receives it."""
    return len(bytes(ForkingPickler.dumps(x)))


def work(q: Any, r: Any) -> None:
    """An existing program: it gets arrays, and sends others."""
    while (a := q.get()) is not None:
        r.put((a * 2, ndpool.is_shared(a)))


def test_large_arrays_go_by_reference(pool: ndpool.Pool) -> None:
    """An array of min_bytes or more is moved into the pool when it is sent; smaller ones go as before."""
    ndpool.install(1000, pool)
    small, large = np.arange(124.0), np.arange(125.0)
    assert not ndpool.is_shared(through(small)) and pool.stats().arrays == 0
    got = through(large)
    assert pool.owns(got) and np.array_equal(got, large) and pool.stats().arrays == 1
    got[0] = 99
    assert large[0] == 0 and not ndpool.is_shared(large)
    del got
    assert (pool.stats().arrays, pool.stats().transfers) == (0, 0)


def test_default_size(pool: ndpool.Pool) -> None:
    """Arrays from 64 KiB on are large if nothing else is said."""
    ndpool.install(pool=pool)
    assert ndpool.is_shared(through(np.zeros(65536, "u1")))
    assert not ndpool.is_shared(through(np.zeros(65535, "u1")))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_existing_program(pool: ndpool.Pool, method: str) -> None:
    """A program's private arrays reach its processes by reference; what those send follows their own settings."""
    ctx = mp.get_context(method)
    ndpool.install(1000, pool)
    q, r = ctx.Queue(), ctx.Queue()
    process = ctx.Process(target=work, args=(q, r), daemon=True)
    process.start()
    a = np.arange(5000.0)
    q.put(a)
    b, was_shared = r.get(timeout=WAIT)
    assert was_shared and np.array_equal(b, a * 2)
    assert ndpool.is_shared(b) == (method == "fork")
    q.put(a[:10])
    c, was_shared = r.get(timeout=WAIT)
    assert not was_shared and not ndpool.is_shared(c) and c[9] == 18
    q.put(None)
    process.join(WAIT)
    assert process.exitcode == 0
    del b, c
    gc.collect()
    pool.reap()
    assert (pool.stats().arrays, pool.stats().transfers) == (0, 0)


KINDS: dict[str, Array] = {
    "C": np.arange(600.0).reshape(20, 30),
    "Fortran": np.asfortranarray(np.arange(600.0).reshape(20, 30)),
    "steps": np.arange(1200.0)[::2],
    "backwards": np.arange(600.0)[::-1],
    "part": np.arange(2400.0).reshape(40, 60)[5:25, 7:37],
    "read-only": np.broadcast_to(np.arange(30.0), (20, 30)),
    "structured": np.zeros(500, [("x", "<f4"), ("y", ">i8", (2,))]),
    "big-endian": np.arange(600, dtype=">i8"),
    "text": np.array(["äöü"] * 500),
    "time": np.arange(600).astype("M8[us]"),
    "bool": np.ones(5000, bool),
    "complex": np.ones(500, complex),
    "no dimensions": np.array("x" * 2000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_arrays(pool: ndpool.Pool, kind: str) -> None:
    """Every kind of array arrives with its shape, type, order and content, by reference."""
    ndpool.install(1000, pool)
    a = KINDS[kind]
    b = through(a)
    assert pool.owns(b) and type(b) is np.ndarray and (b.shape, b.dtype) == (a.shape, a.dtype) and np.array_equal(a, b)
    assert b.flags.f_contiguous == a.flags.f_contiguous or not a.flags.forc
    assert b.flags.writeable


OTHERS: dict[str, Array] = {
    "objects": np.array([None, "x", 3] * 1000, dtype=object),
    "structured with objects": np.zeros(1000, [("x", "f4"), ("o", object)]),
    "matrix": np.ones((50, 50)).view(np.matrix),
    "masked": np.ma.masked_array(np.arange(1000.0), np.arange(1000) % 2),
    "records": np.zeros(1000, [("x", "f4")]).view(np.recarray),
    "long double": np.ones(1000, np.longdouble),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_goes_by_value(pool: ndpool.Pool, kind: str) -> None:
    """Objects, subclasses, and types that the format has no place for are sent as before, and lose nothing."""
    ndpool.install(0, pool)
    a = OTHERS[kind]
    b = through(a)
    assert type(b) is type(a) and (b.shape, b.dtype) == (a.shape, a.dtype) and b.tolist() == a.tolist()
    assert not (type(a) is np.ndarray and ndpool.is_shared(b))


def test_uninstall(pool: ndpool.Pool) -> None:
    """After uninstall private arrays go by value again, and arrays of a pool still by reference."""
    ndpool.install(0, pool)
    assert ndpool.is_shared(through(np.zeros(3)))
    ndpool.uninstall()
    assert not ndpool.is_shared(through(np.zeros(100_000)))
    a = pool.arange(3)
    assert through(a).ctypes.data == a.ctypes.data
    ndpool.uninstall()


def test_install_again(pool: ndpool.Pool) -> None:
    """The last install holds."""
    ndpool.install(0, pool)
    ndpool.install(10_000, pool)
    assert not ndpool.is_shared(through(np.zeros(100)))
    assert ndpool.is_shared(through(np.zeros(10_000)))
    with pytest.raises(ValueError):
        ndpool.install(-1)
    assert ndpool.is_shared(through(np.zeros(10_000)))


def test_full_pool(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without room an array goes by value, and only the log tells."""
    caplog.set_level(logging.DEBUG, "ndpool")
    with ndpool.Pool.create(name, capacity=MB) as p:
        ndpool.install(1000, p)
        a = np.arange(MB, dtype="i4")
        b = through(a)
        assert not ndpool.is_shared(b) and np.array_equal(a, b)
        assert f"{a.nbytes} bytes are sent by value" in caplog.text
        assert ndpool.is_shared(through(a[:1000]))
        keep = [p.zeros(900_000, "u1")]
        assert not ndpool.is_shared(through(a[:100_000]))
        keep.clear()
        assert ndpool.is_shared(through(a[:100_000]))
        assert (p.stats().arrays, p.stats().transfers) == (0, 0)


def test_full_tables(name: str) -> None:
    """Without a free transfer, or place for an array, it goes by value and leaves nothing behind."""
    with ndpool.Pool.create(name, capacity=MB, tickets=64) as p:
        ndpool.install(1000, p)
        a = p.zeros(3)
        sent = []
        with pytest.raises(errors.TableFullError):
            while len(sent) < 100:
                sent.append(p.send(a))
        assert not ndpool.is_shared(through(np.ones(1000)))
        assert p.stats().arrays == 1
        assert p.recall(older_than=0) == len(sent)
        assert ndpool.is_shared(through(np.ones(1000)))
        del a


def test_closed_pool(name: str) -> None:
    """When the pool that was named is closed, arrays go by value."""
    p = ndpool.Pool.create(name, capacity=MB)
    ndpool.install(1000, p)
    assert ndpool.is_shared(through(np.ones(1000)))
    gc.collect()
    p.close()
    assert not ndpool.is_shared(through(np.ones(1000)))


def test_same_array_twice(pool: ndpool.Pool) -> None:
    """An array that a message has twice is moved once; the next message gets a copy of its own."""
    ndpool.install(1000, pool)
    a = np.arange(1000.0)
    x = through({"a": a, "b": [a]})
    assert x["a"] is x["b"][0] and pool.stats().arrays == 1
    y = through(a)
    x["a"][0] = 7
    assert a[0] == y[0] == 0 and pool.stats().arrays == 2


def test_messages_are_small(pool: ndpool.Pool) -> None:
    """The message has no element of the array, however large it is."""
    a = np.arange(100_000.0)
    before = size(a)
    ndpool.install(1000, pool)
    assert before > a.nbytes and size(a) < 250
    assert pool.stats().transfers == 1 and pool.recall(older_than=0) == 1
    assert len(pickle.dumps(a)) > a.nbytes


def test_default_pool_is_taken(run: Any) -> None:
    """Without a pool it is the default one, made with the first large array."""
    out = run(
        """
        import os, pickle, numpy as np, ndpool
        from multiprocessing.reduction import ForkingPickler
        ndpool.install()
        before = os.environ.get("NDPOOL_NAME")
        a = pickle.loads(ForkingPickler.dumps(np.arange(100000)))
        print(before, ndpool.default_pool().owns(a), a.sum(), os.path.exists(ndpool.default_pool().path))
        """
    )
    assert out == "None True 4999950000 True"


def test_anonymous_pool() -> None:
    """A pool without a name serves, too."""
    with ndpool.Pool.anonymous(capacity=MB) as p:
        ndpool.install(1000, p)
        a = through(np.arange(1000.0))
        assert p.owns(a) and a.sum() == 499_500
        del a


def test_children_that_are_forked_have_it(pool: ndpool.Pool) -> None:
    """A forked child goes on as its parent did."""
    ndpool.install(1000, pool)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if ndpool.is_shared(through(np.ones(1000))) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    pool.reap()
