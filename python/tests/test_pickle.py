"""What multiprocessing's pickler makes of arrays and pools."""

import copy
import logging
import multiprocessing as mp
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors


def dumps(a: Any) -> bytes:
    return bytes(ForkingPickler.dumps(a))


@pytest.fixture
def installed(pool: ndpool.Pool) -> Iterator[ndpool.Pool]:
    ndpool.install(1000, pool)
    yield pool
    ndpool.uninstall()


def test_by_reference(pool: ndpool.Pool) -> None:
    a = pool.arange(10000).reshape(100, 100)
    for view in (
        a,
        a[5],
        a[::2, 3:-3:3],
        a.T,
        a[::-1, ::-1],
        a[3, 4:5],
        a.reshape(-1),
        a.view("f8"),
        a[7, 7, None],
        a[:0],
    ):
        message = dumps(view)
        assert len(message) < 400
        b = pickle.loads(message)
        assert type(b) is np.ndarray and pool.owns(b)
        assert b.dtype == view.dtype and b.shape == view.shape and b.strides == view.strides
        assert np.array_equal(b, view, equal_nan=True)
    a[0, 0] = -5
    assert pickle.loads(dumps(a))[0, 0] == -5
    del b
    assert pool.stats().transfers == 0


def test_nested(pool: ndpool.Pool) -> None:
    a = pool.arange(5)
    x = {"a": [a, a[1:]], "b": (np.arange(3), "text"), "c": {1: a}}
    y = pickle.loads(dumps(x))
    assert pool.owns(y["a"][0]) and pool.owns(y["a"][1]) and y["c"][1].tolist() == [0, 1, 2, 3, 4]
    assert not ndpool.is_shared(y["b"][0])
    assert pool.stats().transfers == 0


def test_by_value(pool: ndpool.Pool) -> None:
    a = pool.arange(100)

    for private in (
        np.arange(5),
        a * 2,
        a[a > 3],
        a.copy(),
        np.array([object, None]),
        np.asfortranarray(np.ones((2, 3))),
    ):
        b = pickle.loads(dumps(private))
        assert not ndpool.is_shared(b) and np.array_equal(b, private)
        assert b.flags.f_contiguous == private.flags.f_contiguous
    for sub in (np.ma.masked_equal([1, 2], 1), np.zeros(2, [("a", "i4")]).view(np.recarray)):
        assert type(pickle.loads(dumps(sub))) is type(sub)


def test_other_picklers_see_a_value(pool: ndpool.Pool) -> None:
    a = pool.arange(100)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        b = pickle.loads(pickle.dumps(a, protocol))
        assert not ndpool.is_shared(b) and np.array_equal(a, b)
    for b in (copy.copy(a), copy.deepcopy(a), copy.deepcopy([a])[0]):
        assert not ndpool.is_shared(b) and np.array_equal(a, b)
    assert pool.stats().transfers == 0
    with pytest.raises(TypeError):
        pickle.dumps(a.base)


def test_sealed_stays_sealed(pool: ndpool.Pool) -> None:
    a = pool.seal(pool.arange(5))
    b = pickle.loads(dumps(a))
    assert ndpool.is_sealed(b) and not b.flags.writeable
    assert not pickle.loads(dumps(a[1:])).flags.writeable


def test_a_message_is_read_once(pool: ndpool.Pool) -> None:
    message = dumps(pool.arange(5))
    pickle.loads(message)
    with pytest.raises(errors.SpentError):
        pickle.loads(message)


def test_closed_pool_goes_by_value(name: str) -> None:
    with ndpool.Pool(name, capacity="1M") as p:
        a = p.arange(5)
    b = pickle.loads(dumps(a))
    assert not ndpool.is_shared(b) and b.tolist() == [0, 1, 2, 3, 4]


def test_pool_that_is_gone(run: Any, name: str) -> None:
    """The receiver is told, in words."""
    program = """
        import sys, pickle, ndpool
        try:
            pickle.loads(bytes.fromhex(sys.argv[1]))
        except ndpool.NdpoolError as e:
            print(type(e).__name__, e)
    """
    p = ndpool.Pool(name, capacity="1M")
    message = dumps(p.arange(5)).hex()
    ndpool.unlink(name)
    assert run(program, message).startswith("NotExistError ")
    other = ndpool.Pool(name, capacity="1M")
    told = run(program, message)
    assert told.startswith("ForeignError ") and "another one has its name" in told
    other.close()
    p.close()
    anonymous = ndpool.Pool.anonymous(capacity="1M")
    a = anonymous.arange(5)
    message = dumps(a).hex()
    assert (
        run(program.replace("pickle.loads(b", "print(pickle.loads(b").replace("[1]))", "[1])))"), message)
        == "[0 1 2 3 4]"
    )
    message = dumps(a).hex()
    anonymous.recall(older_than=0)
    anonymous.close()
    assert "must live" in run(program, message)


