"""Names: one array by one path, for all processes and start methods, as long as the name's owner lives, or longer."""

import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import ndpool
from ndpool import errors


def test_a_name(pool: ndpool.Pool) -> None:
    a = pool.arange(12).reshape(3, 4)
    pool["camera/left"] = a
    b = pool["camera/left"]
    assert type(b) is np.ndarray and b.shape == (3, 4)
    a[1, 1] = 100
    assert b[1, 1] != 100, "a view was named, not copied"
    pool["whole"] = whole = pool.zeros(4)
    whole[2] = 7
    assert pool["whole"][2] == 7 and isinstance(pool["whole"].base, ndpool.Block)
    assert "whole" in pool and "camera" in pool and "camera/left" in pool
    assert list(pool) == pool.names() == ["camera/left", "whole"]


def test_what_is_not_there(pool: ndpool.Pool) -> None:
    pool["a/b"] = 1
    for missing in ("x", "a/x", "a/b/c", "A"):
        assert missing not in pool and pool.get(missing) is None and pool.get(missing, 5) == 5
        for look in (pool.__getitem__, pool.__delitem__, pool.item, pool.attrs, pool.remove, pool.tree, pool.names):
            with pytest.raises(KeyError) as e:
                look(missing)
            assert type(e.value) is errors.NoNameError
            assert missing in str(e.value) and not str(e.value).startswith(("'", '"'))


BAD = ["", "/", "/a", "a/", "a//b", ".", "a/..", "a/./b", "a\0b", "x" * 256, "é" * 128, "a/" * 64 + "b", "\ud800"]


@pytest.mark.parametrize("bad", BAD)
def test_paths_that_no_name_can_be(pool: ndpool.Pool, bad: str) -> None:
    assert bad not in pool
    for use in (
        lambda: pool[bad],
        lambda: pool.__setitem__(bad, 1),
        lambda: pool.put(bad, 1),
        lambda: pool.remove(bad),
        lambda: pool.item(bad),
        lambda: pool.publish({bad: 1}),
        lambda: pool.publish({"a": {bad: 1}}),
    ):
        with pytest.raises(errors.PathError):
            use()
    assert pool.names() == [] and pool.stats().names == 0 and pool.stats().arrays == 0


GOOD = ["x" * 255, "é" * 127, "/".join("x" * 64), "...", ".x", " ", "\n", "shm_name", "\U0001f600", "a b/c\\d"]


@pytest.mark.parametrize("good", GOOD)
def test_paths_that_names_can_be(pool: ndpool.Pool, good: str) -> None:
    pool[good] = np.arange(3)
    assert pool[good].sum() == 3 and pool.names() == [good]


def test_names_are_text(pool: ndpool.Pool) -> None:
    assert 3 not in pool and None not in pool and b"a" not in pool
    for use in (lambda: pool[3], lambda: pool.remove(b"a"), lambda: pool.names(None)):  # type: ignore[index, arg-type]
        with pytest.raises(TypeError):
            use()
    with pytest.raises(errors.PathError):
        pool[3] = 1  # type: ignore[index]


ARRAYS = [
    np.float64(3.5),
    np.array(7, "u1"),
    np.zeros(0),
    np.zeros((3, 0, 2), "i2"),
    np.arange(12).reshape(3, 4),
    np.asfortranarray(np.arange(12).reshape(3, 4)),
    np.arange(6, dtype=">i4"),
    np.arange(6, dtype=">f8").reshape(2, 3),
    np.array(["2024-01-01", "NaT"], "M8[us]"),
    np.array([1, 2], "m8[h]"),
    np.array([(1, 2.5, "x")], [("a", "<i4"), ("b", ">f8"), ("c", "U3")]),
    np.zeros((), [("a", "u1", (2, 2)), ("b", [("c", "i8")])]),
    np.array(["x", "yz"]),
    np.array([b"x", b"yz"]),
    np.array([1 + 2j]),
    np.zeros((1,) * 10),
    np.arange(10)[::-2],
    np.broadcast_to(np.arange(3), (4, 3)),
    True,
    [[1, 2], [3, 4]],
    "text",
]


