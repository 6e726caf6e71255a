"""Attributes: which values they can have, what becomes of them, and that no change of them is lost."""

import enum
import json
import math
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors
from ndpool._attrs import decode, encode


class Colour(str, enum.Enum):  # noqa: UP042 (str() of it is not its value)
    RED = "red"


def there_and_back(value: Any) -> Any:
    return decode(encode({"k": value}))["k"]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**64, 2**64),
        (0.1, 0.1),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        ("", ""),
        ('µm\n\0"', 'µm\n\0"'),
        ("\U0001f600", "\U0001f600"),
        (b"bytes", "bytes"),
        ((1, (2, [3])), [1, [2, [3]]]),
        ({"a": {"b": ()}}, {"a": {"b": []}}),
        (Colour.RED, "red"),
        (np.bool_(True), True),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (np.float16(2), 2.0),
        (np.longdouble(0.25), 0.25),
        (np.str_("text"), "text"),
        (np.bytes_(b"text"), "text"),
        (np.array(3), 3),
        (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.array([b"a", b"bc"]), ["a", "bc"]),
        (np.zeros((0, 3)), []),
        (np.array([1, None, "x"], object), [1, None, "x"]),
        (np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]), [[1, 2.5]]),
        (np.array([1, 2], np.longdouble), [1.0, 2.0]),
        ([np.float64(1.5), np.int32(7)], [1.5, 7]),
        ({np.str_("k"): np.int16(1)}, {"k": 1}),
    ],
)
def test_values(value: Any, stored: Any) -> None:
    got = there_and_back(value)
    assert got == stored and type(got) is type(stored)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("kind", [float, np.float32, np.float64, np.longdouble, lambda v: np.array(v)])