def test_anonymous_pool_whose_object_is_gone(run: Any) -> None:
    a = ndpool.Pool.anonymous(capacity="1M").arange(5)
    assert run("import sys, pickle; print(pickle.loads(bytes.fromhex(sys.argv[1])))", dumps(a).hex()) == "[0 1 2 3 4]"


def test_relative_directory(name: str) -> None:
    with ndpool.Pool(name, dir=os.path.relpath("/dev/shm"), capacity="1M") as p:
        assert p.path == f"/dev/shm/{name}"
        assert pickle.loads(dumps(p.arange(5))).sum() == 10


def test_install(installed: ndpool.Pool) -> None:
    for a in (
        np.arange(1000),
        np.arange(2000)[::2],
        np.asfortranarray(np.ones((30, 30))),
        np.zeros(100, [("a", "f8"), ("b", "i4")]),
    ):
        message = dumps(a)
        assert len(message) < 500
        b = pickle.loads(message)
        assert installed.owns(b) and np.array_equal(a, b) and b.dtype == a.dtype and b.flags.writeable
        assert b.flags.f_contiguous == a.flags.f_contiguous or not a.flags.contiguous
    del b
    assert installed.stats().arrays == 0, "the message alone kept it"
    for a in (np.arange(10), np.array([1.5] * 1000, object), np.ma.ones(1000)):
        assert not ndpool.is_shared(pickle.loads(dumps(a)))
    ndpool.uninstall()
    assert not ndpool.is_shared(pickle.loads(dumps(np.arange(1000))))
    with pytest.raises(ValueError):
        ndpool.install(-1)


def test_install_in_a_full_pool(installed: ndpool.Pool, caplog: pytest.LogCaptureFixture) -> None:
    kept = installed.empty(60 << 20, "u1")
    with caplog.at_level(logging.DEBUG, "ndpool"):
        b = pickle.loads(dumps(np.ones(10 << 20, "u1")))
    assert not ndpool.is_shared(b) and b.sum() == 10 << 20
    assert "10485760 bytes are sent by value" in caplog.text and kept.nbytes


def test_pools(pool: ndpool.Pool) -> None:
    assert pickle.loads(pickle.dumps(pool)) is pool
    assert copy.copy(pool) is pool and copy.deepcopy(pool) is pool


def look(pool: ndpool.Pool, a: Any) -> Any:
    assert pool.owns(a) and pool.process
    return os.getpid(), pool.array(a * 2), pool.segment


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("anonymous", [False, True])
def test_executors(pool: ndpool.Pool, method: str, anonymous: bool) -> None:
    p = ndpool.Pool.anonymous(capacity="4M") if anonymous else pool
    a = p.arange(4)
    with ProcessPoolExecutor(1, mp.get_context(method)) as workers:
        pid, b, segment = workers.submit(look, p, a).result(timeout=60)
        c = workers.submit(look, p, b).result(timeout=60)[1]
    assert pid != os.getpid() and segment == p.segment
    assert p.owns(b) and p.owns(c) and c.tolist() == [0, 4, 8, 12]
    if anonymous:
        p.close()


def test_errors_cross_processes(pool: ndpool.Pool) -> None:
    with ProcessPoolExecutor(1, mp.get_context("spawn")) as workers, pytest.raises(errors.FullError) as e:
        workers.submit(pool.empty, 1 << 30).result(timeout=60)
    assert e.value.capacity == 64 << 20


def test_transferable(pool: ndpool.Pool) -> None:
    a = pool.arange(5)
    assert ndpool.make_transferable(a) is a
    assert ndpool.make_transferable(a) is a
    assert pool.stats().transfers == 1, "kept once"
    h = pool.handle(a)
    del a
    a = pool.retain(h)
    t = pool.send(a)
    assert pool.stats().transfers == 1
    pool.adopt(t)
    del a
    assert pool.stats().arrays == 0


def test_forked_child_forgets_promises(pool: ndpool.Pool) -> None:
    a = ndpool.make_transferable(pool.arange(5))
    pid = os.fork()
    if pid == 0:
        b = pickle.loads(dumps(a))
        os._exit(0 if b.sum() == 10 and pool.stats().transfers == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    del a
    assert pool.stats().arrays == 1
    pool.recall(older_than=0)


def test_fork_into_a_full_table(run: Any, name: str) -> None:
    out = run(
        """
        import logging, os, sys, ndpool
        logging.basicConfig(format="%(message)s", stream=sys.stdout)
        p = ndpool.Pool(sys.argv[1], capacity="1M", processes=1)
        a = p.arange(5)
        pid = os.fork()
        if pid == 0:
            try:
                p.zeros(3)
            except ndpool.errors.ForkedError as e:
                assert p.forked
                sys.stdout.flush()
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert a.sum() == 10 and not p.forked
        p.close()
        """,
        name,
    )
    assert "process table" in out
