"""Children, which go on with what their parent had."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Final

import numpy as np

from ndpool import errors

from .children import bury_children
from .faults import expected
from .lane import Lane
from .lines import Input
from .pattern import block_of, check, fill

CHILD_LIFE: Final = 0.5  #: seconds that a child works at most


def fork(lane: Lane) -> None:
    """Forks. The child works on with what it has inherited, beside its parent and its parent's threads."""
    bury_children()
    with lane.worker.saying, lane.worker.events.lock, lane.worker.tally.lock:  # or the child has them for ever
        pid = os.fork()
        if pid == 0:
            lane.worker.saying = threading.Lock()
            lane.worker.events.lock = threading.Lock()
            lane.worker.tally.lock = threading.Lock()
            lane.worker.input = Input("")  # whose thread there is none of; another thread may have been inside
    if pid == 0:
        code = 3
        try:
            code = child(lane)
        finally:
            os._exit(code)


def child(lane: Lane) -> int:
    """What a child does: its holds are its own, whatever happens to its parent."""
    parent, until = os.getppid(), time.monotonic() + lane.rng.random() * CHILD_LIFE
    lane.rng.seed(lane.worker.seed * 1000 + os.getpid())
    os.close(0)
    try:
        lane.writers, lane.readers, lane.clone, lane.sent = {}, {}, None, []  # the parent's alone
        for other in lane.worker.lanes:
            for a in other.held:
                if other is lane or block_of(a) is not None:  # else it was just being sealed there
                    lane.check(a)
        lane.worker.plant = ""
        lane.worker.no |= {"fork", "exec"}
        turns = lane.rng.randrange(40)
        while turns and time.monotonic() < until and os.getppid() == parent:
            turns -= 1
            if not lane.pool.forked:
                lane.turn()
        if lane.rng.randrange(3) == 0:
            lane.writers, lane.readers, lane.queues, lane.extra, lane.second_held = {}, {}, {}, [], []
            for other in lane.worker.lanes:
                other.held = []
            lane.pool.close()
    except errors.ForkedError:
        pass
    except BrokenPipeError:
        pass  # all is over
    except BaseException as e:
        print(f"torture: child {os.getpid()} of seed {lane.worker.seed}: {e!r}", file=sys.stderr)
        return 3
    if lane.rng.randrange(2):
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


def process(lane: Lane) -> None:
    """Lets a process of multiprocessing send an array back, by its handle in a pickle."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    a = lane.own_whole()

    def work() -> None:
        os.close(0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        check(a)
        theirs.send(a)
        b = lane.pool.empty(1000, np.uint16)
        fill(b)
        theirs.send(b)

    def guarded() -> None:
        try:
            work()
        except (errors.ForkedError, ConnectionError):
            pass  # there was no slot for it, or all is over
        except Exception as e:
            if expected(e) is None:
                raise

    p = context.Process(target=guarded)
    p.start()
    theirs.close()
    try:
        for _ in range(2):
            if not ours.poll(0.5):
                return
            lane.check(ours.recv())
    except (EOFError, ConnectionError):
        return  # it has died
    finally:
        ours.close()
        p.kill()
