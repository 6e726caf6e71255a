"""Trees: published at once or not at all, looked up at one moment, removed at the end of a with block."""

import os
import signal
import threading
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors


def plain(tree: Any) -> Any:
    """A tree with lists in place of its arrays."""
    return {k: plain(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.tolist()


def test_there_and_back(pool: ndpool.Pool) -> None:
    tree = {"a": {"x": [1, 2], "y": {"z": 3}}, "b/c": [4.5], "e": {}, "shm_name": {"shm_name": 1, "attrs": 2, "shape": 3}}
    made = pool.publish(tree)
    want = {"a": {"x": [1, 2], "y": {"z": 3}}, "b": {"c": [4.5]}, "e": {}, "shm_name": {"shm_name": 1, "attrs": 2, "shape": 3}}
    got = pool.tree()
    assert plain(got) == want and type(got) is dict and type(got["a"]["y"]) is dict
    assert plain(pool.tree("a")) == want["a"] and plain(pool.tree("a/y")) == {"z": 3} and pool.tree("e") == {}
    assert made.names == tuple(pool.names())
    assert {e.version for e in pool.entries() if not e.group} == {made.version}
    assert str(made.version) in repr(made) and "a/y/z" in repr(made)
    for array in (got["a"]["x"], got["b"]["c"]):
        assert type(array) is np.ndarray and type(array.base) is ndpool.Block


def test_a_prefix(pool: ndpool.Pool) -> None:
    pool.publish({"x": 1}, "a/b")
    assert plain(pool.tree()) == {"a": {"b": {"x": 1}}}
    with pytest.raises(errors.NameTakenError):
        pool.publish({"y": 1}, "a/b")
    with pytest.raises(errors.NameTakenError):
        pool.publish({"y": 1}, "a")
    pool.publish({"y": 1}, "a/c")
    assert pool.names() == ["a/b/x", "a/c/y"]
    with pytest.raises(errors.NameTakenError):
        pool.publish({"a/d": 1, "new": 1})
    assert pool.names() == ["a/b/x", "a/c/y"]


def test_modes(pool: ndpool.Pool) -> None:
    first = pool.publish({"a": {"x": 1, "y": 2}, "b": 3})
    pool.publish({"a/y": 5, "a/z": 6}, merge=True)
    assert plain(pool.tree()) == {"a": {"x": 1, "y": 5, "z": 6}, "b": 3}
    pool.publish({"a": {"w": 7}}, overwrite=True)
    assert plain(pool.tree()) == {"a": {"w": 7}, "b": 3}
    pool.publish({"v": 8}, "a", merge=True)
    pool.publish({}, "b", overwrite=True)
    assert plain(pool.tree()) == {"a": {"w": 7, "v": 8}, "b": {}}
    with pytest.raises(errors.GroupError):
        pool.publish({"a": 1}, merge=True)
    with pytest.raises(errors.GroupError):
        pool.publish({"a/w/x": 1}, merge=True)
    with pytest.raises(ValueError):
        pool.publish({"a": 1}, merge=True, overwrite=True)
    assert plain(pool.tree()) == {"a": {"w": 7, "v": 8}, "b": {}}
    assert first.remove() == 0, "all was replaced"


def test_attributes(pool: ndpool.Pool) -> None:
    pool.publish(
        {"x": (np.arange(3), {"unit": "mm"}), "g": ndpool.Item({"y": 1}, {"n": np.int64(1)}), "e": ndpool.Item(None, {"k": []}),
         "pair": (1, 2), "i": ndpool.Item([1, 2], {})},
        "p", attrs={"title": "all"},
    )  # fmt: skip
    tree = pool.tree("p", attrs=True)
    assert isinstance(tree, ndpool.Group) and tree.attrs == {"title": "all"}
    assert isinstance(tree["x"], ndpool.Item) and tree["x"].attrs == {"unit": "mm"} and tree["x"].array.sum() == 3
    assert tree["g"].attrs == {"n": 1} and tree["g"]["y"].array == 1 and tree["e"] == {} and tree["e"].attrs == {"k": []}
    assert tree["pair"].array.tolist() == [1, 2], "a pair without a mapping is an array"
    assert tree.version == tree["x"].version == tree["g"].version == pool.attrs("p").version
    pool.publish(tree, "q")
    again = pool.tree("q", attrs=True)
    assert again.attrs == tree.attrs and again["g"].attrs == {"n": 1} and again["e"].attrs == {"k": []}
    assert again["x"].array.base.handle == tree["x"].array.base.handle
    with pytest.raises(errors.PathError, match="prefix"):
        pool.publish(tree)


def test_other_mappings(pool: ndpool.Pool) -> None:
    pool.publish(MappingProxyType({"a": MappingProxyType({"x": 1}), np.str_("b"): 2}))
    assert plain(pool.tree()) == {"a": {"x": 1}, "b": 2}
    for wrong in (np.zeros(3), [("a", 1)], None, "a"):
        with pytest.raises(TypeError, match="mapping"):
            pool.publish(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [1, None, b"a", ("a",), "", "/", "a//b", "..", "a/"])
def test_keys(pool: ndpool.Pool, key: Any) -> None:
    for tree in ({key: 1}, {"a": {key: 1}}, {"ok": 1, key: {}}):
        with pytest.raises(errors.PathError):
            pool.publish(tree)
    assert pool.entries() == []


@pytest.mark.parametrize(
    "tree",
    [
        {"a": 1, "a/b": 2},
        {"a/b": 2, "a": 1},
        {"a/b": 1, "a": {"b": 2}},
        {"a": {"b": 1}, "a/b": {"c": 2}},
        {"a": {"b": 1}, "a/b": {}},
        {"a/b/c": 1, "a": {"b": 1}},
        {"a/b": {}, "a": {"b": {}}},
    ],
)
def test_keys_that_collide(pool: ndpool.Pool, tree: Any) -> None:
    with pytest.raises(errors.PathError, match=r"twice|lies in it"):
        pool.publish(tree)
    assert pool.entries() == [] and pool.stats().arrays == 0


def test_keys_that_meet(pool: ndpool.Pool) -> None:
    pool.publish({"a": {"x": 1}, "a/y": 2, "a/g/z": 3, "b": {}, "b/c": 4})
    assert plain(pool.tree()) == {"a": {"x": 1, "y": 2, "g": {"z": 3}}, "b": {"c": 4}}
    del pool["b/c"], pool["a/x"], pool["a/y"], pool["a/g/z"]
    assert [e.path for e in pool.entries()] == ["b"], "a group that was asked for stays"


def test_depth(pool: ndpool.Pool) -> None:
    deep: dict[str, Any] = {}
    deep["a"] = deep
    with pytest.raises(errors.PathError):
        pool.publish(deep)
    tree: Any = 1
    for _ in range(64):
        tree = {"a": tree}
    pool.publish(tree)
    assert pool["/".join("a" * 64)] == 1
    with pytest.raises(errors.PathError):
        pool.publish({"a": tree}, overwrite=True)
    assert pool.tree() == tree


def test_nothing_of_what_fails(pool: ndpool.Pool) -> None:
    """An error in any leaf leaves neither a name nor a block."""
    big = np.zeros(1 << 20)
    for bad, error in (
        ({"x": big, "y": object()}, errors.DTypeError),
        ({"x": big, "y": [[1], [1, 2]]}, ValueError),
        ({"x": big, "y": (1, {"bad": 1j})}, errors.AttributesError),
        ({"x": big, "y": np.broadcast_to(np.zeros(1), 1 << 40)}, errors.FullError),
        ({f"x{k}": big for k in range(20)}, errors.FullError),
        ({"x": big, "a\0": 1}, errors.PathError),
    ):
        with pytest.raises(error):
            pool.publish(bad)
        assert pool.entries() == [] and pool.stats().arrays == 0, bad


def test_a_taken_name_is_found_before_anything_is_copied(pool: ndpool.Pool) -> None:
    pool["a"] = 1

    class Array:
        def __array__(self, *args: Any, **more: Any) -> np.ndarray[Any, Any]:
            raise AssertionError("copied")

    with pytest.raises(errors.NameTakenError):
        pool.publish({"a": Array()})
    with pytest.raises(errors.NameTakenError):
        pool.put("a", Array())


def test_interrupt(pool: ndpool.Pool) -> None:
    """Ctrl-C between the copies leaves nothing."""

    class Array:
        def __array__(self, *args: Any, **more: Any) -> np.ndarray[Any, Any]:
            signal.raise_signal(signal.SIGINT)
            return np.zeros(3)

    with pytest.raises(KeyboardInterrupt):
        pool.publish({"x": np.zeros(1000), "y": Array()})
    assert pool.entries() == [] and pool.stats().arrays == 0


def test_interrupts_at_any_moment(run: Callable[..., str]) -> None:
    """Wherever a signal comes, a tree is published or it is not, and a with block removes what is."""
    out = run(
        """
        import os, random, signal, threading, time, ndpool
        seen = {"before": 0, "done": 0, "within": 0}
        tree = {f"g{k}/x": [k] * 10 for k in range(300)}
        with ndpool.Pool.anonymous(capacity="64M") as pool:
            began = time.perf_counter()
            for _ in range(5):
                pool.publish(tree, "t").remove()
            took = (time.perf_counter() - began) / 5
            for k in range(100):
                moment = threading.Timer(random.random() * took * 1.2, os.kill, (os.getpid(), signal.SIGINT))
                published = None
                try:
                    moment.start()
                    published = pool.publish(tree, "t")
                    time.sleep(5)
                except KeyboardInterrupt:
                    pass
                moment.join()
                if published is None:
                    # The last instruction of publish is the caller's: what it returned may be lost between the two.
                    if pool.names():
                        seen["within"] += 1
                        assert len(pool.names()) == 300
                        pool.remove("t", tree=True)
                    seen["before"] += 1
                else:
                    assert len(pool.names()) == 300
                    assert published.remove() == 300
                    seen["done"] += 1
                assert pool.names() == [] and pool.stats().names == 0
                assert pool.stats().arrays == 0, pool.stats()
            assert pool.verify().clean
        print(seen["before"] > 0, seen["done"] > 0, seen["within"] < 5)
        """
    )
    assert out == "True True True"


def test_with(pool: ndpool.Pool) -> None:
    for persistent in (False, True):
        with pool.publish({"a/x": 1, "a/e": {}, "b": 2}, "p", attrs={"t": 1}, persistent=persistent) as made:
            assert pool.names() == ["p/a/x", "p/b"] == list(made.names)
            assert all(e.persistent == persistent for e in pool.entries() if not e.implicit)
        assert pool.entries() == [] and pool.stats().arrays == 0
        assert made.remove() == 0
    with pytest.raises(ZeroDivisionError), pool.publish({"a": 1}):
        1 / 0  # noqa: B018
    assert pool.entries() == []


def test_with_leaves_what_is_not_its_own(pool: ndpool.Pool) -> None:
    with pool.publish({"a": {"x": 1, "y": 2, "e": {}}}):
        pool["a/x"] = 10
        pool["a/e/other"] = 5
        del pool["a/y"]
    assert plain(pool.tree()) == {"a": {"x": 10, "e": {"other": 5}}}
    with pool.publish({"b": 1}) as made:
        del pool["b"]
        pool["b"] = 2
    assert pool["b"] == 2 and made.remove() == 0
    with pool.publish({"b": 3}, overwrite=True):
        pool.put("b", 4, attrs={"t": 1}, overwrite=True)
    assert pool["b"] == 4, "an array's name"
    with pool.publish({}, "g"):
        pool.put("g", 5, overwrite=True)
    assert pool["g"] == 5, "a group's name"
    made = pool.publish({"c": 1})
    assert made.remove() == 1 == 1 and made.remove() == 0 and "c" not in pool


def test_with_removes_what_got_other_attributes(pool: ndpool.Pool) -> None:
    with pool.publish({"x": 1, "g": {}}, "p", attrs={"t": 1}) as made:
        for name in ("p", "p/x", "p/g"):
            pool.attrs(name)["more"] = name
            assert pool.attrs(name).version > made.version
    assert pool.entries() == []


def test_with_a_closed_pool(name: str) -> None:
    with ndpool.Pool.create(name, capacity="4M") as pool, pool.publish({"a": 1}):
        pool.close()


def test_without_with_nothing_is_removed(pool: ndpool.Pool) -> None:
    pool.publish({"a": 1})
    assert pool["a"] == 1


def test_nothing_to_publish(pool: ndpool.Pool) -> None:
    with pool.publish({}) as made:
        assert made.names == () and pool.entries() == [] and made.remove() == 0
    with pool.publish({}, "g") as made:
        assert pool.tree() == {"g": {}} and made.names == ()
    assert pool.entries() == []


def test_a_tree_is_of_one_moment(pool: ndpool.Pool) -> None:
    """While a whole tree is replaced again and again, readers see one version of it."""
    stop, seen, wrong = threading.Event(), set(), []
    pool.publish({"t": {f"{k}": 0 for k in range(20)}})

    def read() -> None:
        while not stop.is_set():
            values = {int(v) for v in pool.tree("t").values()}
            seen.update(values)
            if len(values) != 1:
                wrong.append(values)

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(200):
        pool.publish({"t": {f"{i}": k for i in range(20)}}, overwrite=True)
    stop.set()
    reader.join()
    assert not wrong and len(seen) > 1


def test_arrays_outlive_the_tree(run: Callable[..., str]) -> None:
    assert (
        run(
            """
        import gc, ndpool
        pool = ndpool.Pool.anonymous(capacity="4M")
        published = pool.publish({"a": {"x": range(1000), "y": [1.0]}})
        tree = pool.tree(attrs=True)
        x, y = tree["a"]["x"].array, pool.tree("a")["y"]
        published.remove()
        pool.close()
        del pool, tree, published
        gc.collect()
        x += 1
        print(x.sum(), y[0])
        """
        )
        == "500500 1.0"
    )


def test_structured_arrays_in_a_tree(pool: ndpool.Pool) -> None:
    record = np.array([(1, 2.0), (3, 4.0)], [("a", "i4"), ("b", "f8")])
    pool.publish({"r": record, "scalar": record[0], "field": record["b"], "m": record.view(np.recarray)})
    tree = pool.tree()
    assert (tree["r"] == record).all() and tree["r"].dtype == record.dtype
    assert tree["scalar"].shape == () and tree["field"].tolist() == [2.0, 4.0] and type(tree["m"]) is np.ndarray


def test_no_descriptor_per_array(pool: ndpool.Pool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    pool.publish({f"n{k}": k for k in range(500)})
    tree = pool.tree()
    assert len(tree) == 500 and len(os.listdir("/proc/self/fd")) == before
