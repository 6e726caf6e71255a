"""Views of arrays between processes: each arrives as what it is, over the same memory. What is no view arrives as a copy."""

from __future__ import annotations

import multiprocessing
import os
import uuid
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import pytest

import ndpool

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Array = np.ndarray[Any, Any]
as_strided = np.lib.stride_tricks.as_strided


class Seen(NamedTuple):
    """What a process says of an array that it received."""

    kind: type
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any
    writeable: bool
    shared: bool
    content: str


def text(a: Array) -> str:
    """All elements, of which bytes between fields are no part."""
    return repr(a.tolist())


def describe(a: Array) -> Seen:
    """Says what an array is."""
    return Seen(type(a), a.shape, a.strides, a.dtype, a.flags.writeable, ndpool.is_shared(a), text(a))


class Bytes:
    """The bytes of an array's elements, as an array of one dimension more."""

    def __init__(self, a: Array) -> None:
        shape, strides = (*a.shape, a.itemsize), (*a.strides, 1)
        self.__array_interface__ = {
            "data": (a.ctypes.data, False),
            "shape": shape,
            "strides": strides,
            "typestr": "|u1",
            "version": 3,
        }


def negate(a: Array) -> None:
    """Changes every bit of an array's elements, in place. None of them may overlap."""
    np.asarray(Bytes(a))[...] ^= 255


def obey(order: str, end: Connection, kept: list[Array]) -> None:
    """Carries out one order."""
    if order == "receive":
        kept[:] = [end.recv()]
    elif order == "describe":
        end.send(describe(kept[0]))
    elif order == "negate":
        negate(kept[0])
        end.send("done")
    elif order == "send":
        end.send(kept[0])
    else:
        kept.clear()
        end.send("done")


def serve(end: Connection) -> None:
    """The other process: takes orders, and keeps the last array that it was sent. Its errors are answers."""
    kept: list[Array] = []
    while (order := end.recv()) != "stop":
        try:
            obey(order, end, kept)
        except Exception as e:
            end.send(e)


class Other:
    """The process at the other end."""

    def __init__(self) -> None:
        fork = multiprocessing.get_context("fork")
        self.end, end = fork.Pipe()
        self.process = fork.Process(target=serve, args=(end,), daemon=True)
        self.process.start()
        end.close()

    def send(self, a: Any) -> None:
        """Sends it an array."""
        self.end.send("receive")
        self.end.send(a)

    def ask(self, order: str) -> Any:
        """Has it do something, and returns its answer."""
        self.end.send(order)
        assert self.end.poll(20), order
        answer = self.end.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[ndpool.Pool, Other]]:
    """A pool, and another process."""
    with ndpool.Pool.create(f"ndpytest-{os.getpid()}-views-{uuid.uuid4().hex}", capacity="16M") as p:
        other = Other()
        yield p, other
        other.end.send("stop")
        other.process.join(20)
        assert other.process.exitcode == 0
        assert p.verify().clean


@pytest.fixture
def shared(both: tuple[ndpool.Pool, Other]) -> Iterator[ndpool.Pool]:
    """The pool, which has nothing before and after each test."""
    yield both[0]
    both[1].ask("drop")
    stats = both[0].stats()
    assert (stats.arrays, stats.transfers) == (0, 0)


@pytest.fixture
def other(both: tuple[ndpool.Pool, Other]) -> Other:
    """The other process."""
    return both[1]


POINT = np.dtype([("x", "<f4"), ("y", "<i2"), ("at", [("u", "u1"), ("v", ">u4", (2, 3))])], align=True)


def ints(p: ndpool.Pool) -> Array:
    return p.array(np.arange(48, dtype="<i4").reshape(6, 8))


def points(p: ndpool.Pool) -> Array:
    a = p.zeros((4, 3), POINT)
    a["x"] = np.arange(12).reshape(4, 3)
    a["y"] = -7
    a["at"]["u"] = 200
    a["at"]["v"] = np.arange(6).reshape(2, 3)
    return a


def complexes(p: ndpool.Pool) -> Array:
    return p.array(np.arange(12).reshape(3, 4) * (1 + 2j))


View = Callable[[ndpool.Pool], Array]

