"""What `make peers` found, read from bench/results/*.json and checked, and what follows: who is ahead, how far from the floor.

A *point* is one set of parameters of a workload, (65536,) or (4, 1). A peer's *group* is Python or native: each language of
ndpool is compared with peers of its group. A *factor* says how many times worse a figure is, whether low or high is better.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Point = tuple[Any, ...]

# The workloads in the order in which the page tells of them, each with the parameters that make its points.
AXES: dict[str, tuple[str, ...]] = {
    "handover": ("size",),
    "pass": ("size",),
    "fanout": ("readers",),
    "crowd": ("producers", "consumers"),
    "pair": ("size",),
    "churn": ("live",),
    "touch": ("what",),
    "open": ("what",),
    "many": (),
    "memory": ("count", "size"),
    "recovery": ("holds",),
}
CURVES = ("handover", "pass", "fanout", "churn")  # drawn as curves, a figure for each group; all else as bars
GROUPS = ("native", "Python")


class BadResults(Exception):
    """A file of results that is not what bench/results/README.md says."""


@dataclass(frozen=True)
class Peer:
    name: str
    kind: str  # "ndpool", "peer" or "floor"
    language: str
    version: str

    @property
    def group(self) -> str:
        return "Python" if self.language == "Python" else "native"


@dataclass(frozen=True)
class Row:
    """A peer's figures at one point. median is None where it has no figure, and extra tells what there is instead."""

    peer: Peer
    point: Point
    median: float | None
    low: float | None
    high: float | None
    extra: dict[str, Any]


@dataclass
class Workload:
    id: str
    what: str
    unit: str
    lower: bool
    run: dict[str, Any]  # machine, date, commit, command, rounds, load
    digest: str
    peers: dict[str, Peer]
    rows: dict[tuple[str, Point], Row] = field(default_factory=dict)
    absent: list[tuple[str, Point | None, str]] = field(default_factory=list)  # peer, point or all of them, reason

    @property
    def points(self) -> list[Point]:
        """All points that somebody was measured at, in order; those that are numbers by value."""
        found = list(dict.fromkeys(row.point for row in self.rows.values()))
        return sorted(found) if len(AXES[self.id]) == 1 and all(isinstance(p[0], int) for p in found) else found

    def row(self, peer: str, point: Point) -> Row | None:
        """The row of a peer that has a figure there, and whose figure is of the whole task."""
        row = self.rows.get((peer, point))
        return row if row and row.median is not None and not self.fell_short(row) else None

    def fell_short(self, row: Row) -> bool:
        """Whether a peer stopped before it had as many arrays as others: its figure is then of another task."""
        reached = [r.extra.get("reached", 0) for r in self.rows.values() if r.point == row.point]
        return "reached" in row.extra and row.extra["reached"] < max(reached)

    def factor(self, value: float, base: float) -> float:
        """How many times worse value is than base."""
        worse, better = (value, base) if self.lower else (base, value)
        return worse / better if better else float("inf")


def load(directory: pathlib.Path) -> dict[str, Workload]:
    """All workloads that have results there."""
    stray = {path.stem for path in directory.glob("*.json")} - set(AXES)
    if stray:
        raise BadResults(f"{directory}: no workload is called {', '.join(sorted(stray))}")
    return {name: read(path) for name in AXES if (path := directory / f"{name}.json").exists()}


def read(path: pathlib.Path) -> Workload:
    data = path.read_bytes()
    try:
        return parse(path.stem, json.loads(data), hashlib.sha256(data).hexdigest()[:16])
    except (KeyError, TypeError, ValueError) as e:
        raise BadResults(f"{path}: {type(e).__name__}: {e}") from e


