"""Arrays through all ways of multiprocessing, under each way of starting processes: by reference, and without leaks."""

from __future__ import annotations

import gc
import multiprocessing as mp
import multiprocessing.managers
import multiprocessing.pool
import os
import pickle
import queue
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import ndpool
from ndpool import errors

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Array = np.ndarray[Any, Any]
Context = Any  # the typeshed has no protocol for contexts
METHODS = ("fork", "forkserver", "spawn")
MB = 1 << 20
WAIT = 30  #: seconds, for anything that could hang


# ---- what other processes do; those that are spawned import this file


@dataclass
class Frame:
    """An array among other things."""

    pixels: Array
    tags: dict[str, Any] = field(default_factory=dict)


def add(a: Array, n: int) -> None:
    """Changes an array in place."""
    a += n


def tell(a: Array) -> tuple[float, bool, tuple[int, ...]]:
    """Says what a process sees of an array."""
    return float(a.sum()), ndpool.is_shared(a), a.strides


def echo(x: Any) -> Any:
    """Sends back what came."""
    return x


def mark(a: Array, k: int) -> int:
    """Notes in an array who was here."""
    a[k] = k + 1
    return os.getpid()


def make(p: ndpool.Pool, n: int) -> Array:
    """Makes an array in a pool."""
    return p.full(n, n, "i4")


def make_views(p: ndpool.Pool) -> dict[str, Any]:
    """Makes an array and sends parts of it."""
    a = p.arange(10)
    return {"whole": a, "again": a, "tail": a[5:], "back": a[::-1]}


def visit(x: Any) -> Any:
    """Adds 1 to all arrays in a structure, and sends it back."""
    for a in (x["frame"].pixels, x["frame"].tags["mask"], *x["list"], x["tuple"][1]):
        a += 1
    return x


def fail(a: Array) -> None:
    """Fails with an array in the exception."""
    raise LookupError("no luck", a[1:])


def sleep(a: Array, seconds: float) -> Array:
    """Is busy for a while."""
    time.sleep(seconds)
    return a


def pool_of_mine() -> tuple[str, int]:
    """Says what the default pool of this process is."""
    return ndpool.default_pool().path, os.getpid()


def serve(requests: Any, answers: Any) -> None:
    """Sends back each array that comes, changed, and a view of it."""
    while (a := requests.get()) is not None:
        a *= 2
        answers.put((a, a[::2]))


def serve_pipe(end: Connection) -> None:
    """The same by a pipe."""
    while (a := end.recv()) is not None:
        a *= 2
        end.send((a, a[::2]))
    end.close()


def forward(source: Any, target: Any) -> None:
    """Passes an array on and ends."""
    a = source.get()
    a += 1
    target.put(a)


def produce(p: ndpool.Pool, target: Any, n: int) -> None:
    """Makes arrays, sends them and ends."""
    for k in range(n):
        target.put(p.full(100, k, "i4"))


def hang(end: Connection) -> None:
    """Says that it is here, and reads nothing."""
    end.send("here")
    time.sleep(WAIT)


# ---- pools of workers, shared by the tests of a method


@pytest.fixture(scope="module", params=METHODS)
def ctx(request: pytest.FixtureRequest) -> Context:
    """One way of starting processes."""
    return mp.get_context(request.param)


@pytest.fixture(scope="module")
def arena(ctx: Context) -> Iterator[ndpool.Pool]:
    """A pool for the tests of one method."""
    with ndpool.Pool.create(f"ndpytest-{os.getpid()}-mp-{uuid.uuid4().hex}", capacity="32M") as p:
        yield p
        gc.collect()
        p.reap()
        assert p.verify().clean


@pytest.fixture(scope="module")
def workers(ctx: Context, arena: ndpool.Pool) -> Iterator[multiprocessing.pool.Pool]:
    """Two processes."""
    with ctx.Pool(2) as w:
        yield w
        w.close()
        w.join()


def settle(p: ndpool.Pool, arrays: int, transfers: int = 0) -> None:
    """Waits until the pool has that many arrays and transfers: others may need a moment to drop what they had."""
    until = time.monotonic() + 5
    while True:
        p.reap()
        stats = p.stats()
        if (stats.arrays, stats.transfers) == (arrays, transfers) or time.monotonic() > until:
            break
        gc.collect()  # threads of multiprocessing may have had exceptions until now
        time.sleep(0.002)
    assert (stats.arrays, stats.transfers) == (arrays, transfers)


