"""What sharing saves: processes that read the same arrays, from a pool or from copies of their own.

For each number of processes, workers are started that take the arrays, touch every page, and then, at one word and all at
once, read pieces at random places for a while. Their memory is the proportional set size that the kernel tells: a page
that n processes have mapped counts 1/n in each, so that the sum is what they take together. The parent has nothing
mapped meanwhile.

A worker is a process of its own, "python -c", and not a fork. It is told what to do in lines of JSON, and answers in such.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ._create import Array
from ._load import MAX_ENTRIES
from ._pool import Pool

__all__ = ["Run", "Source", "evaluate", "memory_available", "pss"]

PIECE: Final = 4096  #: bytes that one access reads
PLACES: Final = 4096  #: random places that are drawn beforehand
PATIENCE: Final = 600.0  #: seconds that a worker may take for a step
PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """What the workers read: the names of a pool below a prefix. Copies come from the pool, or from a file if one is
    named."""

    name: str
    dir: str
    prefix: str = ""
    file: str = ""
    group: str = "/"
    external: bool = False  #: whether other files are read that the file names


@dataclass(frozen=True, slots=True)
class Run:
    """What a number of processes did."""

    processes: int
    shared: bool
    rate: float  #: accesses a second, of all together
    memory: int  #: bytes, of all together
    ready: float  #: seconds until the last of them had the arrays
    skipped: str = ""  #: why it was not done


def evaluate(
    source: Source, nbytes: int, counts: Sequence[int], seconds: float, tell: Callable[[str], None]
) -> list[Run]:
    """Measures each number of processes, shared and private. tell gets a line before each. Raises RuntimeError if a worker
    fails."""
    runs = []
    for n in counts:
        for shared in (True, False):
            tell(f"{n} {'process' if n == 1 else 'processes'}, {'shared' if shared else 'copies'}")
            needs, has = n * nbytes, memory_available()
            if not shared and needs > has:
                runs.append(Run(n, shared, 0.0, 0, 0.0, f"needs {needs} bytes, {has} are available"))
            else:
                runs.append(_run(source, n, shared, seconds))
    return runs


def memory_available() -> int:
    """Returns the bytes that the kernel would give to new processes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def pss() -> int:
    """Returns the proportional set size of this process."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


# ---- the parent


def _run(source: Source, n: int, shared: bool, seconds: float) -> Run:
    begin = time.monotonic()
    task = {"source": asdict(source), "shared": shared, "seconds": seconds}
    with _workers(n) as workers:
        for k, w in enumerate(workers):
            _tell(w, {**task, "seed": k})
        _answers(workers)
        ready = time.monotonic() - begin
        for w in workers:
            _tell(w, "go")
        rates = _answers(workers)
        for w in workers:  # all are there and have done their work
            _tell(w, "memory")
        memory = _answers(workers)
    return Run(n, shared, round(sum(rates), 1), int(sum(memory)), round(ready, 3))


@contextmanager
def _workers(n: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Starts workers. They end with the block, whatever happens."""
    package = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(n):
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", "from ndpool import _evaluate; _evaluate.worker()"],
                    env={**os.environ, "PYTHONPATH": path},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                )
            )
        yield started
    finally:
        for w in started:
            w.kill()
        for w in started:
            w.communicate()


def _tell(worker: subprocess.Popen[bytes], what: object) -> None:
    assert worker.stdin is not None
    try:
        worker.stdin.write(json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        pass  # its answer tells


def _answers(workers: list[subprocess.Popen[bytes]]) -> list[float]:
    return [_answer(w) for w in workers]


def _answer(worker: subprocess.Popen[bytes]) -> float:
    assert worker.stdout is not None
    if not select.select([worker.stdout], [], [], PATIENCE)[0]:
        raise RuntimeError(f"evaluate: worker {worker.pid} did not answer for {PATIENCE:g} s")
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"evaluate: worker {worker.pid} ended with code {worker.wait()}")
    return float(json.loads(line))


# ---- the worker


def worker() -> None:
    """Does what the parent says, in a process of its own."""
    task = json.loads(sys.stdin.readline())
    source = Source(**task["source"])
    pool, arrays = _shared(source) if task["shared"] else (None, _private(source))
    flat = [_line(a) for a in arrays if a.nbytes]
    _say(sum(int(a[::PAGE].sum()) for a in flat) * 0)  # every page is touched
    sys.stdin.readline()
    _say(_rate(flat, task["seconds"], task["seed"]))
    sys.stdin.readline()
    _say(pss())
    sys.stdin.readline()
    del pool


def _say(value: float) -> None:
    print(json.dumps(value), flush=True)


def _line(a: Array) -> Array:
    """Returns the bytes of an array in the order that they have in memory."""
    line: Array = (a.T if a.flags.fnc else a).reshape(-1).view(np.uint8)
    return line


def _shared(source: Source) -> tuple[Pool, list[Array]]:
    pool = Pool.open(source.name, dir=source.dir, observer=True)
    arrays = [pool.get(name, readonly=True) for name in pool.names(source.prefix)]
    return pool, [a for a in arrays if a is not None]  # but those that went meanwhile


def _private(source: Source) -> list[Array]:
    """Returns copies: of what h5py reads from the file, or of the pool's arrays, which are then let go."""
    if source.file:
        return _from_file(source)
    pool, arrays = _shared(source)
    copies = [np.array(a) for a in arrays]
    del arrays
    pool.close()
    return copies


def _from_file(source: Source) -> list[Array]:
    import h5py

    from ._hdf5_read import plan_of
    from .hdf5 import CHUNK

    found: list[Array] = []
    with h5py.File(source.file, "r") as f:
        for job in plan_of(f, source.group, False, CHUNK, MAX_ENTRIES, source.external).jobs:
            arrays = [np.empty(spec.shape, spec.dtype) for spec in job.specs]
            job.fill(arrays, lambda _: None)
            found += arrays
    return found


def _rate(flat: list[Array], seconds: float, seed: int) -> float:
    """Reads pieces at random places, and returns how many a second."""
    if not flat:
        return 0.0
    random = np.random.default_rng(seed)
    sizes = np.array([len(a) for a in flat], float)
    which = random.choice(len(flat), PLACES, p=sizes / sizes.sum())
    at = [int(random.integers(max(len(flat[k]) - PIECE, 0) + 1)) for k in which]
    places = [flat[k][i : i + PIECE] for k, i in zip(which, at, strict=True)]
    begin, done = time.perf_counter(), 0
    end = begin + seconds
    while time.perf_counter() < end:
        for place in places[done % PLACES : done % PLACES + 64]:
            place.sum()
        done += 64
    return done / (time.perf_counter() - begin)
