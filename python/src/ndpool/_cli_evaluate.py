"""The verb evaluate: what sharing saves, in numbers and as a picture."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from . import hdf5
from ._cli_common import Args, Verbs, emit, note
from ._cli_names import room_for, root
from ._evaluate import Run, Source, evaluate
from ._look import Json
from ._pool import Pool, unlink
from ._text import age, clean, human, plural, table
from .errors import NotExistError

__all__ = ["add"]

_EVALUATE: Final = """\
Starts 1, 5, 10 and 15 processes that read the arrays of a pool, and as many that have copies of their own. ACCESSES are
pieces of 4 KiB read at random places, of all processes together; MEMORY is the proportional set size, of all together,
with their interpreters. An HDF5 file is loaded into a pool of its own, which is removed at the end.

Examples:

    python -m ndpool evaluate measurements.h5 --plot saved.png
    python -m ndpool evaluate lab --processes 1,4 --seconds 0.5"""

BAR: Final = 40  #: columns


def add(verbs: Verbs) -> None:
    """Adds evaluate."""
    p = verbs.bare("evaluate", "measure what sharing saves, against copies in each process", _EVALUATE, _evaluate)
    p.add_argument("targets", metavar="POOL-or-FILE", nargs="+", help="a pool, or an HDF5 file")
    p.add_argument("-n", "--processes", type=_counts, default=[1, 5, 10, 15], help="how many (default 1,5,10,15)")
    p.add_argument("-t", "--seconds", type=_seconds, default=1.0, help="how long each reads (default 1)")
    p.add_argument("--prefix", default="", help="a group of the pool, instead of all")
    p.add_argument("--external", action="store_true", help="read other files that an HDF5 file names")
    p.add_argument("--plot", metavar="FILE", help="draw a picture, as PNG, SVG or PDF; wants matplotlib")


def _counts(text: str) -> list[int]:
    counts = [int(n) for n in text.split(",")]
    if not all(1 <= n <= 200 for n in counts):
        raise argparse.ArgumentTypeError("numbers from 1 to 200, with commas between")
    return counts


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("more than 0, and at most 3600")
    return seconds


def _evaluate(args: Args) -> None:
    if args.plot:
        _pyplot()  # told now rather than at the end
    results = [_one(args, target) for target in args.targets]
    if args.plot:
        _plot(args.plot, results)
    emit(args, {"piece": 4096, "seconds": args.seconds, "evaluated": results}, lambda: _lines(args, results))


def _one(args: Args, target: str) -> Json:
    with _source(args, target) as (source, nbytes, arrays):
        runs = evaluate(source, nbytes, args.processes, args.seconds, lambda line: _told(args, target, line))
    return {"target": target, "bytes": nbytes, "arrays": arrays, "runs": [asdict(r) for r in runs]}


def _told(args: Args, target: str, line: str) -> None:
    if not args.json:
        note(f"{target}: {line}")


@contextmanager
def _source(args: Args, target: str) -> Iterator[tuple[Source, int, int]]:
    """Gives what workers read. Nobody but them has it mapped meanwhile."""
    if os.sep not in target and not os.path.isfile(target):
        with Pool.open(target, dir=args.dir, uids=args.uid, gids=args.gid, observer=True) as pool:
            found = [n for n in pool.entries(root(args.prefix)) if not n.group]
        yield Source(target, args.dir, root(args.prefix)), sum(n.bytes for n in found), len(found)
        return
    size = hdf5.size(target, external=args.external)
    name = f"ndpool-evaluate-{os.getpid()}-{time.monotonic_ns():x}"
    try:
        with Pool.create(
            name, dir=args.dir, capacity=room_for(size), arrays=max(1024, 2 * size.blocks), names=max(16384, 2 * size.names)
        ) as pool:
            show = False if args.json else None
            hdf5.load(pool, target, "all", skip=True, persistent=True, progress=show, external=args.external)
        yield Source(name, args.dir, "all", os.path.abspath(target), "/", args.external), size.bytes, size.arrays
    finally:
        try:
            unlink(name, dir=args.dir)
        except NotExistError:
            pass


# ---- results


def _lines(args: Args, results: list[Json]) -> Sequence[str]:
    lines: list[str] = []
    for r in results:
        runs = [Run(**run) for run in r["runs"]]
        lines.append(f"{clean(r['target'])}: {plural(r['arrays'], 'array', 'arrays')}, {human(r['bytes'])}")
        lines += _table(runs)
        lines += ["", *_bars(runs)] if not args.plot else [f"picture: {clean(args.plot)}"]
        lines += [f"{plural(x.processes, 'process', 'processes')} with copies: {x.skipped}" for x in runs if x.skipped]
    return lines


def _pairs(runs: list[Run]) -> list[tuple[Run, Run]]:
    return list(zip(runs[::2], runs[1::2], strict=True))


def _table(runs: list[Run]) -> list[str]:
    titles = (">PROCESSES", ">SHARED ACCESSES/S", ">MEMORY", ">READY", ">COPIES ACCESSES/S", ">MEMORY", ">READY")
    return table(titles, [(s.processes, *_cells(s), *_cells(p)) for s, p in _pairs(runs)])


def _cells(r: Run) -> tuple[str, str, str]:
    return ("-", "-", "-") if r.skipped else (f"{r.rate:,.0f}", human(r.memory), age(r.ready))


def _bars(runs: list[Run]) -> list[str]:
    """Draws the memory in text."""
    most = max((r.memory for r in runs), default=0) or 1
    return [
        f"{r.processes:>3} {'shared' if r.shared else 'copies'}  {'#' * round(BAR * r.memory / most)} {human(r.memory)}"
        for r in runs
        if not r.skipped
    ]


def _pyplot() -> Any:
    """Returns matplotlib's figure class, or tells how to get it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ImportError(f"--plot needs matplotlib: pip install 'ndpool[plot]' ({e})", name="matplotlib") from e
    return Figure


def _plot(path: str, results: list[Json]) -> None:
    """Draws rate and memory over the number of processes."""
    figure = _pyplot()(figsize=(10, 4 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 2, squeeze=False)
    for (left, right), r in zip(axes, results, strict=True):
        runs = [Run(**run) for run in r["runs"]]
        for ax, what, scale in ((left, "rate", 1e3), (right, "memory", 1 << 30)):
            for shared in (True, False):
                points = [(x.processes, getattr(x, what) / scale) for x in runs if x.shared is shared and not x.skipped]
                ax.plot(*zip(*points, strict=True) if points else ((), ()), "o-", label="shared" if shared else "copies")
            ax.set_xticks(sorted({x.processes for x in runs}))
            ax.set_xlabel("processes")
            ax.set_ylim(bottom=0)
            ax.legend()
        left.set_ylabel("thousand accesses of 4 KiB / s")
        right.set_ylabel("memory (PSS), GiB")
        left.set_title(f"{os.path.basename(r['target'])}, {human(r['bytes'])}")
    figure.savefig(path)
