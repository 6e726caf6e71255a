"""Queues between processes, under each way of starting them: where multiprocessing.Queue fits, and when processes die."""

import multiprocessing as mp
import os
import queue
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool import errors

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

METHODS = ("fork", "forkserver", "spawn")
WAIT = 30  #: seconds, for anything that could hang


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> Any:
    return mp.get_context(request.param)


@pytest.fixture
def pair(pool: ndpool.Pool) -> Iterator[tuple[ndpool.Queue, ndpool.Queue]]:
    with pool.queue(maxsize=100) as tasks, pool.queue(maxsize=100) as results:
        yield tasks, results


def work(tasks: Any, results: Any) -> None:
    """What a worker does with either kind of queue."""
    while True:
        task = tasks.get(timeout=WAIT)
        if task is None:
            break
        number, a = task
        a += number
        results.put((number, a, os.getpid()))
    results.close()
    results.join_thread()


@pytest.mark.parametrize("kind", ["ndpool", "multiprocessing"])
def test_workers(context: Any, pair: tuple[ndpool.Queue, ndpool.Queue], kind: str) -> None:
    """The same program with either kind of queue."""
    if kind == "multiprocessing" and context.get_start_method() == "forkserver":
        pytest.skip("once is enough")
    tasks, results = pair if kind == "ndpool" else (context.Queue(100), context.Queue(100))
    workers = [context.Process(target=work, args=(tasks, results)) for _ in range(2)]
    for w in workers:
        w.start()
    for k in range(20):
        tasks.put((k, np.full(2000, k)))
    for _ in workers:
        tasks.put(None)
    got = [results.get(timeout=WAIT) for _ in range(20)]
    for w in workers:
        w.join(WAIT)
        assert w.exitcode == 0
    assert sorted(k for k, _, _ in got) == list(range(20))
    assert all((a == 2 * k).all() and a.flags.writeable for k, a, _ in got)
    assert {pid for _, _, pid in got} <= {w.pid for w in workers}


def in_place(q: Any, done: Any) -> None:
    """Writes into what it gets."""
    for x in q:
        x["whole"] += 1
        x["part"][0] = 50
        done.put(x["whole"].sum())


def test_shared_memory_is_shared(context: Any, pool: ndpool.Pool, pair: tuple[ndpool.Queue, ndpool.Queue]) -> None:
    q, done = pair
    a, b = pool.zeros(1000, "i4"), pool.zeros(10)
    child = context.Process(target=in_place, args=(q, done))
    child.start()
    q.put({"whole": a, "part": b[4:6]})
    assert done.get(timeout=WAIT) == 1000 and a.sum() == 1000 and b[4] == 50
    q.shutdown()
    child.join(WAIT)
    assert child.exitcode == 0


def answer(pipe: Any) -> None:
    """Gets a queue from a pipe, and sends one back."""
    q = pipe.recv()
    mine = ndpool.Queue(5)
    mine.put("from the default pool")
    q.put(("by another queue", mine))
    q.put(np.arange(3))
    pipe.recv()


def test_through_pipes_and_queues(context: Any, pool: ndpool.Pool) -> None:
    """A queue goes through a pipe, and through another queue; also one of an anonymous pool."""
    ours, theirs = context.Pipe()
    with ndpool.Pool.anonymous(capacity="4M") as nameless, nameless.queue() as q:
        child = context.Process(target=answer, args=(theirs,))
        child.start()
        ours.send(q)
        text, other = q.get(timeout=WAIT)
        assert text == "by another queue" and other.get() == "from the default pool"
        assert q.get(timeout=WAIT).tolist() == [0, 1, 2]
        other.close()
        ours.send(None)
        child.join(WAIT)
        assert child.exitcode == 0
    through = context.Queue()
    with pool.queue() as q, pool.queue("named") as named:
        for one in (q, named):
            through.put(one)
            got = through.get(timeout=WAIT)
            one.put(1)
            assert got.get() == 1
            got.close()
    through.close()
    pool.remove("named")


def put_then_end(q: ndpool.Queue) -> None:
    """Puts and ends: the items are the queue's."""
    q.put(np.full(1000, 7))
    q.put({"more": np.full(1000, 8)})
    q.put(b"bytes")


def test_items_outlive_their_putter(context: Any, pool: ndpool.Pool) -> None:
    with pool.queue() as q:
        child = context.Process(target=put_then_end, args=(q,))
        child.start()
        child.join(WAIT)
        assert q.qsize() == 3 and pool.tickets() == []
        assert q.get().sum() == 7000 and q.get()["more"].sum() == 8000 and q.get() == b"bytes"


def square(q: ndpool.Queue, k: int) -> None:
    """A task of an executor."""
    q.put(k * k)


def test_executor(pool: ndpool.Pool) -> None:
    with pool.queue() as q, ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as executor:
        for f in [executor.submit(square, q, k) for k in range(10)]:
            f.result(WAIT)
        assert sorted(q.get() for _ in range(10)) == [k * k for k in range(10)]


