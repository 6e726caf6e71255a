"""Exceptions: their bases, numbers, and pickling."""

import copy
import errno
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import ndpool
from ndpool import errors
from ndpool.errors import NdpoolError, make_error

CLASSES = [cls for name in errors.__all__ if issubclass(cls := getattr(errors, name), NdpoolError)]
NUMBERS = {"asked": 1, "free": 2, "largest": 3, "capacity": 4, "held": 5, "limit": 6, "pid": 7, "slot": 8}


def test_every_status_has_a_class() -> None:
    header = (Path(__file__).parents[1] / "csrc/ndpool.h").read_text()
    names = re.findall(r"NDPOOL_ERR_([A-Z_]+),", header)
    assert len(names) > 30
    for name in names:
        e = make_error(name.lower().replace("_", "-"), "text", {})
        assert type(e) is not NdpoolError, name
        assert e.status == name.lower().replace("_", "-")
    assert type(make_error("internal", "text", {})) is NdpoolError


def test_statuses_are_unique() -> None:
    statuses = [cls.status for cls in CLASSES]
    assert len(set(statuses)) == len(statuses)
    for cls in CLASSES:
        assert cls.__doc__


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.FullError, MemoryError),
        (errors.TableFullError, MemoryError),
        (errors.NoMemoryError, MemoryError),
        (errors.NotExistError, FileNotFoundError),
        (errors.ExistError, FileExistsError),
        (errors.AccessError, PermissionError),
        (errors.LockTimeoutError, TimeoutError),
        (errors.WaitTimeoutError, TimeoutError),
        (errors.StaleError, LookupError),
        (errors.SpentError, LookupError),
        (errors.SpecError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.ClosedError, ValueError),
        (errors.DeadError, ProcessLookupError),
        (errors.ForkedError, RuntimeError),
        (errors.PathError, ValueError),
        (errors.NoNameError, KeyError),
        (errors.NameTakenError, FileExistsError),
        (errors.GroupError, TypeError),
        (errors.VersionError, RuntimeError),
        (errors.AttributesError, ValueError),
        (errors.NotLockedError, RuntimeError),
        (errors.KindError, TypeError),
        (errors.WriterError, RuntimeError),
        (errors.StreamEnded, EOFError),
        (errors.WriterDied, errors.StreamEnded),
        (errors.TooLongError, ValueError),
    ],
)
def test_builtin_bases(cls: type[NdpoolError], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(cls: type[NdpoolError], protocol: int) -> None:
    e = cls("took 5 of 3", **NUMBERS, errno=errno.EIO, filename="/dev/shm/x")
    e.add_note("a note")
    for other in (pickle.loads(pickle.dumps(e, protocol)), copy.copy(e), copy.deepcopy(e)):
        assert type(other) is cls
        assert str(other) == "took 5 of 3" == other.message
        assert {k: getattr(other, k) for k in NUMBERS} == NUMBERS
        assert other.errno == errno.EIO and other.filename == "/dev/shm/x"
        assert other.__notes__ == ["a note"]


def test_made_by_the_core(pool: ndpool.Pool, name: str) -> None:
    with pytest.raises(FileExistsError) as exists:
        ndpool.Pool.create(name)
    assert exists.value.errno == errno.EEXIST and name in str(exists.value)
    with pytest.raises(FileNotFoundError) as missing:
        ndpool.Pool.open(name + "-not")
    assert missing.value.errno == errno.ENOENT
    with pytest.raises(errors.PoolNameError):
        ndpool.Pool("a/b")
    with pytest.raises(errors.OptionsError, match="capacity"):
        ndpool.Pool.open(name, capacity="32M")
    with pytest.raises(errors.StaleError):
        a = pool.zeros(3)
        h = pool.handle(a)
        del a
        pool.retain(h)
    with pytest.raises(errors.ForeignError):
        pool.retain(0xFFFF_FFFF_FFFF_FFF0)
    with pytest.raises(errors.MessageError):
        pool.adopt(b"xyz")
    with pytest.raises(errors.DeadError):
        pool.send(pool.zeros(2), pool.process + (1 << 32))


def test_transfers(pool: ndpool.Pool) -> None:
    a = pool.arange(4)
    t = pool.send(a)
    pool.adopt(t)
    for cls, what in ((errors.SpentError, t), (errors.ForgedError, t[:8] + b"\x01\0\0\0\x01\0\0\0")):
        with pytest.raises(cls):
            pool.adopt(what)
        with pytest.raises(LookupError):
            pool.recall(what)
    t = pool.send(a[1:])
    assert pool.recall(t) == 1
    with pytest.raises(errors.RecalledError):
        pool.adopt(t)
    pool.send(a)
    assert pool.recall(older_than=0) == 1
    with pytest.raises(TypeError):
        pool.recall()  # type: ignore[call-overload]


def test_sealing(pool: ndpool.Pool) -> None:
    a = pool.arange(1000)
    b = pool.adopt(pool.send(a))
    with pytest.raises(errors.HeldError):
        pool.seal(a)
    del b
    a = pool.seal(a, hash=True)
    assert ndpool.is_sealed(a) and not a.flags.writeable
    ndpool.check_hash(a)
    with pytest.raises(errors.SealedError):
        pool.seal(a)
    with pytest.raises(ValueError):
        a[0] = 1
    c = pool.adopt(pool.send(a))
    assert not c.flags.writeable
    assert not pool.adopt(pool.send(pool.arange(5)[2:]), readonly=True).flags.writeable


def test_private_memory_is_refused(pool: ndpool.Pool) -> None:
    a = np.zeros(3)
    assert not ndpool.is_shared(a) and not pool.owns(a)
    for f in (ndpool.handle, ndpool.send, ndpool.seal, ndpool.is_sealed, pool.send, pool.handle, pool.seal):
        with pytest.raises(errors.MismatchError):
            f(a)
    with ndpool.Pool.anonymous(capacity="1M") as other, pytest.raises(errors.ForeignError):
        pool.send(other.zeros(3))


def test_closed(pool: ndpool.Pool) -> None:
    a = pool.arange(5)
    pool.close()
    pool.close()
    assert pool.closed and "closed" in repr(pool)
    for f in (lambda: pool.zeros(3), lambda: pool.send(a), lambda: pool.stats(), lambda: pool.adopt(b"0" * 16)):
        with pytest.raises(errors.ClosedError):
            f()
    assert a.sum() == 10
    a[0] = 10
    assert a.copy().sum() == 20


def test_file_modes(name: str) -> None:
    with ndpool.Pool(name, capacity="1M", mode=0o640) as p:
        assert os.stat(p.path).st_mode & 0o777 == 0o640
        assert p.options()["mode"] == 0o640
    with pytest.raises(TypeError, match="colour"):
        ndpool.Pool(name, colour="red")  # type: ignore[call-arg]
    with pytest.raises(errors.OptionsError):
        ndpool.Pool(name, arrays=-1)
    for bad in ("", "x", "1X", 0, -1, "0", "0.5", "nan", float("inf")):
        with pytest.raises(ValueError):
            ndpool.Pool(name, capacity=bad)


@pytest.mark.parametrize(
    ("size", "bytes"),
    [
        (1, 1),
        (1.5, 1),
        ("7", 7),
        ("64K", 65536),
        ("1.5G", 3 << 29),
        ("2 MiB", 2 << 20),
        ("1t", 1 << 40),
        ("3mb", 3 << 20),
        ("5B", 5),
    ],
)
def test_sizes(size: float | str, bytes: int) -> None:
    from ndpool._options import parse_size

    assert parse_size(size) == bytes


def test_a_closed_pool_cannot_be_looked_at(pool: ndpool.Pool) -> None:
    """Nothing that tells about a pool takes a closed one for an empty one."""
    pool.close()
    for look in (pool.stats, pool.arrays, pool.processes, pool.tickets, pool.condition, pool.verify, pool.reap):
        with pytest.raises(ndpool.errors.ClosedError):
            look()
