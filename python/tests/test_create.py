"""numpy's creation functions, in a pool."""

import inspect
import threading
import time
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool.errors import FullError, SpecError


def same(made: Any, want: Any) -> None:
    """Checks that an array in a pool is what numpy's function returns."""
    assert type(made) is np.ndarray
    assert isinstance(made.base, ndpool.Block)
    assert made.dtype == want.dtype and made.shape == want.shape
    assert made.flags.c_contiguous == want.flags.c_contiguous
    assert made.flags.f_contiguous == want.flags.f_contiguous
    assert made.flags.writeable and made.flags.aligned and made.ctypes.data % 64 == 0
    assert np.array_equal(made, want)


@pytest.mark.parametrize("shape", [(), 0, 5, (3,), (2, 3), [2, 3], (0, 4), np.int64(3), (np.int8(2), 2), (1,) * 9])
@pytest.mark.parametrize("order", ["C", "F"])
def test_shapes(pool: ndpool.Pool, shape: Any, order: Any) -> None:
    same(pool.zeros(shape, "i2", order), np.zeros(shape, "i2", order))
    same(pool.ones(shape, "f4", order), np.ones(shape, "f4", order))
    same(pool.full(shape, 7, order=order), np.full(shape, 7, order=order))
    assert pool.empty(shape, order=order).shape == np.empty(shape, order=order).shape


def test_default_dtypes(pool: ndpool.Pool) -> None:
    same(pool.zeros(3), np.zeros(3))
    same(pool.ones(3), np.ones(3))
    for value in (1, 1.5, 2j, True, "text", b"bytes", np.float32(1), np.datetime64("2020-01-01")):
        same(pool.full(2, value), np.full(2, value))
    same(pool.full((2, 3), [1, 2, 3]), np.full((2, 3), [1, 2, 3]))
    same(pool.full(2, np.uint16(300), "u1"), np.full(2, 44, "u1"))
    assert pool.empty(3).dtype == float and pool.empty(3, None).dtype == float


@pytest.mark.parametrize("bad", [-1, (2, -1), (1 << 62, 4), (1,) * 65])
def test_impossible_shapes(pool: ndpool.Pool, bad: Any) -> None:
    with pytest.raises((ValueError, MemoryError)) as e:
        pool.empty(bad)
    assert isinstance(e.value, (ValueError, SpecError, FullError))
    with pytest.raises(TypeError):
        pool.empty("3")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        pool.empty(1.5)  # type: ignore[arg-type]
    assert pool.stats().arrays == 0


def test_array(pool: ndpool.Pool) -> None:
    for source in (
        3,
        [1, 2],
        [[1.5], [2]],
        (True, False),
        range(4),
        "text",
        [],
        np.arange(6).reshape(2, 3),
        np.float32(2),
    ):
        same(pool.array(source), np.array(source))
    same(pool.array([1, 2], "f4"), np.array([1, 2], "f4"))
    same(pool.array([1, 2], ndmin=3), np.array([1, 2], ndmin=3))
    f = np.asfortranarray(np.arange(6).reshape(2, 3))
    same(pool.array(f), np.array(f))
    same(pool.array(f, order="C"), np.array(f, order="C"))
    same(pool.array(f.T), np.array(f.T))
    same(pool.array(f[:, ::2]), np.ascontiguousarray(f[:, ::2]))
    same(pool.array(np.broadcast_to(np.arange(3), (4, 3))), np.broadcast_to(np.arange(3), (4, 3)).copy())
    same(pool.array(np.arange(5.0)[::-1], "i8"), np.arange(5)[::-1].copy())
    same(pool.array(np.ma.array([[1, 2]])), np.array([[1, 2]]))
    with pytest.raises(TypeError):
        pool.array([object()])
    with pytest.raises(ValueError):
        pool.array([1, 2], order="X")  # type: ignore[arg-type]


def test_a_failed_fill_leaves_nothing(pool: ndpool.Pool) -> None:
    with pytest.raises(ValueError):
        pool.full((2, 3), [1, 2])
    with pytest.raises((TypeError, ValueError)):
        pool.array(["x"], "f8")
    assert pool.stats().arrays == 0


