"""The element types that all implementations agree on: dtype/testdata/vectors.json of the Go library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ndpool._dtype import decode, encode
from ndpool.errors import CorruptError, DTypeError

VECTORS = json.loads((Path(__file__).parents[2] / "dtype/testdata/vectors.json").read_text())
STRUCTURED = 0x56 | 1 << 24


def record_of(vector: dict[str, Any]) -> bytes:
    return vector["text"].encode() if vector["structured"] else b""


@pytest.mark.parametrize("vector", VECTORS["types"], ids=lambda v: v["text"][:40])
def test_both_ways(vector: dict[str, Any]) -> None:
    code, record = int(vector["code"], 0), record_of(vector)
    dtype = decode(code, record)
    assert encode(dtype) == (code, record)
    assert dtype.itemsize == vector["size"]
    assert dtype.kind == vector["kind"]
    assert (dtype.names is not None) == vector["structured"]
    if not vector["structured"]:
        assert dtype.str == vector["text"]
        assert dtype.alignment == vector["align"]
    if vector["kind"] in "mM":
        assert np.datetime_data(dtype) == (vector["unit"], vector["multiple"])


@pytest.mark.parametrize("vector", [v for v in VECTORS["types"] if v.get("fields")], ids=lambda v: v["text"][:40])
def test_fields(vector: dict[str, Any]) -> None:
    dtype = decode(int(vector["code"], 0), record_of(vector))
    assert dtype.names == tuple(f["name"] for f in vector["fields"])
    places: Any = dtype.fields
    for f in vector["fields"]:
        field, offset = places[f["name"]]
        base, shape = field.subdtype or (field, ())
        assert offset == f["offset"]
        assert list(shape) == f.get("shape", [])
        record = encode(base)[1]
        assert (record.decode() or base.str) == f["type"]


@pytest.mark.parametrize("vector", VECTORS["parsed"], ids=lambda v: v["text"])
def test_spellings(vector: dict[str, Any]) -> None:
    if vector["text"].strip().startswith("{") or "μ" in vector["text"]:
        pytest.skip("not numpy's spelling")
    assert encode(np.dtype(vector["text"])) == encode(np.dtype(vector["little"]))


@pytest.mark.parametrize("code", VECTORS["refused"]["codes"])
def test_refused_codes(code: str) -> None:
    with pytest.raises(CorruptError):
        decode(int(code, 0), b"")


@pytest.mark.parametrize("record", VECTORS["refused"]["records"])
@pytest.mark.parametrize("size", [0, 1, 4, 2**31 - 1])
def test_refused_records(record: str, size: int) -> None:
    with pytest.raises(CorruptError):
        decode(STRUCTURED | size << 32, bytes.fromhex(record))


@pytest.mark.parametrize("text", [t for t in VECTORS["refused"]["texts"] if t.startswith("{")])
@pytest.mark.parametrize("size", [0, 1, 2, 6])
def test_refused_texts(text: str, size: int) -> None:
    with pytest.raises(CorruptError):
        decode(STRUCTURED | size << 32, text.encode())


@pytest.mark.parametrize("text", VECTORS["refused"]["unsupported"])
def test_unsupported(text: str) -> None:
    try:
        dtype = np.dtype(text)
    except TypeError:
        pytest.skip("numpy has no such type here")
    with pytest.raises(DTypeError, match="share dtype"):
        encode(dtype)
