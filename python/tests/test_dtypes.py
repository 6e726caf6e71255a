"""Element types, from numpy to the segment and back."""

import ctypes
import random
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool._dtype import decode, encode
from ndpool.errors import CorruptError, DTypeError


class Pixel(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint8), ("xyz", ctypes.c_double * 3), ("tag", ctypes.c_char * 5)]


class Packed(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("a", ctypes.c_uint8), ("b", ctypes.c_double)]


DTYPES = [
    "?",
    "b",
    "B",
    "<i2",
    ">i2",
    "<u8",
    ">f2",
    "f4",
    ">f8",
    "c8",
    ">c16",
    "S7",
    "U3",
    ">U3",
    "V5",
    "M8[ns]",
    ">M8[25s]",
    "m8[3D]",
    "m8",
    [("a", "i4"), ("b", ">f8", (2, 3))],
    [('é\n"', "S3"), ("n", [("x", "M8[us]")])],
    {"names": ["hi", "lo"], "formats": ["u2", "u4"], "offsets": [2, 0], "itemsize": 9},
    np.dtype([("a", "u1"), ("b", "f8")], align=True),
    Pixel,
    Packed,
    [],
]


@pytest.mark.parametrize("spec", DTYPES, ids=str)
def test_round_trip(pool: ndpool.Pool, spec: Any) -> None:
    dtype = np.dtype(spec)
    a = pool.empty((3, 2), dtype)
    noise = np.frombuffer(random.Random(1).randbytes(a.nbytes), "u1")
    if noise.size:
        a.view(f"V{dtype.itemsize}").view("u1").reshape(-1)[:] = noise
    b = pool.adopt(pool.send(a))
    assert b.dtype == dtype and b.dtype.isalignedstruct == dtype.isalignedstruct and b.shape == (3, 2)
    assert b.tobytes() == a.tobytes()
    assert decode(*encode(dtype)) == dtype
    assert pool.arrays()[0].dtype == dtype


def test_fields_can_be_sent_alone(pool: ndpool.Pool) -> None:
    a = pool.zeros(4, [("x", "f4"), ("n", [("y", "i2"), ("z", "u1")])])
    a["n"]["y"] = 7
    for view in (a["n"], a["n"]["y"], a[["x"]], a[1:3]["x"]):
        b = pool.adopt(pool.send(view))
        assert b.dtype == view.dtype and b.strides == view.strides
        assert np.array_equal(b, view)


def test_sub_array_extends_the_shape(pool: ndpool.Pool) -> None:
    a = pool.empty(3, "(2,4)f4")
    assert a.shape == (3, 2, 4) and a.dtype == "f4"


def test_string_without_size_is_numpys(pool: ndpool.Pool) -> None:
    assert pool.empty(2, "S").dtype == np.empty(2, "S").dtype
    assert pool.array(["a", "bcd"]).dtype == "U3"
    assert pool.array(["a", "bcd"], "S").tolist() == [b"a", b"bcd"]
    assert pool.array(["2020-01-01"], "M8").dtype == "M8[D]"


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [
        ("O", "pointers"),
        ([("a", "i4"), ("b", [("c", "O")])], "pointers"),
        ("g", "float64"),
        ("G", "complex128"),
        ([(("title", "a"), "i4")], "title"),
        ([("a\0", "i4")], "zero byte"),
        ([("\ud800", "i4")], "Unicode"),
        ([(f"f{i}", "i1") for i in range(1025)], "1024"),
        ([("f" * 65536, "i1")], "65536"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_refused_with_a_hint(pool: ndpool.Pool, dtype: Any, hint: str) -> None:
    with pytest.raises(DTypeError, match=hint) as e:
        pool.empty(3, dtype)
    assert isinstance(e.value, TypeError)
    assert pool.stats().arrays == 0


def test_strings_of_any_length_are_refused(pool: ndpool.Pool) -> None:
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("this numpy has none")
    with pytest.raises(DTypeError, match="astype"):
        pool.empty(3, np.dtypes.StringDType())


def test_depth_is_bounded(pool: ndpool.Pool) -> None:
    dtype: np.dtype[Any] = np.dtype("i1")
    for _ in range(8):
        dtype = np.dtype([("a", dtype)])
    assert decode(*encode(dtype)) == dtype
    with pytest.raises(DTypeError, match="nested"):
        pool.empty(1, np.dtype([("a", dtype)]))


HOSTILE = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"NaN",
    b"\xff\xfe",
    b"[" * 65000,
    b'{"a":' * 10000,
    b'{"itemsize":' + b"9" * 5000 + b',"fields":[]}',
    b'{"itemsize":1.0,"fields":[]}',
    b'{"itemsize":true,"fields":[]}',
    b'{"itemsize":-1,"fields":[]}',
    b'{"itemsize":1,"fields":{}}',
    b'{"itemsize":8,"fields":[["a","|O8",0]]}',
    b'{"itemsize":8,"fields":[["a","O",0]]}',
    b'{"itemsize":8,"fields":[["a","<f8"]]}',
    b'{"itemsize":8,"fields":[["a","<f8",0,[1],2]]}',
    b'{"itemsize":8,"fields":[["a","<f8",0,[true]]]}',
    b'{"itemsize":8,"fields":[[]]}',
    b'{"itemsize":8,"fields":[[1,"<f8",0]]}',
    b'{"itemsize":8,"fields":[["a",["<f8"],0]]}',
    b'{"itemsize":8,"fields":[["a","<f8",1]]}',
    b'{"itemsize":8,"fields":[["a","<f8",0]],"aligned":true}',
    b'{"itemsize":8,"aligned":1,"fields":[["a","<f8",0]]}',
    b'{"itemsize":8,"fields":[["a","<f8",0]],"fields":[["b","<f8",0]]}',
    b'{"itemsize":8,"fields":["<f8"]}',
    b'{"itemsize":8,"fields":8}',
    b'{"itemsize":8,"fields":[["a","f8,f8,f8",0]]}',
    b'{"itemsize":8,"fields":[["a","(2,)f4",0]]}',
    b" " * 65537,
]


@pytest.mark.parametrize("record", HOSTILE, ids=lambda r: str(r[:30]))
@pytest.mark.parametrize("size", [0, 8])
def test_hostile_records(record: bytes, size: int) -> None:
    with pytest.raises(CorruptError):
        decode(0x56 | 1 << 24 | size << 32, record)


def test_flipped_records() -> None:
    dtype = np.dtype([("x", "<f4"), ("y", ">i2", (2, 3)), ("z", [("é", "M8[25s]")])], align=True)
    code, record = encode(dtype)
    rng = random.Random(7)
    for _ in range(3000):
        bad = bytearray(record)
        for _ in range(rng.randint(1, 3)):
            bad[rng.randrange(len(bad))] = rng.choice(b'"[]{},:0123456789<>|ifOSUV\\ \x00\xff')
        try:
            assert encode(decode(code, bytes(bad))) == (code, bytes(bad))
        except CorruptError:
            pass