@pytest.mark.parametrize("a", ARRAYS, ids=lambda a: f"{np.asarray(a).dtype}-{np.asarray(a).shape}")
def test_any_array(pool: ndpool.Pool, a: npt.ArrayLike) -> None:
    """0-d, empty, Fortran, big-endian, times, structured, and what numpy makes an array of."""
    pool["a/x"] = a
    want, got = np.asarray(a), pool["a/x"]
    assert got.dtype == want.dtype and got.shape == want.shape and type(got) is np.ndarray
    assert got.tobytes() == want.tobytes()
    assert got.flags.f_contiguous == want.flags.f_contiguous or not want.flags.contiguous
    pool["a/y"] = got
    (entry,) = pool.entries("a/y")
    assert (entry.dtype, entry.shape, entry.bytes) == (want.dtype, want.shape, want.nbytes)
    assert entry.handle == pool.handle(got), "a whole array of the pool is not copied"
    assert pool.stats().arrays == 1


@pytest.mark.parametrize("bad", [None, object(), [1, "x", None], np.array([object()]), {"a": 1}.values()])
def test_objects_are_refused(pool: ndpool.Pool, bad: Any) -> None:
    with pytest.raises(errors.DTypeError):
        pool["a"] = bad
    assert "a" not in pool


def test_arrays_of_other_attachments(pool: ndpool.Pool, name: str) -> None:
    """An array of the same segment is named as it is, one of another pool is copied."""
    with ndpool.Pool.open(name) as same, ndpool.Pool.anonymous(capacity="1M") as other:
        mine, foreign = same.arange(5), other.arange(6)
        pool["same"], pool["foreign"] = mine, foreign
        mine[0] = 100
        assert pool["same"][0] == 100 == same["same"][0]
        foreign[0] = 100
        assert pool["foreign"][0] == 0


def test_sealed_and_readonly(pool: ndpool.Pool) -> None:
    sealed = pool.seal(pool.arange(5))
    pool["sealed"], pool["open"] = sealed, pool.arange(5)
    assert not pool["sealed"].flags.writeable
    assert pool.entries("sealed")[0].sealed and pool.entries("sealed")[0].handle == pool.handle(sealed)
    assert pool["open"].flags.writeable
    for a in (pool.get("open", readonly=True), pool.item("open", readonly=True).array, pool.tree(readonly=True)["open"]):
        assert not a.flags.writeable and a.base.readonly and a.sum() == 10
    pool["again"] = pool.get("open", readonly=True)
    assert pool["again"].flags.writeable


def test_replacing(pool: ndpool.Pool) -> None:
    first = pool.put("a/x", [1, 2, 3], attrs={"unit": "mm"})
    old = pool["a/x"]
    pool["a/x"] = np.zeros(2)
    assert old.tolist() == [1, 2, 3] and pool["a/x"].tolist() == [0, 0]
    assert pool.item("a/x").version > first
    last = pool.item("a/x").version
    del pool["a/x"]
    pool["a/x"] = 1
    assert pool.item("a/x").version > last
    pool["a/x"] += 5
    assert pool["a/x"] == 6


def test_put(pool: ndpool.Pool) -> None:
    version = pool.put("a", [1], attrs={"n": 1})
    item = pool.item("a")
    assert isinstance(item, ndpool.Item) and item.version == version and item.attrs == {"n": 1}
    with pytest.raises(FileExistsError, match="a") as taken:
        pool.put("a", [2])
    assert type(taken.value) is errors.NameTakenError
    assert pool["a"] == 1
    assert pool.put("a", [2], overwrite=True) > version
    assert pool["a"] == 2 and pool.item("a").attrs == {}
    pool.put("g/x", 1)
    pool.put("g/y", 1)
    with pytest.raises(errors.NameTakenError):
        pool.put("g", 1)
    pool.put("g", 3, overwrite=True)
    assert pool.names() == ["a", "g"] and pool["g"] == 3


def test_groups_are_not_arrays(pool: ndpool.Pool) -> None:
    pool["g/x"] = 1
    for use in (lambda: pool["g"], lambda: pool.get("g")):
        with pytest.raises(errors.GroupError, match=r"tree\('g'\)"):
            use()
    with pytest.raises(TypeError):
        pool["g"] = 1
    with pytest.raises(errors.GroupError):
        pool["g/x/y"] = 1
    with pytest.raises(errors.GroupError):
        del pool["g"]
    with pytest.raises(errors.GroupError):
        pool.tree("g/x")
    assert pool.item("g").array is None
    assert pool.names() == ["g/x"]