def parse(name: str, d: dict[str, Any], digest: str) -> Workload:
    if d["workload"] != name:
        raise ValueError(f"is of workload {d['workload']!r}")
    peers = {p["peer"]: Peer(p["peer"], p["kind"], p["language"], p["version"]) for p in d["peers"]}
    run = {key: d[key] for key in ("machine", "date", "commit", "command", "rounds", "load")}
    w = Workload(name, d["what"], d["unit"], {"lower": True, "higher": False}[d["better"]], run, digest, peers)
    for r in d["rows"]:
        row = Row(peers[r["peer"]], point_of(name, r["parameters"]), r["median"], r["low"], r["high"], r.get("extra") or {})
        if (row.peer.name, row.point) in w.rows:
            raise ValueError(f"two rows of {row.peer.name} at {r['parameters']}")
        if row.median is not None and not row.low <= row.median <= row.high:
            raise ValueError(f"{row.peer.name} at {r['parameters']}: the median {row.median} is not in {row.low}..{row.high}")
        w.rows[row.peer.name, row.point] = row
    for a in d["absent"]:
        w.absent.append((a["peer"], point_of(name, a["parameters"]) if a["parameters"] else None, a["reason"]))
    return w


def point_of(workload: str, parameters: dict[str, Any]) -> Point:
    return tuple(parameters[axis] for axis in AXES[workload])


def unsaid(found: dict[str, Workload]) -> list[str]:
    """What has neither a figure nor a reason: nobody may be left out silently."""
    everybody = {p.name for w in found.values() for p in w.peers.values() if p.kind != "floor"}
    lack = ((w, name, lacking(w, name)) for w in found.values() for name in sorted(everybody))
    return [f"{w.id}: {name} has neither {what}" for w, name, what in lack if what]


def lacking(w: Workload, name: str) -> str:
    said = {point for peer, point, _ in w.absent if peer == name} | {point for peer, point in w.rows if peer == name}
    if not said:
        return "figures nor a reason"
    if None in said or asked_once(w, name):
        return ""
    points = [label(w.id, point) for point in w.points if point not in said]
    return f"a figure nor a reason at {', '.join(points)}" if points else ""


def asked_once(w: Workload, name: str) -> bool:
    """A peer without recovery is asked once, what it leaves behind: any number of holds would say the same."""
    return w.id == "recovery" and any(peer == name and row.median is None for (peer, _), row in w.rows.items())


# Floors.

FLOORS = {
    "handover": "memcpy and reading in one process, plus 16 bytes through a bare pipe and one back",
    "pass": "16 bytes through a bare pipe and one back",
}
PRIVATE = {"native": "the best of malloc, mimalloc, jemalloc", "Python": "numpy, private"}
OF_MEMORY = ("pair", "churn", "touch", "many", "memory")


def floor_words(workload: str, group: str) -> str:
    return FLOORS.get(workload, PRIVATE[group] if workload in OF_MEMORY else "the best floor")


def floor(found: dict[str, Workload], workload: str, point: Point, group: str) -> float | None:
    """What the least costs on this machine that must be done for the task; None if no floor was measured."""
    w = found[workload]
    if workload == "handover":
        copy, pipe = w.row("memcpy", point), pipe_pass(found, point, group)
        return copy.median + pipe if copy and copy.median is not None and pipe is not None else None
    if workload == "pass":
        return pipe_pass(found, point, group)
    rows = [r for r in (w.row(name, point) for name, p in w.peers.items() if p.kind == "floor" and p.group == group) if r]
    values = [r.median for r in rows if r.median is not None]
    return (min if w.lower else max)(values) if values else None


def pipe_pass(found: dict[str, Workload], point: Point, group: str) -> float | None:
    """A token through a bare pipe in that language, else in C. It is the same for any size: the smallest stands for all."""
    if (w := found.get("pass")) is None:
        return None
    pipes = [p for p in w.peers.values() if p.kind == "floor" and p.name.startswith("pipe")]
    pipes.sort(key=lambda p: p.group != group)
    rows = [
        row for pipe in pipes if pipe.group in (group, "native") for q in (point, *w.points) if (row := w.row(pipe.name, q))
    ]
    return rows[0].median if rows else None


# Who is ahead.

SAME = 1.03


@dataclass(frozen=True)
class Verdict:
    """How ndpool stands at one point against the best of its group."""

    ours: Row
    best: Row | None
    state: str  # "ahead", "level", "behind", or "alone" where no peer has a figure
    factor: float  # how many times worse the worse of the two is