VIEWS: dict[str, View] = {
    "whole": ints,
    "ellipsis": lambda p: ints(p)[...],
    "row": lambda p: ints(p)[2],
    "column": lambda p: ints(p)[:, 3],
    "offset": lambda p: ints(p)[1:],
    "middle": lambda p: ints(p)[2:4, 3:5],
    "last element": lambda p: ints(p)[5:, 7:],
    "steps": lambda p: ints(p)[::2, 1::3],
    "backwards": lambda p: ints(p)[::-1],
    "backwards by steps": lambda p: ints(p)[4::-2, ::-3],
    "transpose": lambda p: ints(p).T,
    "transpose of a square": lambda p: p.arange(36).reshape(6, 6).T,
    "transpose of a whole square": lambda p: p.array(np.arange(36).reshape(6, 6)).T,
    "transpose of a cube": lambda p: p.array(np.arange(27).reshape(3, 3, 3), order="F").transpose(1, 0, 2),
    "backwards transpose": lambda p: ints(p)[::-1].T[::2],
    "axes": lambda p: ints(p).reshape(2, 3, 2, 4).transpose(3, 0, 2, 1),
    "swapped axes": lambda p: ints(p).swapaxes(0, 1),
    "new axes": lambda p: ints(p)[None, :, None, ::2],
    "reshape": lambda p: ints(p).reshape(3, -1),
    "flat": lambda p: ints(p).ravel(),
    "squeeze": lambda p: ints(p)[:1].squeeze(),
    "Fortran": lambda p: p.array(np.arange(48).reshape(6, 8), order="F"),
    "part of Fortran": lambda p: p.array(np.arange(48).reshape(6, 8), order="F")[1:, ::-1],
    "0-d": lambda p: p.array(17, dtype=">u2"),
    "0-d view": lambda p: ints(p)[3, 4, ...],
    "no elements": lambda p: p.zeros((3, 0, 2)),
    "no elements of some": lambda p: ints(p)[1:1],
    "no elements at the end": lambda p: ints(p)[6:],
    "no elements backwards": lambda p: ints(p)[:0:-1][:0],
    "zero strides": lambda p: as_strided(ints(p), (5, 8), (0, 4)),
    "overlap": lambda p: as_strided(ints(p), (40, 3), (4, 4)),
    "strides of bytes": lambda p: as_strided(ints(p).view("u1"), (9,), (5,)),
    "other type": lambda p: ints(p).view("<f4"),
    "bytes": lambda p: ints(p)[1:].view("u1"),
    "wider": lambda p: ints(p).view("<i8")[:, 1:],
    "other byte order": lambda p: ints(p).view(">i4"),
    "text": lambda p: ints(p).view("S4"),
    "time": lambda p: ints(p).view("M8[ms]"),
    "raw": lambda p: ints(p).view("V16"),
    "records of numbers": lambda p: ints(p).view([("a", "<i4"), ("b", "<u2", (2,))]),
    "structured": points,
    "part of structured": lambda p: points(p)[1:, ::-1],
    "field": lambda p: points(p)["x"],
    "field of a part": lambda p: points(p)[::-1, 1]["y"],
    "nested field": lambda p: points(p)["at"],
    "field of a nested field": lambda p: points(p)["at"]["v"][..., 1, ::-1],
    "several fields": lambda p: points(p)[["x", "at"]],
    "real": lambda p: complexes(p).real,
    "imaginary": lambda p: complexes(p).imag[::-1, 1:],
    "through a memoryview": lambda p: np.asarray(memoryview(ints(p))[1:]),
    "from a buffer": lambda p: np.frombuffer(ints(p), "u2")[3:7],
    "diagonal": lambda p: as_strided(ints(p), (6,), (36,)),
    "bool": lambda p: (ints(p) % 2).view("?")[:0],
}


@pytest.mark.parametrize("case", [name for name in VIEWS if name != "bool"])
def test_view_arrives_as_it_is(shared: ndpool.Pool, other: Other, case: str) -> None:
    """The receiver gets the same shape, type, strides and content, over the same memory: no second array is made."""
    v = VIEWS[case](shared)
    other.send(v)
    seen = other.ask("describe")
    assert (seen.kind, seen.shape, seen.writeable, seen.shared) == (np.ndarray, v.shape, True, True)
    assert seen.dtype == v.dtype and seen.dtype.isalignedstruct == v.dtype.isalignedstruct
    assert seen.content == text(v)
    if v.size:
        assert [s for n, s in zip(v.shape, seen.strides, strict=True) if n > 1] == [
            s for n, s in zip(v.shape, v.strides, strict=True) if n > 1
        ]
    stats = shared.stats()
    assert (stats.arrays, stats.transfers) == (1, 0)


@pytest.mark.parametrize("case", [name for name in VIEWS if name not in ("bool", "zero strides", "overlap")])
def test_writes_show_on_the_other_side(shared: ndpool.Pool, other: Other, case: str) -> None:
    """What the receiver writes shows at the sender, and the other way round."""
    v = VIEWS[case](shared)
    before = text(v)
    other.send(v)
    assert other.ask("negate") == "done"
    assert text(v) != before or v.size == 0
    assert other.ask("describe").content == text(v)
    negate(v)
    assert other.ask("describe").content == text(v) == before


def test_writes_through_zero_strides(shared: ndpool.Pool, other: Other) -> None:
    """An element that a view has several times is one for the receiver, too."""
    v = VIEWS["zero strides"](shared)
    other.send(v)
    v[3, 5] = -1
    again = np.array(eval(other.ask("describe").content))
    assert (again[:, 5] == -1).all() and np.array_equal(again, v)