def test_fork_goes_on(pool: ndpool.Pool) -> None:
    """A forked child has its parent's queue, also while another thread of the parent waits in it."""
    with pool.queue() as q, pool.queue() as back:
        import threading

        waiting = threading.Thread(target=lambda: back.put(("parent", back.get(timeout=WAIT))))
        waiting.start()
        time.sleep(0.02)
        pid = os.fork()
        if pid == 0:
            try:
                q.put("from the child")
                assert q.get(timeout=WAIT) == "from the child"
                back.put("to the parent")
                q.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        waiting.join(WAIT)
        assert back.get(timeout=WAIT) == ("parent", "to the parent")
    pool.reap()
    assert pool.stats().arrays == 0


def refused(q: ndpool.Queue, told: ndpool.Queue) -> None:
    """What a child has of an end that unpickles nothing."""
    for use in (lambda: q.get(timeout=WAIT), lambda: q.put({})):
        try:
            use()
        except TypeError as e:
            told.put(type(e).__name__)


def test_children_do_not_unpickle_either(context: Any, pool: ndpool.Pool) -> None:
    """pickles=False goes with the object, to children however they are started."""
    with pool.queue("q", pickles=False) as q, pool.queue("q") as other, pool.queue() as told:
        other.put(["a pickle"])
        child = context.Process(target=refused, args=(q, told))
        child.start()
        assert [told.get(timeout=WAIT), told.get(timeout=WAIT)] == ["KindError", "TypeError"]
        child.join(WAIT)
        assert child.exitcode == 0 and other.get() == ["a pickle"]
    pool.remove("q")


# ---- deaths


def start(program: str, *args: str) -> "subprocess.Popen[str]":
    """Starts a program, and returns when it has printed a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *args],
        env={**os.environ, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline()
    return child


CONSUME = """
    import os, sys, ndpool
    with ndpool.Pool.open(sys.argv[1]).queue("q") as q:
        print("ready", flush=True)
        while True:
            number, a = q.get()
            assert (a == number).all()
            os.write(1, b"%d\\n" % number)
"""


def test_killed_consumers_lose_nothing(pool: ndpool.Pool, name: str) -> None:
    """Whoever is killed has at most the one item that it had got; all others are got by somebody, once."""
    with pool.queue("q", maxsize=32) as q:
        children = [start(CONSUME, name) for _ in range(3)]
        outputs, number = [], 0
        for child in children:
            for _ in range(100):
                q.put((number, np.full(300, number)), timeout=WAIT)
                number += 1
            child.kill()
            outputs.append(child.communicate()[0].split())
        rest = []
        while not q.empty():
            k, a = q.get()
            assert (a == k).all()
            rest.append(k)
    told = [int(line) for out in outputs for line in out]
    assert len(set(told)) == len(told) and not set(told) & set(rest)
    assert len(told) + len(rest) >= number - len(children)
    assert rest == sorted(rest)
    pool.reap()
    pool.remove("q")


PRODUCE = """
    import os, sys, numpy as np, ndpool
    with ndpool.Pool.open(sys.argv[1]).queue("q") as q:
        print("ready", flush=True)
        for k in range(10**9):
            q.put([k, np.full(300, k)])
            os.write(1, b"%d\\n" % k)
"""


def test_killed_producers_lose_nothing(pool: ndpool.Pool, name: str) -> None:
    """What put has returned for is there, whole, when its process is killed."""
    with pool.queue("q", maxsize=64) as q:
        for wait in (0.0, 0.02, 0.05):
            child = start(PRODUCE, name)
            end = time.monotonic() + wait
            got = []
            while time.monotonic() < end:
                got += q.get_many(5, timeout=WAIT)
            child.kill()
            told = len(child.communicate()[0].split())
            while not q.empty():
                got.append(q.get())
            assert [k for k, _ in got] == list(range(len(got))) and all((a == k).all() for k, a in got)
            assert told <= len(got) <= told + 1
            del got
    pool.reap()
    pool.remove("q")
    assert pool.stats().arrays == 0


def test_a_killed_waiter_takes_nobody_along(pool: ndpool.Pool, name: str) -> None:
    """Those who wait in a queue beside one that is killed, or stopped, go on."""
    with pool.queue("q") as q:
        stopped, killed = start(CONSUME, name), start(CONSUME, name)
        stopped.send_signal(signal.SIGSTOP)
        killed.kill()
        killed.communicate()
        for k in range(50):
            q.put((k, np.full(10, k)))
        assert sorted(q.get(timeout=WAIT)[0] for _ in range(50)) == list(range(50))
        with pytest.raises(queue.Empty):
            q.get(timeout=0.01)
        stopped.kill()
        stopped.communicate()
    pool.reap()
    pool.remove("q")


def test_errors_of_messages(pool: ndpool.Pool) -> None:
    """A pickle of a queue can be read once."""
    from multiprocessing.reduction import ForkingPickler

    with pool.queue() as q:
        text = bytes(ForkingPickler.dumps(q))
        ForkingPickler.loads(text).close()
        with pytest.raises(errors.SpentError):
            ForkingPickler.loads(text)