def verdict(w: Workload, ours: Row) -> Verdict:
    """Level is what the rounds cannot tell apart, as the ranges of both overlap, and what differs by less than SAME."""
    others = [p.name for p in w.peers.values() if p.kind == "peer" and p.group == ours.peer.group]
    rivals = [row for name in others if (row := w.row(name, ours.point))]
    if not rivals:
        return Verdict(ours, None, "alone", float("nan"))
    best = (min if w.lower else max)(rivals, key=lambda r: r.median or 0)
    factor = w.factor(ours.median or 0, best.median or 0)
    overlap = (ours.low or 0) <= (best.high or 0) and (best.low or 0) <= (ours.high or 0)
    if overlap or max(factor, 1 / factor) < SAME:
        return Verdict(ours, best, "level", factor)
    return Verdict(ours, best, "behind", factor) if factor > 1 else Verdict(ours, best, "ahead", 1 / factor)


def verdicts(w: Workload, peer: Peer) -> list[Verdict]:
    return [verdict(w, row) for point in w.points if (row := w.row(peer.name, point))]


def ours(found: dict[str, Workload]) -> list[Peer]:
    """ndpool in each language that was measured."""
    return list({p.name: p for w in found.values() for p in w.peers.values() if p.kind == "ndpool"}.values())


def base_of(w: Workload, peer: Peer, point: Point) -> Row | None:
    """ndpool in the peer's language, else in C."""
    mine = [p for p in w.peers.values() if p.kind == "ndpool" and p.group == peer.group]
    mine.sort(key=lambda p: (p.language != peer.language, p.language != "C"))
    return next((row for p in mine if (row := w.row(p.name, point))), None)


# Words for people.


LABELS = {"crowd": "{} to {}", "churn": "{:,} live", "recovery": "{:,} held"}


def label(workload: str, point: Point) -> str:
    """A point, as tables and axes have it."""
    if AXES[workload] == ("size",):
        return size(point[0])
    if workload == "memory":
        return f"{point[0]:,} of {size(point[1])}"
    if workload == "fanout":
        return f"{point[0]} reader" + "s" * (point[0] > 1)
    return LABELS.get(workload, "{}" * len(point)).format(*point)


def size(n: float) -> str:
    """Bytes."""
    for unit in ("B", "KiB", "MiB"):
        if abs(n) < 1024:
            return f"{plain(n)} {unit}"
        n /= 1024
    return f"{plain(n)} GiB"


def plain(x: float) -> str:
    """A whole number as it is, any other with three digits."""
    return f"{x:,.0f}" if x == int(x) else number(x)


def number(x: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{x:,.0f}" if abs(x) >= 99.95 else f"{x:.1f}" if abs(x) >= 9.995 else f"{x:.2f}"


TIMES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def value(x: float, unit: str, words: Callable[[float], str] = number) -> str:
    """A figure with its unit, the one that makes it short."""
    if unit in TIMES:
        seconds = float(f"{x * TIMES[unit]:.3g}")
        short = next((u for u in reversed(TIMES) if seconds >= TIMES[u]), "ns")
        return f"{words(float(f'{seconds / TIMES[short]:.3g}'))} {short}"
    if unit.startswith("bytes"):
        return size(x if x >= 1024 else round(x))
    return words(x)


def times(x: float) -> str:
    """A factor."""
    return f"{x:,.0f}" if x >= 9.95 else f"{x:.1f}" if x >= 1.095 else f"{x:.2f}" if x >= 0.095 else f"{x:.1g}"


# Figures.


@dataclass(frozen=True)
class Figure:
    name: str  # of the file, without its ending
    workload: str
    group: str | None  # None: both


def figures(found: dict[str, Workload]) -> list[Figure]:
    """The figures that belong to these results."""
    all_ = []
    for name, w in found.items():
        if name not in CURVES:
            all_.append(Figure(name, name, None))
            continue
        for group in GROUPS:
            if any(r.peer.group == group and r.peer.kind != "floor" for r in w.rows.values()):
                all_.append(Figure(f"{name}-{group.lower()}", name, group))
    return all_
