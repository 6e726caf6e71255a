"""What docs/SECURITY.md says of the package: what is unpickled, what files can do, and what the command shows."""

import json
import mmap
import os
import pickle
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import npy
from ndpool._cli import main
from ndpool._look import is_pool
from ndpool._text import json_text
from ndpool.errors import AccessError, CorruptError, ExistError, KindError, NdpoolError, UnsupportedError

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m"  #: what a terminal would obey

ran: list[str] = []


def run_me(what: str) -> str:
    """Stands for anything that a pickle may call."""
    ran.append(what)
    return what


class Evil:
    """Pickles as a call."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return run_me, (self.what,)


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def folder(name: str) -> Iterator[Path]:
    """A directory on tmpfs with nothing in it."""
    path = Path("/dev/shm") / f"{name}.d"
    path.mkdir()
    yield path
    for f in os.scandir(os.fsencode(path)):
        os.unlink(f.path)
    path.rmdir()


def scribble(path: str | os.PathLike[str], old: bytes, new: bytes) -> int:
    """Writes other bytes over some of a segment, wherever they are, as a hostile peer would. Returns how often."""
    assert len(old) == len(new)
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        count, at = 0, m.find(old)
        while at >= 0:
            m[at : at + len(old)] = new
            count, at = count + 1, m.find(old, at + 1)
    assert count, old
    return count


def file_of(pool: ndpool.Pool) -> str:
    return os.path.join("/dev/shm", pool.name)


# ---- pickles


def test_a_queue_unpickles_what_peers_put(pool: ndpool.Pool) -> None:
    """Whoever can write to the pool runs what he likes in a Python process that gets from a queue."""
    q = pool.queue("work")
    q._core.put((pickle.dumps(Evil("by a peer")),), b"\3", 0.0)
    assert q.get() == "by a peer"
    assert ran == ["by a peer"]
    q.close()


def test_a_kind_can_be_forged(pool: ndpool.Pool) -> None:
    """Bytes that were put as bytes are a pickle when a peer has changed the kind in the ring."""
    q = pool.queue("work", maxsize=4)
    q.put(b"".join((pickle.dumps(Evil("forged")), b"mark the spot")))
    (info,) = (a for a in pool.arrays() if a.ring)
    with open(file_of(pool), "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        first, changed = m.find(b"mark the spot"), 0
        assert first > 0
        words = memoryview(m).cast("Q")
        for at in range(len(words) - len(words) % 8):
            if words[at] & 0xFF == 2 and at % 8 == 3 and words[at - 3] == 1 and words[at - 2] >> 32 and not words[at - 1]:
                words[at] = words[at] & ~0xFF | 3
                changed += 1
        words.release()
    if changed:
        assert q.get() == "forged"
        assert ran == ["forged"]
    q.close()
    assert info.ring == "queue"
    assert changed


def test_without_pickles_nothing_runs(pool: ndpool.Pool) -> None:
    """An end with pickles=False runs nothing, whatever a peer puts; the item is there for who trusts."""
    q = pool.queue("work", pickles=False)
    bad = pickle.dumps(Evil("by a peer"))
    q._core.put((b"honest", bad, pool.zeros(3), b"more"), b"\2\3\0\2", 0.0)
    assert q.get_many(10) == [b"honest"]
    gets: list[Callable[[], Any]] = [q.get, q.get_nowait, lambda: q.get_many(3), lambda: next(q)]
    for get in gets:
        with pytest.raises(KindError, match="stays in the queue"):
            get()
    assert ran == [] and q.qsize() == 2
    with pool.queue("work") as trusting:
        assert trusting.get() == "by a peer"
    assert ran == ["by a peer"] and q.get() == b"more"
    q.put(bad)
    assert q.get() == bad and ran == ["by a peer"], "bytes are bytes"
    q.close()


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 255])
def test_without_pickles_no_kind_helps(pool: ndpool.Pool, kind: int) -> None:
    """Whatever kind a peer gives to bytes of a pickle in the ring: they are bytes, an array, or an error."""
    q, bad = pool.queue("work", maxsize=4, pickles=False), pickle.dumps(Evil("forged"))
    q.put(bad)
    with open(file_of(pool), "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        words, changed = memoryview(m).cast("Q"), 0
        for at in range(3, len(words) - len(words) % 8, 8):
            if words[at] & 0xFF == 2 and words[at - 3] == 1 and words[at - 2] >> 32 and not words[at - 1]:
                words[at] = words[at] & ~0xFF | kind
                changed += 1
        words.release()
    assert changed == 1
    try:
        got = q.get(timeout=0.01)
    except KindError:
        assert kind == 3 and q.qsize() == 1
    except (NdpoolError, TypeError, Empty):
        assert kind not in (1, 2, 3)
    else:
        assert kind != 3 and bytes(got) == bad
    assert ran == []
    q.close()


@pytest.mark.parametrize("how", ["name", "attributes", "stream", "bytes", "message", "npy"])
def test_nothing_else_is_unpickled(pool: ndpool.Pool, tmp_path: Path, how: str) -> None:
    """A pickle that comes by any other way stays bytes, or is refused."""
    bad = pickle.dumps(Evil(how))
    whole = np.frombuffer(bad, np.uint8)
    if how == "name":
        pool.put("x", pool.array(whole))
        assert bytes(pool["x"]) == bad
    elif how == "attributes":
        pool.put("x", pool.array(whole), attrs={"evil": "q" * 100})
        scribble(file_of(pool), b'{"evil":"' + b"q" * 60, (bad + b"." * 100)[:69])
        with pytest.raises(NdpoolError):
            dict(pool.attrs("x"))
        pool.remove("x")
    elif how == "stream":
        with pool.writer("s") as w, pool.reader("s") as r:
            w.publish(pool.array(whole))
            assert bytes(r.latest(1).array) == bad
    elif how == "bytes":
        with pool.queue() as q:
            q.put(bad)
            assert q.get() == bad
    elif how == "message":
        with pytest.raises((NdpoolError, ValueError)):
            ndpool._core.rebuild(bad, file_of(pool))
    else:
        file = tmp_path / "x.npy"
        np.save(file, np.array([Evil(how)], object), allow_pickle=True)
        with pytest.raises(UnsupportedError):
            npy.load(pool, file)
    assert ran == []


def test_no_array_holds_pointers(pool: ndpool.Pool) -> None:
    """A dtype of Python objects, which are pointers, cannot be forged: neither as a code nor in a record."""
    a = pool.empty(4, np.dtype([("field", "V8"), ("other", "V8")]))
    b = pool.empty(3, "V8")
    pool.put("record", a)
    pool.put("code", b)
    scribble(file_of(pool), b'["field","|V8"', b'["field","|O8"')
    scribble(file_of(pool), (ord("V") | 8 << 32).to_bytes(8, "little"), (ord("O") | 8 << 32).to_bytes(8, "little"))
    for name in ("record", "code"):
        with pytest.raises(CorruptError):
            pool[name]
    scribble(file_of(pool), b'["field","|O8"', b'["field","|V8"')
    scribble(file_of(pool), (ord("O") | 8 << 32).to_bytes(8, "little"), (ord("V") | 8 << 32).to_bytes(8, "little"))
    assert pool["record"].dtype == a.dtype


# ---- names that lead elsewhere


@pytest.mark.parametrize("forged", ["../../../x", "/etc/ab/xy", "..", "ab/cd/ef/g", "\udcff\udcfe345678"])
def test_forged_names_lead_nowhere(pool: ndpool.Pool, tmp_path: Path, forged: str) -> None:
    """A component that a peer has made up is in no list, no tree, and no file that is written from them."""
    raw = os.fsencode(forged).ljust(10, b"\0")
    pool.put("group/victim0001", pool.zeros(10))
    pool.put("other", pool.ones(3))
    scribble(file_of(pool), b"victim0001", raw)
    npy.save_npz(pool, tmp_path / "all.npz")
    with zipfile.ZipFile(tmp_path / "all.npz") as z:
        assert z.namelist() == ["other.npy"]
    assert {n.path for n in pool.entries()} <= {"group", "other"}
    assert set(os.listdir(tmp_path)) == {"all.npz"}


def test_zarr_stays_in_its_directory(pool: ndpool.Pool, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    from ndpool import zarr

    pool.put("group/victim0001", pool.zeros(10))
    pool.put("other", pool.ones(3))
    scribble(file_of(pool), b"victim0001", b"../../../x")
    (tmp_path / "in").mkdir()
    zarr.save(pool, tmp_path / "in" / "store")
    assert os.listdir(tmp_path) == ["in"] and os.listdir(tmp_path / "in") == ["store"]


def test_npz_members_that_lead_out(pool: ndpool.Pool, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as z:
        for member in ("../up.npy", "/abs.npy", "a/../../b.npy", "a//b.npy"):
            z.writestr(zipfile.ZipInfo(member), (tmp_path / "x.npy").read_bytes())
    with pytest.raises(UnsupportedError) as e:
        npy.load_npz(pool, tmp_path / "bad.npz", "in")
    assert len(e.value.items) == 4
    assert "in" not in pool


# ---- files of others


def others(h5py: Any, folder: Path) -> None:
    """Writes given.h5, which leads to other files in all ways that there are, and has what it leads to within itself, too."""
    (folder / "secret").write_bytes(b"my private key ..")
    with h5py.File(folder / "private.h5", "w") as f:
        f["s"] = np.frombuffer(b"private, too", np.uint8)

    def virtual(name: str, size: int, dtype: str, *sources: tuple[str, str, int]) -> None:
        layout, at = h5py.VirtualLayout((size,), dtype), 0
        for file, dataset, n in sources:
            layout[at : at + n] = h5py.VirtualSource(file, dataset, (n,))
            at += n
        f.create_virtual_dataset(name, layout)

    other = str(folder / "private.h5")
    with h5py.File(folder / "given.h5", "w") as f:
        f.create_dataset("raw", (16,), "u1", external=[(str(folder / "secret"), 0, 16)])
        f["link"], f["door"] = h5py.ExternalLink(other, "s"), h5py.ExternalLink(other, "/")
        f["through"] = h5py.SoftLink("/door/s")
        f["way"] = h5py.SoftLink("/door")
        f["honest"] = np.arange(3)
        virtual("virtual", 12, "u1", (other, "s", 12))
        virtual("mixed", 15, "u1", (".", "honest", 3), (other, "s", 12))
        virtual("around", 12, "u1", (".", "door/s", 12))
        virtual("stored", 16, "u1", (".", "raw", 16))
        virtual("nested", 12, "u1", (".", "virtual", 12))
        virtual("local", 6, "i8", (".", "honest", 3), (".", "/honest", 3))


def test_hdf5_reads_no_other_file(pool: ndpool.Pool, tmp_path: Path) -> None:
    """A file cannot have other files of this user published: not by external storage, and not by a virtual dataset."""
    h5py = pytest.importorskip("h5py")
    from ndpool import hdf5

    others(h5py, tmp_path)
    with pytest.raises(UnsupportedError) as e:
        hdf5.load(pool, tmp_path / "given.h5", "in")
    bad = ["/around", "/door", "/link", "/mixed", "/nested", "/raw", "/stored", "/through", "/virtual", "/way"]
    assert sorted(s.path for s in e.value.items) == bad
    assert all("external=True, or --external" in s.reason for s in e.value.items)
    hdf5.load(pool, tmp_path / "given.h5", "in", skip=True)
    assert [n.path for n in pool.entries("in") if not n.group] == ["in/honest", "in/local"]
    assert pool["in/local"].tolist() == [0, 1, 2, 0, 1, 2]
    for group in ("door", "/way"):
        with pytest.raises(UnsupportedError, match="another file"):
            hdf5.load(pool, tmp_path / "given.h5", "out", group=group, skip=True)
    with open(file_of(pool), "rb") as seg:
        content = seg.read()
    assert b"my private key" not in content and b"private, too" not in content


def test_hdf5_reads_other_files_if_told(pool: ndpool.Pool, tmp_path: Path) -> None:
    """With external, which is for files of whom one trusts, all of these are data."""
    h5py = pytest.importorskip("h5py")
    from ndpool import hdf5

    others(h5py, tmp_path)
    hdf5.load(pool, tmp_path / "given.h5", "in", external=True)
    assert bytes(pool["in/raw"]) == bytes(pool["in/stored"]) == b"my private key ."
    for name in ("virtual", "link", "through", "around", "nested", "door/s", "way/s"):
        assert bytes(pool[f"in/{name}"]) == b"private, too", name
    assert bytes(pool["in/mixed"]) == b"\0\1\2private, too"


@pytest.mark.timeout(30, method="thread")  # no signal gets through to HDF5
def test_hdf5_opens_no_other_file(pool: ndpool.Pool, tmp_path: Path) -> None:
    """Not even to look: a link to a pipe makes nobody wait, by whatever way it is come upon. Nor do circles."""
    h5py = pytest.importorskip("h5py")
    from ndpool import hdf5
    from ndpool.compat import cute_shm

    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "given.h5", "w") as f:
        f["link"] = h5py.ExternalLink(str(tmp_path / "pipe"), "s")
        f["soft"] = h5py.SoftLink("/link/x")
        f["a"], f["b"] = h5py.SoftLink("/b"), h5py.SoftLink("a/./a//a")
        layout = h5py.VirtualLayout((3,), "i8")
        for source, name in (("/link/x", "virtual"), ("/self", "self"), ("/nowhere", "missing")):
            layout = h5py.VirtualLayout((3,), "i8")
            layout[:] = h5py.VirtualSource(".", source, (3,))
            f.create_virtual_dataset(name, layout, fillvalue=7)
        for name, file, series in (("series", b".", b"/link/%b"), ("grows", bytes(tmp_path / "pipe"), b"x")):
            grows, block = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,)), h5py.h5s.create_simple((3,))
            made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            if name == "series":
                grows.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (3,), (3,))
                made.set_virtual(grows, file, series, block)
            else:
                grows.select_hyperslab((0,), (1,), (1,), (h5py.h5s.UNLIMITED,))
                made.set_virtual(grows, file, series, grows)
            h5py.h5d.create(f.id, name.encode(), h5py.h5t.NATIVE_INT64, grows, made)
    told = dict(hdf5.load(pool, tmp_path / "given.h5", "in", skip=True).skipped)
    assert sorted(told) == ["/a", "/b", "/grows", "/link", "/self", "/series", "/soft", "/virtual"]
    assert all("external=True" in told[name] for name in ("/grows", "/link", "/soft", "/virtual", "/self", "/series"))
    assert pool["in/missing"].tolist() == [7, 7, 7]
    for group in ("link", "/soft", "link/x"):
        with pytest.raises(UnsupportedError, match="external=True"):
            hdf5.load(pool, tmp_path / "given.h5", "out", group=group, skip=True)
    with h5py.File(tmp_path / "given.h5", "a") as f:
        for name in ("a", "b", "link", "soft"):
            del f[name]
    with pytest.raises(UnsupportedError, match="external=True"):
        cute_shm.hdf5_to_shm(tmp_path / "given.h5", "project")


def test_zarr_unpickles_nothing(pool: ndpool.Pool, tmp_path: Path) -> None:
    """A store of format 2 can name a codec that unpickles. Whatever zarr makes of that, nothing runs."""
    pytest.importorskip("zarr")
    from ndpool import zarr

    for which in ("filters", "compressor"):
        base = tmp_path / which / "a"
        base.mkdir(parents=True)
        (base.parent / ".zgroup").write_text('{"zarr_format": 2}')
        meta: dict[str, Any] = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<i4", "fill_value": 0, "order": "C"}
        meta |= {"filters": None, "compressor": None} | {which: [{"id": "pickle"}] if which == "filters" else {"id": "pickle"}}
        (base / ".zarray").write_text(json.dumps(meta))
        (base / "0").write_bytes(pickle.dumps(Evil(which)))
        with pytest.raises((NdpoolError, ValueError)):
            zarr.load(pool, base.parent, "in")
    assert ran == []


@pytest.mark.parametrize("which", ["filters", "compressor"])
def test_the_codec_that_unpickles_is_refused(which: str) -> None:
    """Also if zarr would read it."""
    pytest.importorskip("zarr")
    from ndpool.zarr import _unpickles

    bad, good = SimpleNamespace(codec_id="pickle"), SimpleNamespace(codec_id="delta")
    metadata = {"filters": (good,), "compressor": None} | {which: bad if which == "compressor" else (good, bad)}
    assert _unpickles(SimpleNamespace(metadata=SimpleNamespace(**metadata)))
    assert not _unpickles(SimpleNamespace(metadata=SimpleNamespace(filters=(good,), compressor=good)))
    assert not _unpickles(SimpleNamespace(metadata=SimpleNamespace()))


# ---- what stands in a directory that others can write to


@pytest.mark.timeout(20)
def test_pipes_and_links_in_place_of_a_pool(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing waits for a pipe, and no link is followed."""
    os.mkfifo(folder / "pipe")
    os.symlink("/etc/passwd", folder / "link")
    for name in ("pipe", "link"):
        for verb in ("stat", "ls", "ps", "rings", "verify", "names"):
            assert main(["-d", str(folder), verb, name]) == 1
    assert not is_pool(str(folder / "pipe"))
    with pytest.raises(OSError, match="symbolic"):
        is_pool(str(folder / "link"))
    capsys.readouterr()
    assert main(["-d", str(folder), "ls"]) == 0
    assert capsys.readouterr().out == f"no pools in {folder}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: cannot give a file to somebody else")