def test_removing(pool: ndpool.Pool) -> None:
    for path in ("a/x", "a/y", "b"):
        pool[path] = np.arange(1000)
    kept = pool["a/y"]
    assert pool.remove("a/x") == 1 and pool.names() == ["a/y", "b"]
    assert pool.remove("a", tree=True) == 1
    assert "a" not in pool and kept.sum() == 499500
    with pytest.raises(errors.NoNameError):
        pool.remove("a", tree=True)
    del pool["b"], kept
    assert pool.stats().arrays == 0 and pool.stats().names == 0
    assert pool.entries() == [] and list(pool) == []


def test_entries(pool: ndpool.Pool) -> None:
    version = pool.put("g/x", np.zeros((2, 3), "f4", order="F"), attrs={"unit": "mm"}, persistent=True)
    pool.publish({"empty": {}})
    empty, group, x = pool.entries()
    assert [e.path for e in (empty, group, x)] == ["empty", "g", "g/x"]
    assert x == ndpool.NameInfo(
        path="g/x", version=version, group=False, persistent=True, implicit=False, owner=None, handle=pool.handle(pool["g/x"]),
        dtype=np.dtype("f4"), shape=(2, 3), fortran=True, sealed=False, bytes=24, attrs={"unit": "mm"},
    )  # fmt: skip
    assert group.group and group.implicit and group.owner is None and group.handle is None and group.dtype is None
    assert empty.group and not empty.implicit and empty.owner == pool.process and empty.bytes == 0
    assert [e.path for e in pool.entries("g")] == ["g", "g/x"]
    assert pool.names("g") == pool.names("g/x") == ["g/x"] and pool.names("empty") == []
    stats = pool.stats()
    assert stats.names == 3 and stats.name_limit == 16384


def test_names_are_sorted(pool: ndpool.Pool) -> None:
    paths = ["a", "a!", "a/b", "a-b", "b", "é", "Z", "\U0001f600", "￿"]
    pool.publish({f"p/{p}": 1 for p in paths if p != "a"})
    assert pool.names() == sorted(pool.names(), key=lambda p: [c.encode() for c in p.split("/")]) or (
        pool.names() == sorted(pool.names(), key=str.encode)
    )
    assert set(pool.names("p")) == {f"p/{p}" for p in paths if p != "a"}


def test_an_array_outlives_everything(run: Callable[..., str]) -> None:
    """In every order in which array, pool and name can go."""
    out = run(
        """
        import gc, itertools, ndpool
        total = 0
        for order in itertools.permutations(["array", "view", "pool", "name", "item"]):
            pool = ndpool.Pool.anonymous(capacity="4M")
            pool.put("a/x", range(1000))
            array = pool["a/x"]
            have = {"array": array, "view": array[1:], "pool": pool, "item": pool.item("a/x")}
            del array, pool
            for k, what in enumerate(order):
                if what == "name":
                    if "pool" in have:
                        have["pool"].remove("a", tree=True)
                elif what == "pool":
                    have.pop("pool").close()
                else:
                    have.pop(what)
                gc.collect()
                for left in ("array", "view"):
                    if left in have:
                        assert have[left].sum() == 499500
                        have[left] += 0
                        total += 1
                if "item" in have:
                    assert have["item"].array[-1] == 999
        print(total)
        """
    )
    assert int(out) == 480


def test_a_name_keeps_its_array(pool: ndpool.Pool) -> None:
    a = pool.arange(1000)
    pool["a"] = a
    handle = pool.handle(a)
    assert pool.arrays()[0].named
    del a
    gc.collect()
    assert pool["a"].sum() == 499500 and pool.handle(pool["a"]) == handle
    del pool["a"]
    with pytest.raises(errors.StaleError):
        pool.retain(handle)


def test_closed_and_peeked(pool: ndpool.Pool, name: str) -> None:
    pool.put("a/x", np.zeros(3, [("f", "i4")]), attrs={"n": 1})
    with ndpool.Pool.peek(name) as snapshot:
        assert snapshot.names() == ["a/x"]
        entry = snapshot.entries()[1]
        assert entry.attrs == {"n": 1} and entry.shape == (3,) and entry.dtype == np.dtype([("f", "i4")])
        with pytest.raises(errors.NdpoolError):
            snapshot["a/x"]
    pool.close()
    for use in (lambda: pool["a/x"], lambda: pool.put("b", 1), pool.names, pool.tree, lambda: pool.remove("a")):
        with pytest.raises(errors.ClosedError):
            use()