@pytest.mark.parametrize("case", VIEWS)
def test_view_comes_back(shared: ndpool.Pool, other: Other, case: str) -> None:
    """A view that the other process sends back leads to the block it came from."""
    v = VIEWS[case](shared)
    block = ndpool.handle(v) if ndpool.is_shared(v) else 0
    other.send(v)
    other.end.send("send")
    back = other.end.recv()
    assert (back.shape, back.dtype) == (v.shape, v.dtype) and text(back) == text(v)
    assert ndpool.is_shared(back) == ndpool.is_shared(v)
    if block:
        assert ndpool.handle(back) == block
        assert back.size == 0 or back.ctypes.data == v.ctypes.data


def test_broadcast_arrives(shared: ndpool.Pool, other: Other) -> None:
    """numpy's broadcasts, of stride 0 and read-only, go by reference and not as what they would fill."""
    v = np.broadcast_to(ints(shared)[0], (100, 100, 8))
    other.send(v)
    seen = other.ask("describe")
    assert seen.shape == v.shape and seen.strides == (0, 0, 4) and seen.shared
    assert seen.content == text(v)
    assert shared.stats().arrays == 1


DERIVED: dict[str, Callable[[Array], Array]] = {
    "sum": lambda a: a + 1,
    "index": lambda a: a[[1, 2]],
    "mask": lambda a: a[a > 3],
    "copy": lambda a: a.copy(),
    "type": lambda a: a.astype("f8"),
    "joined": lambda a: np.concatenate([a, a]),
    "reshaped transpose": lambda a: a.T.reshape(-1),
    "flatten": lambda a: a.flatten(),
    "pickled": lambda a: np.ma.masked_array(a, a > 3).filled(0),
    "scalar": lambda a: np.asarray(a[1, 1]),
    "dlpack": np.from_dlpack,  # whose memory numpy does not tell
}


@pytest.mark.parametrize("case", DERIVED)
def test_what_is_no_view_goes_by_value(shared: ndpool.Pool, other: Other, case: str) -> None:
    """An array that was computed has memory of its own, and the receiver gets a copy of that."""
    v = DERIVED[case](a := ints(shared))
    before = text(v)
    other.send(v)
    seen = other.ask("describe")
    assert (seen.shape, seen.dtype, seen.content, seen.shared) == (v.shape, v.dtype, before, False)
    other.ask("negate")
    assert text(v) == before
    assert shared.stats().arrays == 1 and ndpool.is_private(a)


OTHERS: dict[str, View] = {
    "matrix": lambda p: ints(p).view(np.matrix),
    "record array": lambda p: points(p).view(np.recarray),
    "masked": lambda p: np.ma.masked_array(ints(p), ints(p) > 3),
    "long double": lambda p: ints(p).view(np.longdouble),
    "metadata": lambda p: ints(p).view(np.dtype("<i4", metadata={"unit": "m"})),
}


@pytest.mark.filterwarnings("ignore:.*metadata.*:UserWarning")
@pytest.mark.parametrize("case", OTHERS)
def test_what_the_format_cannot_tell_goes_by_value(shared: ndpool.Pool, other: Other, case: str) -> None:
    """Arrays of subclasses, and of types that other machines would read differently, go by value and lose nothing."""
    v = OTHERS[case](shared)
    other.send(v)
    seen = other.ask("describe")
    assert (seen.kind, seen.shape, seen.dtype, seen.shared) == (type(v), v.shape, v.dtype, False)
    assert seen.content == text(v)


def test_sealed_views_are_read_only_everywhere(shared: ndpool.Pool, other: Other) -> None:
    """Views of a sealed array are read-only at the receiver, also those that it makes itself."""
    s = ndpool.seal(ints(shared))
    for v in (s, s[1:], s.T[::-1], s.view("u1")):
        other.send(v)
        seen = other.ask("describe")
        assert (seen.writeable, seen.shared, seen.content) == (False, True, text(v))
    other.end.send("send")
    back = other.end.recv()
    with pytest.raises(ValueError):
        back.flags.writeable = True
    with pytest.raises(ValueError):
        back[0] = 0


def test_view_on_a_block_of_both_ends(shared: ndpool.Pool, other: Other) -> None:
    """A view keeps the whole block at the receiver, when the sender has let go of all of it."""
    a = shared.arange(1000)
    handle = ndpool.handle(a)
    other.send(a[990:])
    del a
    assert other.ask("describe").content == repr(list(range(990, 1000)))
    [info] = shared.arrays()
    assert info.handle == handle and info.bytes == 8000 and len(info.holders) == 1
    whole = shared.retain(handle)
    assert whole.sum() == 499_500


def test_write_protected_view_goes_by_reference(shared: ndpool.Pool, other: Other) -> None:
    """numpy's writeable flag is of one array object and not sent, as plain pickle does not; the memory is the same."""
    a = ints(shared)
    v = a[1:]
    v.flags.writeable = False
    other.send(v)
    seen = other.ask("describe")
    assert seen.shared and seen.content == text(v)
    a[1] = 99
    assert other.ask("describe").content == text(v)