def test_a_name_that_another_user_took(name: str) -> None:
    """A fixed name can be taken by another user. That is refused; nothing of his pool is used."""
    ndpool.Pool.create(name, capacity="1M", persistent=True).close()
    os.chown(f"/dev/shm/{name}", 12345, 12345)
    with pytest.raises(AccessError, match="12345"):
        ndpool.Pool(name)
    with pytest.raises(AccessError, match="12345"):
        ndpool.unlink(name)
    with pytest.raises(ExistError):
        ndpool.Pool.create(name)
    os.chown(f"/dev/shm/{name}", 0, 0)


def test_fixed_names_bear_the_user(tmp_path: Path) -> None:
    """The compatible modules have names that others can guess; they are of this user's own files alone."""
    from ndpool.compat import pyarraypool

    mine = pyarraypool._name_of(str(tmp_path / "x"))
    assert f"-{os.getuid()}-" in mine
    assert "/" not in mine and not mine.startswith(".")


def test_mode_whatever_the_umask(name: str) -> None:
    old = os.umask(0)
    try:
        with ndpool.Pool.create(name, capacity="1M"):
            assert os.stat(f"/dev/shm/{name}").st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_a_peer_that_cuts_the_file(name: str, run: Callable[..., str]) -> None:
    """Whoever can write to a named pool can cut it: who touches it then ends by SIGBUS. That is not so of an anonymous one."""
    program = """
        import os, sys, ndpool
        p = ndpool.Pool.create(sys.argv[1], capacity="1M")
        os.truncate("/dev/shm/" + sys.argv[1], 4096)
        p.stats()
    """
    try:
        run(program, name, code=-signal.SIGBUS)
    finally:
        os.unlink(f"/dev/shm/{name}")
    out = run("""
        import os, ndpool
        p = ndpool.Pool.anonymous(capacity="1M")
        fd = p.fileno()
        try:
            os.truncate(fd, 4096)
        except PermissionError:
            print("refused", p.stats().arrays)
    """)
    assert out == "refused 0"