@pytest.fixture
def shared(arena: ndpool.Pool) -> Iterator[ndpool.Pool]:
    """The pool, which has nothing before and after each test."""
    yield arena
    gc.collect()
    settle(arena, 0)


def started(ctx: Context, work: Callable[..., object], *args: Any) -> Any:
    """Starts a process."""
    process = ctx.Process(target=work, args=args, daemon=True)
    process.start()
    return process


def ended(process: Any, code: int = 0) -> None:
    """Waits for the end of a process."""
    process.join(WAIT)
    assert process.exitcode == code


# ---- by reference, in both directions


def test_process_arguments(ctx: Context, shared: ndpool.Pool) -> None:
    """Arrays in the arguments of a process are those of its parent, and go when it has ended."""
    a = shared.arange(6)
    ended(started(ctx, add, a[::2], 100))
    assert a.tolist() == [100, 1, 102, 3, 104, 5]
    settle(shared, 1)


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_queues(ctx: Context, shared: ndpool.Pool, kind: str) -> None:
    """A process gets the sender's memory from a queue, and gives it back by another."""
    requests, answers = getattr(ctx, kind)(), getattr(ctx, kind)()
    process = started(ctx, serve, requests, answers)
    a = shared.full(1000, 3.0)
    requests.put(a)
    b, half = answers.get()
    assert (a == 6).all() and ndpool.handle(b) == ndpool.handle(half) == ndpool.handle(a)
    half[0] = -1
    assert a[0] == b[0] == -1 and half.shape == (500,)
    private = np.ones(10)
    requests.put(private)
    c, _ = answers.get()
    assert (c == 2).all() and (private == 1).all() and not ndpool.is_shared(c)
    requests.put(None)
    ended(process)
    settle(shared, 1)


def test_pipe(ctx: Context, shared: ndpool.Pool) -> None:
    """A pipe carries arrays by reference in both directions."""
    end, other = ctx.Pipe()
    process = started(ctx, serve_pipe, other)
    other.close()
    a = shared.full((10, 10), 3.0)
    for _ in range(3):
        end.send(a.T)
        assert end.poll(WAIT)
        b, half = end.recv()
        assert b.ctypes.data == a.ctypes.data and half.shape == (5, 10)
    assert (a == 24).all()
    end.send(None)
    ended(process)
    end.close()
    settle(shared, 1)