def test_asarray(pool: ndpool.Pool, name: str) -> None:
    a = pool.arange(6)
    assert pool.asarray(a) is a
    assert pool.asarray(a, "i8", "C") is a
    view = a[::2]
    assert pool.asarray(view) is view
    assert pool.asarray(view, order="C") is not view
    assert pool.ascontiguousarray(view).flags.c_contiguous
    assert pool.asfortranarray(np.arange(6).reshape(2, 3)).flags.f_contiguous
    assert pool.ascontiguousarray(3).shape == (1,)
    same(pool.asarray(a, "f4"), np.arange(6, dtype="f4"))
    assert pool.copy(a) is not a and not np.shares_memory(pool.copy(a), a)
    with ndpool.Pool.anonymous(capacity="1M") as other:
        b = other.asarray(a)
        assert b is not a and other.owns(b) and not pool.owns(b)


def test_arange(pool: ndpool.Pool) -> None:
    same(pool.arange(5), np.arange(5))
    same(pool.arange(2, 9, 3), np.arange(2, 9, 3))
    same(pool.arange(0, 1, 0.25, dtype="f4"), np.arange(0, 1, 0.25, dtype="f4"))


@pytest.mark.parametrize(
    "source", [np.ones((2, 3), "i2"), np.ones((2, 3), ">f4", "F"), [[1, 2], [3, 4]], 5, np.ma.ones(3)], ids=repr
)
def test_likes(pool: ndpool.Pool, source: Any) -> None:
    plain = np.asarray(source)
    same(pool.zeros_like(source), np.zeros_like(plain))
    same(pool.ones_like(source), np.ones_like(plain))
    same(pool.full_like(source, 4), np.full_like(plain, 4))
    same(pool.zeros_like(source, "c8", "C", True, (4,)), np.zeros_like(plain, "c8", "C", True, (4,)))
    same(pool.zeros_like(source, order="F"), np.zeros_like(plain, order="F"))
    assert pool.empty_like(source, shape=(2, 2)).shape == (2, 2)
    assert pool.empty_like(source).dtype == plain.dtype


def test_numpys_parameters() -> None:
    """Parameters have numpy's names in numpy's order, wherever numpy tells its own."""
    for name in ("ones", "full", "empty_like", "zeros_like", "ones_like", "full_like"):
        try:
            theirs = list(inspect.signature(getattr(np, name)).parameters)
        except ValueError:
            continue
        for ours in (getattr(ndpool.Pool, name), getattr(ndpool, name)):
            mine = [p for p in inspect.signature(ours).parameters if p not in ("self", "timeout")]
            assert mine == [p for p in theirs if p not in ("device", "like")], name


def test_structured(pool: ndpool.Pool) -> None:
    dtype = np.dtype([("a", "i4"), ("b", "f8", (2,))])
    same(pool.zeros(3, dtype), np.zeros(3, dtype))
    same(pool.ones(3, dtype), np.ones(3, dtype))
    same(pool.array([(1, (2, 3))], dtype), np.array([(1, (2, 3))], dtype))


def test_memory_comes_back(pool: ndpool.Pool) -> None:
    for _ in range(10):
        a = pool.empty(40 << 20, "u1")
        view = a[5:]
        del a
        assert pool.stats().arrays == 1
        del view
        assert pool.stats().arrays == 0


def test_full_tells_numbers(pool: ndpool.Pool) -> None:
    a = pool.empty(40 << 20, "u1")
    with pytest.raises(FullError) as e:
        pool.empty(40 << 20, "u1")
    assert e.value.asked is not None and e.value.asked >= 40 << 20
    assert e.value.capacity == 64 << 20
    assert e.value.held is not None and e.value.held >= a.nbytes
    assert e.value.pid


def test_timeout(pool: ndpool.Pool) -> None:
    a: Any = pool.empty(40 << 20, "u1")
    start = time.monotonic()
    with pytest.raises((FullError, TimeoutError)):
        pool.zeros(40 << 20, "u1", timeout=0.2)
    assert 0.15 < time.monotonic() - start < 5
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.append(pool.ones(40 << 20, "u1", timeout=None)))
    waiter.start()
    time.sleep(0.1)
    del a
    waiter.join(20)
    assert got and got[0].nbytes == 40 << 20


def test_many_threads(pool: ndpool.Pool) -> None:
    def work(seed: int) -> None:
        for i in range(300):
            a = pool.full(50 + i % 7, seed)
            b = pool.adopt(pool.send(a))
            if not (b == seed).all():
                wrong.append(seed)

    wrong: list[int] = []
    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert pool.stats().arrays == 0
