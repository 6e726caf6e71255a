"""Transfers by hand, handles and sealing; and what goes by value."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors

Array = np.ndarray[Any, Any]
MB = 1 << 20


@pytest.fixture
def other(pool: ndpool.Pool) -> Iterator[ndpool.Pool]:
    """A second attachment to the pool: for the pool it is another process."""
    with ndpool.Pool.open(pool.name) as p:
        yield p


# ---- send and adopt


def test_send_and_adopt(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A transfer is 16 bytes, and whoever adopts it has the same memory."""
    a = pool.array(np.arange(6).reshape(2, 3), order="F")
    assert ndpool.is_private(a)
    transfer = pool.send(a)
    assert type(transfer) is bytes and len(transfer) == 16 and not ndpool.is_private(a)
    b = other.adopt(transfer)
    assert b.shape == (2, 3) and b.dtype == a.dtype and b.flags.f_contiguous and np.array_equal(a, b)
    b[1, 2] = 99
    assert a[1, 2] == 99 and other.owns(b) and pool.stats().arrays == 1
    assert sorted(pool.arrays()[0].holders) == sorted(p.slot for p in pool.processes())


def test_transfer_keeps_the_array(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """Between sending and adopting nobody need have the array."""
    transfer = pool.send(pool.full(100, 7))
    gc.collect()
    filler = [pool.full(100, 1) for _ in range(20)]
    [info] = pool.tickets()
    assert (info.transfer, info.sender, info.receiver, info.expires) == (transfer, pool.process, None, None)
    assert info.handle == int.from_bytes(transfer[:8], "little") and 0 <= info.age < 60
    assert (other.adopt(transfer) == 7).all()
    del filler
    assert pool.stats().arrays == 0


def test_messages(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A view is sent as a message, which names the pool, and can be any bytes-like object."""
    a = pool.arange(10)
    message = pool.send(a[::-2])
    assert len(message) > 40 and message[:2] == b"nd" and message[8:24] == pool.segment
    b = other.adopt(memoryview(bytearray(message)))
    assert b.tolist() == [9, 7, 5, 3, 1]
    assert len(pool.send(a[:])) == 16 and pool.recall(older_than=0) == 1


def test_functions_find_the_pool(pool: ndpool.Pool) -> None:
    """The functions of the package take messages of any pool that is open here."""
    a = pool.arange(10)
    assert ndpool.adopt(ndpool.send(a[3:5])).tolist() == [3, 4]
    message = ndpool.send(a[1:])
    ndpool.recall(message)
    with pytest.raises(errors.RecalledError):
        ndpool.adopt(message)
    assert ndpool.is_shared(a) and not ndpool.is_private(a)


def test_read_only_receivers(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A receiver may take an array read-only, and then cannot make it writable; others still write."""
    a = pool.zeros((2, 3))
    got = [
        other.adopt(pool.send(a), readonly=True),
        other.adopt(pool.send(a[:, 1:]), readonly=True),
        other.retain(pool.handle(a), readonly=True),
    ]
    a[1, 2] = 5
    for b in got:
        assert b[-1, -1] == 5 and not b.flags.writeable and b.base.readonly and memoryview(b.base).readonly
        with pytest.raises(ValueError):
            b.flags.writeable = True
        with pytest.raises(ValueError):
            b += 1


def test_directed_transfer(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A directed transfer is for one process; others are refused and spoil nothing."""
    a = pool.arange(5)
    transfer = pool.send(a, to=other.process)
    assert pool.tickets()[0].receiver == other.process
    with ndpool.Pool.open(pool.name) as third:
        for p in (pool, third):
            with pytest.raises(errors.NotReceiverError):
                p.adopt(transfer)
    assert other.adopt(transfer).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(errors.SpentError):
        other.adopt(transfer)


def test_directed_at_nobody(pool: ndpool.Pool) -> None:
    """A process that is not attached, or not any more, gets nothing."""
    a = pool.arange(5)
    gone = ndpool.Pool.open(pool.name)
    process = gone.process
    transfer = pool.send(a, to=process)
    assert pool.alive(process) and pool.stats().transfers == 1
    gone.close()
    assert not pool.alive(process) and pool.stats().transfers == 0
    for nobody in (process, 12345):
        with pytest.raises(errors.DeadError) as caught:
            pool.send(a, to=nobody)
        assert isinstance(caught.value, ProcessLookupError)
    with pytest.raises(errors.TransferError):
        pool.recall(transfer)
    with pytest.raises((TypeError, OverflowError)):
        pool.send(a, to=-1)


def test_refuse(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A receiver may refuse all that a process has directed at it."""
    a = pool.arange(5)
    for _ in range(3):
        pool.send(a, to=other.process)
    free = pool.send(a)
    assert other.refuse(pool.process) == 3 and other.refuse(pool.process) == 0
    assert other.adopt(free).sum() == 10 and pool.stats().transfers == 0


def test_spent(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A transfer is adopted once, whoever tries, and cannot be recalled afterwards."""
    transfer = pool.send(a := pool.arange(5))
    b = other.adopt(transfer)
    for p in (pool, other):
        with pytest.raises(errors.SpentError):
            p.adopt(transfer)
    with pytest.raises(errors.SpentError):
        pool.recall(transfer)
    assert b.sum() == a.sum()


def test_recalled(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A sender takes a transfer back, once; others cannot."""
    transfer, message = pool.send(a := pool.arange(5)), pool.send(a[1:])
    with pytest.raises(errors.NotSenderError):
        other.recall(transfer)
    assert pool.recall(transfer) == pool.recall(message) == 1
    for t in (transfer, message):
        with pytest.raises(errors.RecalledError):
            other.adopt(t)
        with pytest.raises(errors.RecalledError):
            pool.recall(t)
    assert pool.stats().transfers == 0
    for wrong in ({}, {"transfer": transfer, "older_than": 1.0}):
        with pytest.raises(TypeError):
            pool.recall(**wrong)


def test_forged(pool: ndpool.Pool) -> None:
    """Transfers and messages that nobody sent are refused, and change nothing."""
    a = pool.arange(5)
    transfer = pool.send(a)
    forged = [transfer[:8] + bytes(8), transfer[:12] + b"\xff\xff\xff\x7f", transfer[:8] + b"\xff" * 8]
    for t in forged:
        with pytest.raises(errors.TransferError):
            pool.adopt(t)
    other_handle = (pool.handle(pool.zeros(3)) + 1).to_bytes(8, "little")
    with pytest.raises(errors.NdpoolError):
        pool.adopt(other_handle + transfer[8:])
    for t in (b"", b"x" * 15, b"x" * 17, b"x" * 39, b"x" * 40, b"nd" + bytes(38)):
        with pytest.raises(errors.MessageError):
            pool.adopt(t)
        with pytest.raises(errors.MessageError):
            ndpool.adopt(b"nd" + t[2:] if 20 < len(t) < 40 else b"x" * 41)
    assert pool.adopt(transfer).sum() == 10 and pool.verify().clean


def test_forged_views(pool: ndpool.Pool) -> None:
    """No change of a message gives an array that reaches out of its block."""
    a = pool.arange(12).reshape(3, 4)
    lo, hi = a.ctypes.data, a.ctypes.data + a.nbytes
    message = pool.send(a[1:, ::2])
    accepted = 0
    for bit in range(40 * 8, len(message) * 8):
        text = bytearray(message)
        text[bit // 8] ^= 1 << bit % 8
        try:
            b = pool.adopt(text)
        except (errors.NdpoolError, ValueError):
            continue
        accepted += 1
        first, behind = np.lib.array_utils.byte_bounds(b) if hasattr(np.lib, "array_utils") else np.byte_bounds(b)
        assert b.size == 0 or lo <= first <= behind <= hi
        message = pool.send(a[1:, ::2])
    assert 0 < accepted < 200
    pool.recall(older_than=0)


def test_expired(name: str) -> None:
    """A transfer to anybody outlives its sender by the grace and no longer."""
    with ndpool.Pool.create(name, capacity=MB, grace=0.1) as p:
        sender = ndpool.Pool.open(name)
        first, second = sender.send(sender.arange(3)), sender.send(sender.arange(4))
        sender.close()
        assert {t.expires is not None and t.expires <= 0.1 for t in p.tickets()} == {True}
        assert p.adopt(first).sum() == 3
        time.sleep(0.15)
        with pytest.raises(errors.ExpiredError):
            p.adopt(second)
        p.reap()
        assert (p.stats().arrays, p.stats().transfers, p.stats().expired) == (0, 0, 1)


def test_arrays_of_elsewhere(pool: ndpool.Pool) -> None:
    """Arrays in private memory and of other pools are refused, with what would help."""
    works: list[Callable[[Array], object]] = [pool.send, pool.handle, pool.seal]
    with ndpool.Pool.anonymous(capacity=MB) as q:
        for work in works:
            with pytest.raises(errors.ForeignError, match="copy"):
                work(q.zeros(3))
            with pytest.raises(errors.MismatchError, match="private"):
                work(np.zeros(3))
        for message in (q.send(q.arange(3)[1:]), q.send(q.zeros(3))):
            with pytest.raises(errors.NdpoolError):
                pool.adopt(message)
        q.recall(older_than=0)
    for f in (ndpool.send, ndpool.handle, ndpool.is_private, ndpool.is_sealed, ndpool.check_hash):
        with pytest.raises(errors.MismatchError):
            f(np.zeros(3))
    with pytest.raises(TypeError):
        pool.send([1, 2, 3])  # type: ignore[arg-type]


def test_is_shared(pool: ndpool.Pool) -> None:
    """is_shared tells what lies in a pool, of whatever class it is."""
    a = pool.zeros((4, 4))
    for x in (a, a[1:], a.T, a.view(np.matrix), memoryview(a), np.broadcast_to(a, (2, 4, 4)), a.base, np.ma.asarray(a)):
        assert ndpool.is_shared(x)
    for x in (a + 1, a.copy(), a[[1]], np.zeros(3), a[0, 0], [a], None, "text", 3, bytes(a)):
        assert not ndpool.is_shared(x)


# ---- handles


def test_retain_by_handle(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """Whoever is told a handle gets the whole array, while somebody holds it."""
    a = pool.arange(10)
    h = pool.handle(a[5:])
    assert h == ndpool.handle(a) == a.base.handle
    b = other.retain(h)
    a[0] = 90
    assert b.tolist() == a.tolist()
    del a
    assert b[0] == 90
    del b
    with pytest.raises(errors.StaleError):
        other.retain(h)


def test_private_handle(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A handle that its owner never showed is refused to others."""
    a = pool.arange(3)
    with pytest.raises(errors.PrivateError):
        other.retain(a.base.handle)
    pool.handle(a)
    assert other.retain(a.base.handle).sum() == 3


def test_stale_handle_of_reused_memory(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A handle never leads to an array that came to lie in the same place later."""
    seen: set[int] = set()
    for k in range(50):
        a = pool.full(100, k)
        seen.add(pool.handle(a))
        for h in seen - {a.base.handle}:
            with pytest.raises(errors.StaleError):
                other.retain(h)
        del a
    assert len(seen) == 50


def test_forged_handle(pool: ndpool.Pool) -> None:
    """Numbers that are no handles are refused."""
    h = pool.handle(a := pool.zeros(3))
    for bad in (0, 1, h + 1, h ^ 1 << 63, (1 << 64) - 1):
        with pytest.raises(LookupError):
            pool.retain(bad)
    for bad in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            pool.retain(bad)
    with pytest.raises(TypeError):
        pool.retain(1.5)  # type: ignore[arg-type]
    assert pool.retain(h).shape == a.shape


# ---- sealing


def test_seal(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A sealed array is read-only here and at every receiver, whatever way it takes there."""
    a = pool.arange(10).reshape(2, 5)
    a = pool.seal(a)
    assert ndpool.is_sealed(a) and a.shape == (2, 5) and a[1, 4] == 9
    got = [
        a,
        other.adopt(pool.send(a)),
        other.adopt(pool.send(a[:, ::2])),
        other.retain(pool.handle(a)),
        a[1:],
        a.view("u1"),
    ]
    for b in got:
        assert ndpool.is_sealed(b) and not b.flags.writeable
        with pytest.raises(ValueError):
            b[...] = 0
        with pytest.raises(ValueError):
            b.flags.writeable = True
    assert memoryview(a.base).readonly and pool.arrays()[0].sealed
    with pytest.raises(errors.SealedError):
        pool.seal(a)


def test_seal_wants_to_be_alone(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """Another holder, a second reference and a transfer in flight are each a reason not to seal, and go on writing."""
    a = pool.arange(10)
    b = other.adopt(pool.send(a))
    with pytest.raises(errors.HeldError):
        pool.seal(a)
    b[0] = 5
    del b
    b = pool.retain(pool.handle(a))
    with pytest.raises(errors.HeldError):
        pool.seal(a)
    del b
    transfer = pool.send(a)
    with pytest.raises(errors.HeldError):
        pool.seal(a)
    pool.recall(transfer)
    with pytest.raises(errors.MismatchError):
        pool.seal(a[1:])
    a[1] = 6
    assert pool.seal(a)[:2].tolist() == [5, 6]


def test_hash(pool: ndpool.Pool, other: ndpool.Pool) -> None:
    """A hash is compared wherever the array is; without one there is nothing to compare."""
    s = pool.seal(pool.arange(1000), hash=True)
    ndpool.check_hash(s)
    ndpool.check_hash(other.adopt(pool.send(s[10:20])))
    assert pool.arrays()[0].hashed and pool.verify(content=True).clean
    for a in (pool.seal(pool.arange(3)), pool.arange(3)):
        with pytest.raises(errors.MismatchError):
            ndpool.check_hash(a)


def test_hash_of_changed_bytes(pool: ndpool.Pool) -> None:
    """A byte that somebody changed in the file is found by the hash, and by verify."""
    s = ndpool.seal(pool.arange(1000), hash=True)
    [info] = pool.arrays()
    with open(pool.path, "r+b") as f:
        content = f.read()
        at = content.index(s.tobytes())
        f.seek(at + 7)
        f.write(b"\x01")
    with pytest.raises(errors.HashError):
        ndpool.check_hash(s)
    assert [f.law for f in pool.verify(content=True).faults] != [] and info.hashed
    with open(pool.path, "r+b") as f:
        f.seek(at + 7)
        f.write(content[at + 7 : at + 8])
    ndpool.check_hash(s)


# ---- by value


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "protocol 5": lambda x: pickle.loads(pickle.dumps(x, protocol=5)),
    "protocol 2": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "python's pickler": lambda x: pickle._loads(pickle._dumps(x)),  # type: ignore[attr-defined]
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "method": lambda x: x.copy(),
    "save": lambda x: saved(x),
}


def saved(x: Array) -> Any:
    """Writes an array to a file of numpy's, and reads it."""
    f = io.BytesIO()
    np.save(f, x)
    f.seek(0)
    return np.load(f)


@pytest.mark.parametrize("way", COPIES)
def test_copies_are_private(name: str, way: str) -> None:
    """Plain pickle and copy make arrays in private memory, which go on when the pool is gone."""
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.arange(12).reshape(3, 4)
    made = [COPIES[way](x) for x in (a, a.T, a[::-1, 1:])]
    of_sealed = COPIES[way](ndpool.seal(p.arange(3)))
    for m in made:
        assert not ndpool.is_shared(m) and m.flags.writeable
        m += 1
    assert not ndpool.is_shared(of_sealed)
    assert a.sum() == 66 and p.stats().transfers == 0
    del a
    p.close()
    with pytest.raises(errors.NotExistError):
        ndpool.Pool.open(name)
    assert made[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert of_sealed.tolist() == [0, 1, 2] and np.array_equal(made[1], made[0].T)
    assert np.array_equal(made[2], made[0][::-1, 1:])


def test_deepcopy_of_structures(pool: ndpool.Pool) -> None:
    """deepcopy copies arrays in structures; copy takes them as they are."""
    x = {"a": [pool.zeros(3)]}
    deep, flat = copy.deepcopy(x), copy.copy(x)
    deep["a"][0][0] = 1
    assert x["a"][0][0] == 0 and flat["a"][0] is x["a"][0] and pool.stats().arrays == 1


def test_out_of_band_pickles(pool: ndpool.Pool) -> None:
    """Out-of-band pickling gives buffers over the pool's memory, which keep it."""
    buffers: list[pickle.PickleBuffer] = []
    a = pool.arange(10)
    text = pickle.dumps(a, protocol=5, buffer_callback=buffers.append)
    del a
    assert pool.stats().arrays == 1
    b = pickle.loads(text, buffers=buffers)
    assert b.sum() == 45
    del b
    buffers.clear()
    assert pool.stats().arrays == 0


def test_pool_objects_can_be_pickled(pool: ndpool.Pool) -> None:
    """A pickled Pool is the Pool of that segment; copies are the same object."""
    assert pickle.loads(pickle.dumps(pool)) is pool
    assert copy.copy(pool) is pool and copy.deepcopy([pool])[0] is pool