def test_what_json_has_no_number_for(word: str, kind: Any) -> None:
    stored = there_and_back([kind(float(word))])
    assert stored == [word]
    assert math.isnan(float(stored[0])) == (word == "NaN")


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (1j, "'k': got complex"),
        (np.complex64(1), "'k': got numpy complex64"),
        (np.datetime64("2024-01-01", "ns"), "'k': got numpy datetime64"),
        (np.zeros(2, "m8[s]"), "'k': got numpy timedelta64"),
        ({1, 2}, "'k': got set"),
        (object(), "'k': got object"),
        (b"\xff", "'k': got text that is not UTF-8"),
        ("\ud800", "'k': got text that is not UTF-8"),
        ([0, {"x": [1, 1j]}], r"'k'\[1\]\['x'\]\[1\]: got complex"),
        ({"a": {3: 1}}, "key of type int"),
        (np.array([1, object()], object), r"'k'\[1\]: got object"),
        pytest.param(10**5000, "digits", id="digits"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_values_that_are_refused(value: Any, match: str) -> None:
    with pytest.raises(errors.AttributesError, match=match):
        encode({"k": value})


def test_nesting_is_bounded() -> None:
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(errors.AttributesError, match="levels"):
        encode({"k": deep})
    with pytest.raises(errors.AttributesError, match="key of type int"):
        encode({3: 1})  # type: ignore[dict-item]
    with pytest.raises(errors.AttributesError, match="got list"):
        encode([("a", 1)])  # type: ignore[arg-type]


DAMAGED = [b"", b"{", b"[]", b"3", b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"a":' + b"1" * 5000 + b"}"]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda t: str(t[:10]))
def test_damaged_text(text: bytes) -> None:
    with pytest.raises(errors.AttributesError, match="decode attributes"):
        decode(text)


def test_no_attributes() -> None:
    assert encode(None) is None and encode({}) is None and decode(None) == {}


def test_mapping(pool: ndpool.Pool) -> None:
    pool.put("a/b", np.arange(3), attrs={"unit": "mm"})
    attrs = pool.attrs("a/b")
    assert attrs == {"unit": "mm"} and len(attrs) == 1 and "unit" in attrs and attrs.name == "a/b"
    before = attrs.version
    attrs["scale"] = np.float32(0.5)
    assert attrs.version > before
    assert dict(pool.attrs("a/b")) == {"unit": "mm", "scale": 0.5} == dict(attrs.items())
    attrs.update({"n": 1}, m=[1, 2])
    assert list(attrs) == ["unit", "scale", "n", "m"] == list(attrs.keys())
    assert list(attrs.values()) == ["mm", 0.5, 1, [1, 2]]
    attrs["m"].append(3)
    assert attrs["m"] == [1, 2]  # a copy
    del attrs["n"]
    assert attrs.pop("scale") == 0.5 and attrs.pop("scale", 7) == 7
    assert attrs.setdefault("unit", "km") == "mm" and attrs.setdefault("new", 5) == 5
    assert attrs.popitem() == ("new", 5)
    for wrong in (lambda: attrs["scale"], lambda: attrs.pop("scale"), lambda: attrs.__delitem__("scale")):
        with pytest.raises(KeyError, match="scale"):
            wrong()
    assert "mm" in repr(attrs) and "a/b" in repr(attrs)
    attrs.clear()
    assert not attrs and pool.item("a/b").attrs == {}
    assert (pool["a/b"] == [0, 1, 2]).all()


def test_a_change_that_changes_nothing_is_none(pool: ndpool.Pool) -> None:
    pool.put("a", np.arange(3), attrs={"unit": "mm"})
    attrs = pool.attrs("a")
    before = attrs.version
    attrs["unit"] = "mm"
    attrs.update()
    assert attrs.setdefault("unit") == "mm" and attrs.version == before


def test_groups_have_attributes(pool: ndpool.Pool) -> None:
    pool.publish({"x": np.arange(3)}, "group", attrs={"title": "run 7"})
    assert pool.attrs("group") == {"title": "run 7"}
    pool.attrs("group")["more"] = None
    assert pool.item("group").attrs == {"title": "run 7", "more": None} and pool.item("group").array is None
    with pytest.raises(errors.PathError, match="prefix"):
        pool.publish({"y": np.arange(3)}, attrs={"title": "root"})


def test_gone(pool: ndpool.Pool) -> None:
    with pytest.raises(errors.NoNameError):
        pool.attrs("a")
    pool["a"] = np.arange(3)
    attrs = pool.attrs("a")
    del pool["a"]
    for use in (lambda: attrs["x"], lambda: attrs.update(x=1), lambda: len(attrs), lambda: attrs.version):
        with pytest.raises(errors.NoNameError):
            use()


def test_refused_attributes_change_nothing(pool: ndpool.Pool) -> None:
    pool.put("a", np.arange(3), attrs={"unit": "mm"})
    version, arrays = pool.attrs("a").version, pool.stats().arrays
    with pytest.raises(errors.AttributesError):
        pool.attrs("a").update(ok=1, bad=1j)
    with pytest.raises(errors.AttributesError, match=str(1 << 20)):
        pool.attrs("a")["long"] = "x" * (1 << 20)
    with pytest.raises(errors.AttributesError):
        pool.put("b", np.arange(3), attrs={"bad": 1j})
    assert pool.attrs("a") == {"unit": "mm"} and pool.attrs("a").version == version
    assert "b" not in pool and pool.stats().arrays == arrays


def test_as_much_as_fits(pool: ndpool.Pool) -> None:
    text = "x" * ((1 << 20) - len('{"k":""}'))
    pool.put("a", np.arange(3), attrs={"k": text})
    assert pool.attrs("a")["k"] == text


def test_unicode_in_the_segment(pool: ndpool.Pool) -> None:
    """The text is UTF-8 without escapes, as other languages write it."""
    pool.put("a", 1, attrs={"µ": "€\U0001f600"})
    raw, _ = pool._core.name_attributes("a")
    assert raw == '{"µ":"€\U0001f600"}'.encode()


def test_text_of_other_languages(pool: ndpool.Pool) -> None:
    """What others wrote with blanks, escapes and repeated keys is read."""
    pool["a"] = 1
    pool._core.set_attributes("a", b'{ "x" : "\\u00b5" , "x" : 1e2 }', 0)
    assert pool.attrs("a") == {"x": 100.0}
    for bad in (b"[1]", b"", b"{'x': 1}", b'{"x": NaN}', b'{"x": "\xff"}'):
        with pytest.raises(errors.AttributesError):
            pool._core.set_attributes("a", bad, 0)
    assert pool.attrs("a") == {"x": 100.0}
    pool._core.set_attributes("a", None, 0)
    assert pool.attrs("a") == {}


@pytest.mark.parametrize("text", [b"[10, 20]", b"{'k': 2}", b'{"k":NA}', b'{"k":"\xff', b"\0\0\0\0\0\0\0\0"])
def test_text_that_somebody_scribbled_on(pool: ndpool.Pool, text: bytes) -> None:
    """It is an error for who reads it, and for nobody else."""
    pool.put("a", 1, attrs={"k": 12})
    (block,) = [a for a in pool.arrays() if a.dtype == np.uint8]
    raw = pool.retain(block.handle)
    good = raw.copy()
    assert raw.tobytes() == b'{"k":12}'
    raw[:] = np.frombuffer(text.ljust(8, b" "), "u1")
    for read in (pool.attrs("a").copy, lambda: pool.item("a"), pool.entries, lambda: pool.tree(attrs=True)):
        with pytest.raises(errors.AttributesError):
            read()
    assert pool["a"] == 1 and pool.tree() == {"a": 1} and pool.names() == ["a"]
    raw[:] = good
    assert pool.attrs("a") == {"k": 12}


def test_compare_and_set(pool: ndpool.Pool) -> None:
    pool["a"] = 1
    _, version = pool._core.name_attributes("a")
    newer = pool._core.set_attributes("a", b"{}", version)
    assert newer > version
    with pytest.raises(errors.VersionError):
        pool._core.set_attributes("a", b'{"lost": 1}', version)
    assert pool.attrs("a") == {}


def count(name: str, key: str, times: int) -> None:
    with ndpool.Pool.open(name) as pool:
        for _ in range(times):
            attrs = pool.attrs("counter")
            attrs._change(lambda a: a.update({key: a.get(key, 0) + 1, "all": a.get("all", 0) + 1}))


def test_no_change_of_several_processes_is_lost(pool: ndpool.Pool, name: str) -> None:
    pool["counter"] = 0
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=count, args=(name, f"p{k}", 200)) for k in range(2)]
    for child in children:
        child.start()
    count(name, "self", 200)
    for child in children:
        child.join()
    assert [c.exitcode for c in children] == [0, 0]
    assert pool.attrs("counter") == {"all": 600, "p0": 200, "p1": 200, "self": 200}


def test_threads(pool: ndpool.Pool) -> None:
    pool["a"] = 1
    threads = [
        threading.Thread(target=lambda k=k: [pool.attrs("a").update({f"{k}.{i}": i}) for i in range(50)]) for k in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(pool.attrs("a")) == 200


def test_a_change_gives_up(pool: ndpool.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that others always get in the way of ends with an error."""
    monkeypatch.setattr("ndpool._attrs.MAX_TRIES", 3)
    pool["a"] = 1
    attrs, other = pool.attrs("a"), pool.attrs("a")
    calls = []

    def edit(a: dict[str, Any]) -> None:
        calls.append(dict(a))
        other["n"] = len(calls)
        a["mine"] = True

    with pytest.raises(errors.VersionError, match="3 times"):
        attrs._change(edit)
    assert len(calls) == 3 and attrs == {"n": 3}


def test_vectors_of_json(tmp_path: Path) -> None:
    """What is stored is JSON for everybody: no NaN, no bare infinity."""
    raw = encode({"a": [math.nan, math.inf], "b": np.array([np.nan, 1.0])})
    assert raw is not None
    assert json.loads(raw) == {"a": ["NaN", "Infinity"], "b": ["NaN", 1.0]}