def test_a_full_catalog(name: str) -> None:
    with ndpool.Pool.create(name, capacity="4M", names=64) as pool:
        limit = pool.stats().name_limit
        pool.publish({f"n{k}": 1 for k in range(limit - 1)})
        before = pool.stats().arrays
        with pytest.raises(MemoryError) as full:
            pool.publish({"x": 1, "y": 2})
        assert type(full.value) is errors.TableFullError and full.value.limit == limit
        del full
        assert len(pool.names()) == limit - 1 and pool.stats().arrays == before
        pool["last"] = 1
        del pool["n0"]
        pool["again"] = 1
        assert pool.verify().clean


def test_many_names(name: str) -> None:
    """100,000 names, of one array."""
    with ndpool.Pool.create(name, capacity="16M", names=131072) as pool:
        a = pool.arange(3)
        paths = [f"run{k // 1000:03}/{k % 1000:03}" for k in range(100_000)]
        with pool.publish({path: a for path in paths}) as published:
            assert pool.names() == paths == list(published.names)
            assert pool.names("run050") == paths[50_000:51_000]
            for path in paths[::997]:
                assert pool[path].base.handle == a.base.handle
            assert len(pool.tree("run099")) == 1000
            assert pool.stats().names == 100_100
            assert pool.remove("run007", tree=True) == 1000
            assert pool.verify().clean
        assert pool.names() == [] and pool.stats().names == 0
        assert pool.entries() == []


# ---- the core


def test_the_core_takes_whole_arrays_of_its_own(pool: ndpool.Pool, name: str) -> None:
    """The package copies what the core refuses."""
    core, a = pool._core, pool.arange(6)
    done: list[int] = []
    with ndpool.Pool.open(name) as same:
        for bad, error in (
            (a[1:], errors.MismatchError),
            (a.reshape(2, 3), errors.MismatchError),
            (a.view("u8"), errors.MismatchError),
            (a[::-1], errors.MismatchError),
            (np.arange(3), errors.MismatchError),
            (a.base, errors.MismatchError),
            (same.arange(3), errors.ForeignError),
        ):
            with pytest.raises(error):
                core.publish("", [("ok", a, None), ("bad", bad, None)], "new", False, done)
    for items, mode in (([("a", a)], "new"), ([("a", a, "text")], "new"), ([("a", a, None)], "old"), ([3], "new"), (3, "new")):
        with pytest.raises((TypeError, ValueError, SystemError)):
            core.publish("", items, mode, False, done)  # type: ignore[arg-type]
    assert not done and pool.entries() == []
    core.publish("p", [("x", a, b"{}"), ("g", None, None)], "new", False, done)
    assert done == [pool.item("p/x").version]
    assert ndpool._core.is_whole(a) and not ndpool._core.is_whole(a.base) and not ndpool._core.is_whole(None)


def test_references(pool: ndpool.Pool) -> None:
    """Nothing of Python's leaks, also when something fails."""
    core, a, attrs = pool._core, pool.arange(6), {"unit": "mm"}
    pool.put("g/x", a, attrs=attrs)
    pool.put("g/r", np.zeros(2, [("f", "i4")]))
    lock = pool.lock("g/x")
    text, path = b'{"a":1}', "g/x/" + str(1)
    watched = [core, pool, a, a.base, lock, text, path, attrs, a.dtype, ndpool.Block, ndpool.NameLock]
    watched = [x for x in watched if sys.getrefcount(x) < 1 << 29]  # others are immortal

    def failing(error: type[Exception], f: Callable[..., Any], *args: Any) -> None:
        with pytest.raises(error):
            f(*args)

    def hold() -> None:
        with lock as held, pool.lock("g").shared:
            assert held is lock and not lock.acquire(0)

    for work in (
        lambda: (pool["g/x"], pool["g/r"], pool.get("g/x", readonly=True), pool.get("no")),
        lambda: (pool.item("g/x"), pool.item("g"), pool.attrs("g/x").copy(), "g/x" in pool, path in pool),
        lambda: (pool.names(), pool.entries(), pool.tree(), pool.tree("g", attrs=True)),
        lambda: (pool.put("n", a, attrs=attrs), pool.put("n", a, overwrite=True), pool.remove("n")),
        lambda: pool.publish({"t": {"x": a, "y": 1, "z": {}}}, attrs=None).remove(),
        lambda: (core.set_attributes("g/x", text), core.set_attributes("g/x", None)),
        lambda: failing(errors.NoNameError, core.lookup, path),
        lambda: failing(errors.GroupError, core.lookup, "g"),
        lambda: failing(errors.NameTakenError, core.publish, "", [("g", a, text)], "new", False, []),
        lambda: failing(errors.MismatchError, core.publish, "", [("n", a, text), ("m", a[1:], text)], "new", False, []),
        lambda: failing(errors.PathError, core.lookup_tree, "\ud800"),
        lambda: failing(errors.PathError, core.remove, "a\0b"),
        lambda: failing(errors.VersionError, core.set_attributes, "g/x", text, 1 << 60),
        lambda: failing(TypeError, core.names, 3),
        lambda: failing(errors.NotLockedError, lock.release),
        lambda: failing(errors.NoNameError, core.lock, path),
        hold,
    ):
        work()
        gc.collect()
        before, arrays = [sys.getrefcount(x) for x in watched], pool.stats().arrays
        for _ in range(100):
            work()
        gc.collect()
        assert [sys.getrefcount(x) for x in watched] == before, work.__code__.co_consts
        assert pool.stats().arrays == arrays