# ---- terminals


def test_the_command_obeys_no_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What others have named steers no terminal, and pretends to be no other line."""
    forged = f"a{ESCAPE}\nzz  live"
    raw = b"bad\xff\xfe"
    with ndpool.Pool.create(forged, dir=str(folder), capacity="1M") as pool:
        pool.put(f"na{ESCAPE}me\nforged", pool.zeros(2, np.dtype([(f"f{ESCAPE}", "u1")])), attrs={ESCAPE: ESCAPE})
        q = pool.queue(f"q{ESCAPE}\nu", maxsize=8)
        os.rename(folder / forged, os.path.join(os.fsencode(folder), raw))
        for other in (forged, "b\nzz  live"):  # the second has nothing else that is escaped
            os.link(os.path.join(os.fsencode(folder), raw), folder / other)
        for verb in ("ls", "ps", "stat", "names", "rings", "verify"):
            for options in ([], ["--json"]):
                args = [forged] if verb != "ls" else []
                code = main([*options, "-d", str(folder), verb, *args])
                out, err = capsys.readouterr()
                assert code == 0, (verb, err)
                (out + err).encode()
                assert all(c.isprintable() or c == "\n" for c in out + err), (verb, out)
                if options:
                    json.loads(out)
                elif verb == "ls":
                    assert not re.search("^zz", out, re.MULTILINE) and len(out.splitlines()) == 4
        assert main(["-d", str(folder), "ls", "-q"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
        q.close()
    for f in os.scandir(os.fsencode(folder)):
        os.unlink(f.path)


def test_json_for_terminals() -> None:
    value = {"k": "a\x1b\x9b\u202e\U000e0041ä\U0001f600\n\udcff"}
    text = json_text(value, 2)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert json.loads(text) == value
    assert "ä" in text and "\U0001f600" in text


# ---- what is left in memory


def test_freed_memory_is_not_cleared(pool: ndpool.Pool) -> None:
    """empty gives what was there before; zeros does not."""
    for _ in range(3):
        pool.full(30 << 20, 77, "u1")
    assert 77 in pool.empty(50 << 20, "u1")
    assert 77 not in pool.zeros(50 << 20, "u1")


# ---- a segment that was scribbled over


LOOK = """
import mmap, os, random, sys
import ndpool
from ndpool.errors import NdpoolError