def test_map(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """Arguments of map arrive by reference, as what they are."""
    a = shared.arange(12).reshape(3, 4)
    told = workers.map_async(tell, [a, a.T, a[::-1], np.arange(12)]).get(WAIT)
    assert told == [(66.0, True, (32, 8)), (66.0, True, (8, 32)), (66.0, True, (-32, 8)), (66.0, False, (8,))]
    settle(shared, 1)


def test_results_of_map(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """Arrays that workers made come back by reference, and end here."""
    made = workers.starmap_async(make, [(shared, n) for n in range(1, 21)]).get(WAIT)
    assert [(len(a), int(a[0])) for a in made] == [(n, n) for n in range(1, 21)]
    assert all(shared.owns(a) for a in made)
    settle(shared, 20)


def test_imap(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """imap gives the arrays one by one; those that were dropped are gone."""
    results = workers.imap(echo, (shared.full(100, k) for k in range(30)))
    for k in range(30):
        assert (results.next(WAIT) == k).all()


def test_apply_with_callback(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """Results of apply_async arrive in callbacks by reference."""
    got: list[Array] = []
    a = shared.arange(5)
    workers.apply_async(echo, (a[1:],), callback=got.append).wait(WAIT)
    assert got[0].tolist() == [1, 2, 3, 4]
    got[0][0] = 9
    assert a[1] == 9


def test_write_is_seen_and_nothing_is_copied(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """A worker's writes show here, no second array is ever made, and arrays in private memory are copied."""
    a, private = shared.zeros(1000), np.zeros(1000)
    workers.starmap_async(add, [(a, 5), (private, 5)], chunksize=1).get(WAIT)
    assert (a == 5).all() and (private == 0).all()
    settle(shared, 1)
    b = workers.apply_async(echo, (a,)).get(WAIT)
    assert shared.stats().arrays == 1 and ndpool.handle(b) == ndpool.handle(a)


def test_views_of_a_workers_array(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """One object that a message has twice arrives as one, and views of an array as views of one memory."""
    d = workers.apply_async(make_views, (shared,)).get(WAIT)
    assert d["whole"] is d["again"]
    d["whole"][9] = 99
    assert d["tail"].tolist() == [5, 6, 7, 8, 99] and d["back"][0] == 99
    settle(shared, 1)


def test_nested_containers(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """Arrays in dicts, lists, tuples and dataclasses go by reference, those in private memory by value."""
    a, private = shared.zeros((4, 4)), np.zeros(3)
    x = {
        "frame": Frame(a, {"mask": a[0] > 5, "n": 3}),
        "list": [a[1], a.T[2:], private],
        "tuple": ("t", shared.ones(2)),
    }
    x["frame"].tags["mask"] = a[3:, 3:]
    y = workers.apply_async(visit, (x,)).get(WAIT)
    assert a.tolist() == [[1, 1, 2, 2], [2, 2, 3, 3], [1, 1, 2, 2], [1, 1, 2, 3]]
    assert (private == 0).all() and (y["list"][2] == 1).all() and x["tuple"][1].tolist() == [2, 2]
    assert y["frame"].pixels.ctypes.data == a.ctypes.data and y["frame"].tags["n"] == 3


def test_one_array_to_eight(ctx: Context, workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """An array that is sent eight times has eight transfers, and each of them is adopted once."""
    a = shared.zeros(8, "i4")
    ends = [ctx.Pipe(duplex=False) for _ in range(8)]
    for _, w in ends:
        w.send(a)
    assert (shared.stats().transfers, shared.stats().arrays, shared.arrays()[0].in_transit) == (8, 1, 8)
    got = [r.recv() for r, _ in ends]
    assert len({id(b.base) for b in got}) == 8 and all(ndpool.handle(b) == ndpool.handle(a) for b in got)
    del got
    workers.starmap_async(mark, [(a, k) for k in range(8)], chunksize=1).get(WAIT)
    assert a.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    for end in (end for pair in ends for end in pair):
        end.close()
    settle(shared, 1)


def test_forwarding(ctx: Context, shared: ndpool.Pool) -> None:
    """A receiver may pass an array on and end: the third has it, also if the first has let go."""
    first, second = ctx.Queue(), ctx.Queue()
    process = started(ctx, forward, first, second)
    a = shared.arange(10)
    handle = ndpool.handle(a)
    first.put(a)
    del a
    ended(process)
    b = second.get(timeout=WAIT)
    assert b.tolist() == list(range(1, 11)) and ndpool.handle(b) == handle


def test_results_of_a_process_that_has_ended(ctx: Context, shared: ndpool.Pool) -> None:
    """What a process sent before its end is there for the pool's grace, and its own arrays are not."""
    q = ctx.Queue()
    process = started(ctx, produce, shared, q, 5)
    ended(process)
    got = [q.get(timeout=WAIT) for _ in range(5)]
    assert [int(a[0]) for a in got] == [0, 1, 2, 3, 4]
    settle(shared, 5)


def test_garbage_collection_between_put_and_get(ctx: Context, shared: ndpool.Pool) -> None:
    """What was put into a queue stays, also if the sender forgets it."""
    q = ctx.Queue()
    for k in range(10):
        q.put(shared.full(100, k))
        gc.collect()
    settle(shared, 10, 10)
    filler = [shared.full(100, -1.0) for _ in range(50)]
    for k in range(10):
        assert (q.get(timeout=WAIT) == k).all()
    del filler
    settle(shared, 0)


def test_manager_queue(ctx: Context, shared: ndpool.Pool) -> None:
    """A manager's process has an array by reference while it lies in a queue there, and gives it on by reference."""
    with ctx.Manager() as manager:
        q, d = manager.Queue(), manager.dict()
        a = shared.arange(10)
        q.put(a[2:])
        d["a"] = a
        assert shared.stats().processes >= 2 and len(shared.arrays()[0].holders) == 2
        b, c = q.get(timeout=WAIT), d["a"]
        b[0] = 77
        assert a[2] == c[2] == 77 and shared.stats().arrays == 1
        handle = ndpool.handle(a)
        del a, b, c
        assert [x.handle for x in shared.arrays()] == [handle]
        assert d.pop("a")[2] == 77


def test_exceptions_with_arrays(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """An array in a worker's exception comes back by reference, and goes with the exception."""
    a = shared.arange(5)
    with pytest.raises(LookupError, match="no luck") as caught:
        workers.apply_async(fail, (a,)).get(WAIT)
    caught.value.args[1][0] = 55
    assert a[1] == 55
    del caught


def test_default_pool_is_found(ctx: Context, tmp_path: Path) -> None:
    """Processes of a tree have one default pool, whoever made it, and it goes with the tree."""
    script = tmp_path / "main.py"
    script.write_text(f"""\
import os, sys
import multiprocessing as mp
import numpy as np
import ndpool

def child(q, r):
    a = q.get()
    b = ndpool.full(10, 7.0)
    a[:] = 5
    r.put((ndpool.default_pool().path, os.getpid(), b))

if __name__ == "__main__":
    ctx = mp.get_context({ctx.get_start_method()!r})
    with ctx.Pool(1) as w:  # starts a forkserver before there is a default pool
        w.apply(os.getpid)
    a = ndpool.zeros(10)
    q, r = ctx.Queue(), ctx.Queue()
    p = ctx.Process(target=child, args=(q, r))
    p.start()
    q.put(a)
    path, pid, b = r.get(timeout={WAIT})
    p.join({WAIT})
    assert p.exitcode == 0 and pid == p.pid != os.getpid()
    assert path == ndpool.default_pool().path
    assert ndpool.default_pool().owns(b) and (b == 7).all() and (a == 5).all()
    print(path)
""")
    env = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL")}
    done = subprocess.run([sys.executable, script], capture_output=True, check=False, text=True, timeout=WAIT, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("/dev/shm/ndpool-") and not os.path.exists(done.stdout.strip())


# ---- what goes wrong


class Stubborn:
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("stubborn")


def test_failed_pickle_is_taken_back(ctx: Context, shared: ndpool.Pool) -> None:
    """If something beside an array cannot be pickled, nobody gets its transfer: it stays until it is recalled."""
    r, w = ctx.Pipe(duplex=False)
    a = shared.arange(5)
    with pytest.raises(pickle.PicklingError):
        w.send([a, Stubborn()])
    del a
    assert not r.poll() and (shared.stats().arrays, shared.stats().transfers) == (1, 1)
    assert shared.recall(older_than=0) == 1
    assert (shared.stats().arrays, shared.stats().transfers) == (0, 0)
    r.close()
    w.close()


def test_failed_pickle_of_a_queue(ctx: Context, shared: ndpool.Pool, capfd: pytest.CaptureFixture[str]) -> None:
    """A queue drops such a message with a traceback and goes on; the transfer stays until it is recalled."""
    q = ctx.Queue()
    q.put([shared.arange(5), Stubborn()])
    q.put(shared.arange(3))
    assert q.get(timeout=WAIT).tolist() == [0, 1, 2]
    assert "stubborn" in capfd.readouterr().err
    settle(shared, 1, 1)
    assert shared.recall(older_than=0) == 1
    settle(shared, 0)


def test_discarded_queue(ctx: Context, shared: ndpool.Pool) -> None:
    """What lies in a queue that is thrown away stays until it is recalled."""
    q = ctx.Queue()
    for _ in range(3):
        q.put(shared.arange(5))
    q.close()
    q.join_thread()
    del q
    gc.collect()
    assert (shared.stats().arrays, shared.stats().transfers) == (3, 3)
    assert shared.recall(older_than=0) == 3
    assert shared.stats().arrays == 0


def test_recall_by_age(ctx: Context, shared: ndpool.Pool) -> None:
    """Old transfers are taken back, young ones can still be adopted, and a receiver is told."""
    r, w = ctx.Pipe(duplex=False)
    for k in range(2):
        w.send(shared.full(5, k))
    time.sleep(0.3)
    w.send(shared.full(5, 2))
    assert shared.recall(older_than=60) == 0
    assert shared.recall(older_than=0.25) == 2
    for _ in range(2):
        with pytest.raises(errors.RecalledError):
            r.recv()
    assert r.recv().sum() == 10
    r.close()
    w.close()


def test_receiver_killed_before_it_reads(ctx: Context, shared: ndpool.Pool) -> None:
    """A transfer to a process that was killed before it read stays open, and its sender recalls it."""
    end, other = ctx.Pipe()
    process = started(ctx, hang, other)
    assert end.poll(WAIT) and end.recv() == "here"
    a = shared.arange(5)
    end.send(a)
    process.kill()
    ended(process, -signal.SIGKILL)
    settle(shared, 1, 1)
    del a
    assert shared.stats().arrays == 1 and shared.recall(older_than=0) == 1
    end.close()
    other.close()


def test_terminate_with_work_in_flight(ctx: Context, shared: ndpool.Pool) -> None:
    """Workers that are terminated amidst their work leave nothing that recall and sweeping do not end."""
    a = shared.ones(1000)
    with ctx.Pool(1) as w:
        assert w.apply_async(echo, (a,)).get(WAIT).sum() == 1000
        w.starmap_async(sleep, [(a, 20.0)] * 5, chunksize=1)
        time.sleep(0.05)
        w.terminate()
        w.join()
    shared.recall(older_than=0)
    settle(shared, 1)
    assert a.sum() == 1000


def test_worker_is_killed_with_arrays(ctx: Context, shared: ndpool.Pool) -> None:
    """A process that is killed lets go of its arrays; those of others stay."""
    q, r = ctx.Queue(), ctx.Queue()
    process = started(ctx, serve, q, r)
    a = shared.ones(10)
    q.put(a)
    b, _ = r.get(timeout=WAIT)
    process.kill()
    ended(process, -signal.SIGKILL)
    settle(shared, 1)
    assert (b == 2).all()


def test_errors_come_back(workers: multiprocessing.pool.Pool, shared: ndpool.Pool) -> None:
    """Errors of the pool in a worker arrive with their numbers."""
    with pytest.raises(errors.FullError) as caught:
        workers.apply_async(make, (shared, 1 << 26)).get(WAIT)
    assert caught.value.asked is not None and caught.value.asked >= 1 << 28
    assert caught.value.capacity == shared.capacity


def test_pool_that_has_ended(ctx: Context, name: str) -> None:
    """Who gets an array of a pool that is gone is told so."""
    r, w = ctx.Pipe(duplex=False)
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.zeros(3)
    w.send(a)
    p.recall(older_than=0)
    del a
    p.close()
    with pytest.raises(errors.NotExistError):
        r.recv()
    q = ndpool.Pool.create(name, capacity=MB)
    a = q.zeros(3)
    w.send(a)
    q.recall(older_than=0)
    del a
    q.close()
    with ndpool.Pool.create(name, capacity=MB), pytest.raises(errors.ForeignError):
        r.recv()
    r.close()
    w.close()


def test_closed_pool_sends_by_value(ctx: Context, name: str) -> None:
    """An array of a pool that its sender has closed goes by value."""
    r, w = ctx.Pipe(duplex=False)
    p = ndpool.Pool.create(name, capacity=MB)
    a = p.arange(5)
    p.close()
    w.send(a)
    b = r.recv()
    assert b.tolist() == a.tolist() and not ndpool.is_shared(b)
    r.close()
    w.close()


def test_full_table_of_transfers(ctx: Context, name: str) -> None:
    """A sender that fills the table of transfers is told so, and nothing is lost."""
    r, w = ctx.Pipe(duplex=False)
    with ndpool.Pool.create(name, capacity=MB, tickets=64) as p:
        a = p.arange(5)
        sent = 0
        with pytest.raises(errors.TableFullError):
            while sent < 100:
                w.send(a)
                sent += 1
        assert p.stats().transfers == sent == p.stats().transfer_limit
        for _ in range(sent):
            assert r.recv().sum() == 10
        assert p.stats().transfers == 0 and p.verify().clean
        del a
    r.close()
    w.close()


def test_anonymous_pool(workers: multiprocessing.pool.Pool) -> None:
    """Arrays of a pool without a name reach workers while it is open here."""
    with ndpool.Pool.anonymous(capacity=MB) as p:
        a = p.arange(10)
        assert workers.apply_async(tell, (a[1:],)).get(WAIT) == (45.0, True, (8,))
        b = workers.apply_async(make, (p, 5)).get(WAIT)
        assert p.owns(b) and b.tolist() == [5] * 5
        workers.apply_async(add, (a, 1)).get(WAIT)
        assert a.sum() == 55
        del a, b


def test_queue_of_threads(shared: ndpool.Pool) -> None:
    """A queue of this process's threads carries the array itself."""
    q: queue.Queue[Array] = queue.Queue()
    a = shared.zeros(3)
    q.put(a)
    assert q.get(timeout=1) is a and ndpool.is_private(a)


def test_reducer_is_multiprocessings_alone(shared: ndpool.Pool) -> None:
    """The reducer is known to multiprocessing's pickler, and plain pickle knows nothing of it."""
    from multiprocessing.reduction import ForkingPickler

    a = shared.arange(3)
    by_reference, by_value = bytes(ForkingPickler.dumps(a)), pickle.dumps(a)
    assert b"rebuild" in by_reference and b"ndpool" not in by_value
    b = cast(Array, pickle.loads(by_reference))
    assert b.ctypes.data == a.ctypes.data and len(by_reference) < 200
    with pytest.raises(errors.SpentError):
        pickle.loads(by_reference)
    assert pickle.loads(by_value).tolist() == [0, 1, 2]