# ---- processes


def look(name: str, path: str, value: int, queue: Any) -> None:
    with ndpool.Pool.open(name) as pool:
        a = pool[path]
        a += value
        queue.put((int(a[0]), pool.names(), pool.attrs(path).copy()))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_methods(pool: ndpool.Pool, name: str, method: str) -> None:
    context = multiprocessing.get_context(method)
    pool.put("g/x", pool.zeros(4, "i8"), attrs={"unit": "mm"})
    queue = context.Queue()
    child = context.Process(target=look, args=(name, "g/x", 5, queue))
    child.start()
    assert queue.get(timeout=60) == (5, ["g/x"], {"unit": "mm"})
    child.join(60)
    assert child.exitcode == 0 and pool["g/x"].tolist() == [5] * 4


def test_a_forked_child_uses_its_parents_pool(pool: ndpool.Pool) -> None:
    pool["parent"] = pool.zeros(3)
    with pool.publish({"mine": 1}):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                pool["parent"][:] = 3
                pool["child"] = 1
                pool.put("stays", 2, persistent=True)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        pool.reap()
        assert pool.names() == ["mine", "parent", "stays"], "a name goes with its process"
        assert pool["parent"].tolist() == [3] * 3 and pool["stays"] == 2


def test_a_forked_child_that_leaves_a_with_block_removes_nothing(pool: ndpool.Pool) -> None:
    pid = -1
    try:
        with pool.publish({"mine": 1}):
            pid = os.fork()
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
    finally:
        if pid == 0:
            os._exit(0 if "mine" in pool else 1)
    assert "mine" not in pool


def race(name: str, barrier: Any, queue: Any, mode: str) -> None:
    with ndpool.Pool.open(name) as pool:
        for k in range(20):
            barrier.wait(60)
            try:
                if mode == "put":
                    pool.put(f"{mode}{k}", os.getpid())
                else:
                    pool.publish({f"{mode}{k}": {"x": os.getpid(), "y": [os.getpid()] * 3}})
                queue.put((k, os.getpid(), True))
            except errors.NameTakenError:
                queue.put((k, os.getpid(), False))
        barrier.wait(60)  # the names stay until they were looked at


@pytest.mark.parametrize("mode", ["put", "tree"])
def test_a_race_has_one_winner(pool: ndpool.Pool, name: str, mode: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, reports = context.Barrier(3), context.Queue()
    children = [context.Process(target=race, args=(name, barrier, reports, mode)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(20):
        barrier.wait(60)
    results = [reports.get(timeout=60) for _ in range(40)]
    for k in range(20):
        won = [pid for round, pid, ok in results if round == k and ok]
        assert len(won) == 1, f"round {k}: {won}"
        winner = won[0]
        if mode == "put":
            assert pool[f"put{k}"] == winner
        else:
            assert {int(v.min()) for v in pool.tree(f"tree{k}").values()} == {winner}
    barrier.wait(60)
    for child in children:
        child.join(60)
        assert child.exitcode == 0


def test_threads(pool: ndpool.Pool) -> None:
    """A reader gets the old array or the new one, whole."""
    pool["a"] = np.zeros(1000, "i8")
    stop = threading.Event()
    torn: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            a = pool["a"]
            if a.min() != a.max():
                torn.append(a.tolist())

    readers = [threading.Thread(target=read) for _ in range(2)]
    for t in readers:
        t.start()
    for k in range(300):
        pool["a"] = np.full(1000, k)
    stop.set()
    for t in readers:
        t.join()
    assert not torn and pool.stats().arrays == 1