folder, rng = sys.argv[1], random.Random(int(sys.argv[2]))
words = [0, 1, 2, 255, 256, 4096, 2**29, 2**31, 2**32 - 1, 2**32, 2**48, 2**63, 2**64 - 1]
refused = done = 0

def attempt(do):
    global refused, done
    try:
        found = do()
        done += 1
        return found
    except (NdpoolError, LookupError):
        refused += 1

def look(p):
    for do in (p.stats, p.arrays, p.processes, p.tickets, p.rings, p.entries):
        attempt(lambda: repr(do()))
    for a in attempt(p.arrays) or []:
        x = attempt(lambda: p.retain(a.handle))
        if x is not None and x.nbytes:
            x.tobytes()  # all of it: a fault if it does not lie in the block

p = ndpool.Pool.create("x", dir=folder, capacity="1M", arrays=64, names=32, tickets=16, lock_wait=0.01)
p.put("g/x", p.ones(10), attrs={"a": 1})
keep = [p.array([("a", 1)], [("f", "S3"), ("g", "i4")]), p.zeros((2,) * 10)]
p.send(keep[0])
q, w = p.queue("q", maxsize=4), p.writer("s")
q.put([1, p.zeros(500)])
w.publish(p.zeros(7))
with open(folder + "/x", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    tables = len(m) - (1 << 20)
    for _ in range(40):
        at = rng.randrange(4096, tables + 16384) & ~7
        m[at : at + 8] = rng.choice([rng.choice(words), rng.getrandbits(64)]).to_bytes(8, "little")
        peeked = attempt(lambda: ndpool.Pool.peek("x", dir=folder))
        if peeked is not None:
            look(peeked)
        look(p)
        attempt(lambda: p.put("new", p.zeros(10), overwrite=True))
        attempt(p.tree)
        attempt(lambda: p["g/x"].sum())
        attempt(lambda: p.reader("s").newest())
        attempt(lambda: p.verify(content=True))
        try:
            attempt(lambda: q.get_many(3, timeout=0.01))
            attempt(lambda: q.put(1, timeout=0.01))
        except Exception as e:  # what a pickle that was scribbled over raises is what it raises
            pass
print("looked", done > 100, refused > 0, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("first", [True, False])
def test_scribbled_segments(folder: Path, first: bool) -> None:
    """Whatever the tables hold, the package raises its errors, and nothing else happens."""
    for number in range(5):
        seed = int(os.environ.get("NDPOOL_SEED", number if first else Random().getrandbits(40)))
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(folder), str(seed)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        )
        assert done.returncode == 0 and done.stdout.startswith("looked True"), (seed, done.stdout, done.stderr)
        (folder / "x").unlink(missing_ok=True)
