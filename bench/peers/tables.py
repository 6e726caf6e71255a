"""The generated parts of bench/README.md, by the names of their markers."""

import os
import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from findings import (
    AXES,
    GROUPS,
    Peer,
    Point,
    Row,
    Verdict,
    Workload,
    base_of,
    figures,
    floor,
    floor_words,
    label,
    ours,
    plain,
    size,
    times,
    unsaid,
    value,
    verdict,
    verdicts,
)

Found = dict[str, Workload]

TITLES = {
    "handover": "copy in, hand over, read, free",
    "pass": "hand over what lies in the pool",
    "fanout": "fan-out of 1 MiB",
    "crowd": "producers to consumers",
    "pair": "allocate and free",
    "churn": "churn of mixed sizes",
    "touch": "fill 64 MiB",
    "open": "create and attach",
    "many": "100,000 small arrays",
    "memory": "memory per byte of payload",
    "recovery": "recovery after SIGKILL",
}
NOTHING = "Not measured yet: `make peers` does it.\n"
FAR = 2  # times the floor: from there on the page says why


def blocks(found: Found, results: pathlib.Path, page: pathlib.Path) -> dict[str, str]:
    """All generated parts. Figures are linked relative to the page."""
    folder = os.path.relpath(results, page)
    made = {
        "run": run(found),
        "scores": scores(found),
        "behind": behind(found),
        "floors": floors(found),
        "absent": absent(found),
        "versions": versions(found),
    }
    for name in AXES:
        made[name] = section(found, found[name], folder) if name in found else f"#### {heading(name)}\n\n{NOTHING}"
    return {name: text if text.endswith("\n") else text + "\n" for name, text in made.items()}


def mark(w: Workload) -> str:
    """What a figure carries to say which results it was drawn from."""
    return f"{w.id}.json sha256:{w.digest}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    """A table whose columns are numbers but for the first ones."""
    head = list(head)
    rule = "|" + "---|" * left + "--:|" * (len(head) - left) + "\n"
    first, *lines = ("| " + " | ".join(line) + " |\n" for line in (head, *rows))
    return first + rule + "".join(lines)


# The run.


def run(found: Found) -> str:
    """Which machine, when and how. What was not measured in the same run is said apart."""
    runs: dict[str, list[Workload]] = {}
    for w in found.values():
        runs.setdefault(run_words(w), []).append(w)
    if not runs:
        return NOTHING
    lines = [words + rounds(group) for words, group in runs.items()]
    if len(runs) == 1:
        return lines[0] + "\n"
    return "".join(f"- {', '.join(w.id for w in group)}: {line}\n" for group, line in zip(runs.values(), lines, strict=True))


def run_words(w: Workload) -> str:
    r = w.run
    m = r["machine"]
    kernel = m["kernel"] if m["kernel"].startswith("Linux") else f"Linux {m['kernel']}"
    shm = f", shared memory on {m['shm']}" if m.get("shm") else ""
    machine = f"{m['cores']} cores of {m['cpu']}, {size(m['memory_bytes'])} of memory, {kernel}{shm}"
    return f"`{r['command']}` at commit {r['commit']} on {r['date']}: {machine}."


def rounds(group: list[Workload]) -> str:
    most = max(w.run["rounds"] for w in group)
    load = [x for w in group for x in w.run["load"] if isinstance(x, (int, float))]
    return f" Medians of {most} interleaved rounds." + (f" Load average {min(load):.1f} to {max(load):.1f}." if load else "")


def versions(found: Found) -> str:
    peers = everybody(found)
    if not peers:
        return NOTHING
    what = {"ndpool": "", "peer": "", "floor": "floor"}
    return table(["", "language", "version", ""], ([p.name, p.language, p.version, what[p.kind]] for p in peers), left=4)


def everybody(found: Found) -> list[Peer]:
    return list({p.name: p for w in found.values() for p in w.peers.values()}.values())


# Who is ahead.


def scores(found: Found) -> str:
    """Each workload and language: at how many points ahead, level and behind the best peer of its class."""
    if not found:
        return NOTHING
    mine = ours(found)
    rows = [[f"[{TITLES[name]}](#{anchor(name)})", *(score(verdicts(w, p)) for p in mine)] for name, w in found.items()]
    return table(["", *(p.name for p in mine)], rows, left=1 + len(mine))


def anchor(name: str) -> str:
    """What GitHub makes of the heading."""
    return re.sub(r"[^\w -]", "", TITLES[name].lower()).replace(" ", "-")


def score(all_: list[Verdict]) -> str:
    if not all_:
        return "-"
    counts = {state: [v for v in all_ if v.state == state] for state in ("ahead", "alone", "level", "behind")}
    if len(counts["alone"]) == len(all_):
        return "no peer can"
    words = []
    if won := counts["ahead"]:
        words.append(f"ahead {len(won)} of {len(all_)}, {span(won)} times")
    if counts["alone"]:
        words.append(f"no peer can {len(counts['alone'])}")
    if counts["level"]:
        words.append(f"level {len(counts['level'])}")
    if lost := counts["behind"]:
        words.append(f"**behind {len(lost)}**, {span(lost)} times")
    return "; ".join(words)


def span(all_: list[Verdict]) -> str:
    low, high = min(v.factor for v in all_), max(v.factor for v in all_)
    return times(low) if times(low) == times(high) else f"{times(low)} to {times(high)}"


def behind(found: Found) -> str:
    """Every point where ndpool is behind a peer of its group, the worst of a workload first; and in short where it is level."""
    if not found:
        return NOTHING
    lost, level = [], []
    for w in found.values():
        all_ = [v for p in ours(found) for v in verdicts(w, p)]
        lost += [lost_row(w, v) for v in sorted(all_, key=lambda v: -v.factor) if v.state == "behind"]
        for p in ours(found):
            if same := [v for v in all_ if v.state == "level" and v.ours.peer.name == p.name]:
                level.append([TITLES[w.id], p.name, level_words(w, same)])
    text = table(["behind in", "at", "", "takes", "best peer", "takes", ""], lost, left=3) if lost else "Behind nowhere.\n"
    return text + ("\n" + table(["level in", "", "at"], level, left=3) if level else "")


def level_words(w: Workload, all_: list[Verdict]) -> str:
    """The points, together where they are of the same peer."""
    by: dict[str, list[str]] = {}
    for v in all_:
        by.setdefault(v.best.peer.name if v.best else "", []).append(label(w.id, v.ours.point))
    return "; ".join(f"{', '.join(points)}{': ' if any(points) else ''}{peer}" for peer, points in by.items())


def lost_row(w: Workload, v: Verdict) -> list[str]:
    assert v.best is not None and v.best.median is not None and v.ours.median is not None
    name, mine, theirs = v.ours.peer.name, value(v.ours.median, w.unit), value(v.best.median, w.unit)
    return [TITLES[w.id], label(w.id, v.ours.point), name, mine, v.best.peer.name, theirs, f"**{times(v.factor)} times**"]


def floors(found: Found) -> str:
    """How many times its floor ndpool costs; where it is more than FAR times, in bold."""
    rows = []
    for name, w in found.items():
        for p in ours(found):
            cells = [(point, floor_factor(found, w, row)) for point in w.points if (row := w.row(p.name, point))]
            words = [f"{label(name, point)}: {bold(times(f), f > FAR)}".removeprefix(": ") for point, f in cells if f]
            if words:
                rows.append([TITLES[name], p.name, floor_words(name, p.group), ", ".join(words)])
    if not found:
        return NOTHING
    return table(["workload", "", "floor", "times the floor"], rows, left=4) if rows else "No floors were measured.\n"


def losses(found: Found) -> list[tuple[str, str]]:
    """Workloads of which the page must say why: some ndpool is behind there, or far from its floor."""
    all_ = []
    for name, w in found.items():
        mine = [v for p in ours(found) for v in verdicts(w, p)]
        if any(v.state == "behind" for v in mine):
            all_.append((name, "ndpool is behind a peer"))
        elif any((floor_factor(found, w, v.ours) or 0) > FAR for v in mine):
            all_.append((name, f"ndpool is more than {FAR} times from its floor"))
    return all_


def floor_factor(found: Found, w: Workload, row: Row) -> float | None:
    base = floor(found, w.id, row.point, row.peer.group)
    return w.factor(row.median, base) if base is not None and row.median is not None else None


def bold(text: str, yes: bool = True) -> str:
    return f"**{text}**" if yes else text


# A workload.


def heading(name: str) -> str:
    return TITLES[name][0].upper() + TITLES[name][1:]


def section(found: Found, w: Workload, folder: str) -> str:
    """Its figures, the table of medians, and behind a fold all figures with their spread."""
    pictures = [
        f"![{TITLES[w.id]}{', ' + f.group if f.group else ''}]({os.path.normpath(f'{folder}/{f.name}.svg')})\n\n"
        for f in figures({w.id: w})
    ]
    better = "" if w.lower else " Higher is better."
    text = f"#### {heading(w.id)}\n\n{w.what}{better}\n\n{''.join(pictures)}"
    if w.id == "many":
        text += many(w)
    else:
        text += medians(w)
    if w.id == "recovery":
        text += "\n" + left_behind(w)
    return text + "\n" + details(found, w)


def present(w: Workload) -> list[Peer]:
    """Those that have a row, native ones first, and in each group ndpool, peers, floors."""
    kinds = ("ndpool", "peer", "floor")
    have = [p for p in w.peers.values() if any(r.peer.name == p.name for r in w.rows.values())]
    return sorted(have, key=lambda p: (GROUPS.index(p.group), kinds.index(p.kind)))


def title(p: Peer) -> str:
    language = "" if p.name.endswith(p.language) or p.kind == "floor" or p.language == "Python" else f" ({p.language})"
    words = bold(p.name + language, p.kind == "ndpool")
    return f"*floor: {p.name}*" if p.kind == "floor" else words


def medians(w: Workload) -> str:
    some = [p for p in present(w) if any(w.row(p.name, point) for point in w.points)]
    rows = [[title(p), *(cell(w, p, point) for point in w.points)] for p in some]
    return table(["", *(label(w.id, point) for point in w.points)], rows)


def cell(w: Workload, p: Peer, point: Point) -> str:
    """The median, and how many times ndpool's of that language it costs."""
    row = w.row(p.name, point)
    if row is None or row.median is None:
        return "-"
    return value(row.median, w.unit) + (f" ({ratio})" if (ratio := to_ndpool(w, row)) and p.kind != "ndpool" else "")


def to_ndpool(w: Workload, row: Row) -> str:
    base = base_of(w, row.peer, row.point)
    return times(w.factor(row.median, base.median)) if base and base.median and row.median is not None else ""


def many(w: Workload) -> str:
    """How many each could hold, and what for."""
    rows = []
    for p in present(w):
        for row in (w.rows[p.name, point] for point in w.points if (p.name, point) in w.rows):
            e = row.extra
            reached = bold(told(e, "reached", plain), w.fell_short(row))
            taken = value(row.median, w.unit) if row.median is not None else "-"
            split = [told(e, "shared_bytes", size), told(e, "private_bytes", size)]
            kernel = [told(e, "fds", plain), told(e, "maps", plain), told(e, "seconds", lambda x: value(x, "s"))]
            rows.append([title(p), reached, taken, *split, *kernel, e.get("why", "")])
    head = ["", "arrays", "bytes of each", "shared", "private", "descriptors", "mappings", "to make them", "stopped by"]
    return table(head, rows)


def told(extra: dict[str, Any], key: str, words: Callable[[float], str]) -> str:
    return words(extra[key]) if extra.get(key) is not None else "-"


def left_behind(w: Workload) -> str:
    """Peers without recovery: what is still taken."""
    left = [r for r in w.rows.values() if r.extra.get("left_bytes") is not None]
    rows = [[title(r.peer), label(w.id, r.point), size(r.extra["left_bytes"])] for r in left]
    return table(["without recovery", "", "still taken 3 s later"], rows) if rows else ""


def details(found: Found, w: Workload) -> str:
    rows = []
    for p in present(w):
        for point in w.points:
            if (row := w.rows.get((p.name, point))) and row.median is not None and row.low is not None and row.high is not None:
                f, base = floor_factor(found, w, row), to_ndpool(w, row)
                spread = f"{value(row.low, w.unit)} to {value(row.high, w.unit)}"
                ratios = [base, times(f) if f else "", standing(w, row) if p.kind == "ndpool" else ""]
                rows.append([p.name, label(w.id, point), value(row.median, w.unit), spread, *ratios])
    head = ["", "at", "median", "lowest to highest round", "times ndpool", "times the floor", "against the best peer"]
    return f"<details><summary>All figures, with their spread</summary>\n\n{table(head, rows, left=2)}\n</details>\n"


def standing(w: Workload, row: Row) -> str:
    v = verdict(w, row)
    if v.best is None:
        return "" if w.fell_short(row) else "no peer can"
    how = {"level": "level with", "ahead": "ahead of", "behind": "behind"}[v.state]
    return f"{how} {v.best.peer.name}" + ("" if v.state == "level" else f", {times(v.factor)} times")


# Who is missing.


def absent(found: Found) -> str:
    """Each peer and reason with the workloads it is about."""
    if not found:
        return NOTHING
    told: dict[tuple[str, str], dict[str, list[str]]] = {}
    for w in found.values():
        for peer, point, reason in w.absent:
            if w.peers[peer].kind == "floor" and reason.startswith("does not have this"):
                continue  # a floor is one of some workloads
            at = told.setdefault((peer, reason), {}).setdefault(w.id, [])
            if point:
                at.append(label(w.id, point))
    order = [p.name for p in everybody(found)]
    keys = sorted(told, key=lambda k: (order.index(k[0]) if k[0] in order else len(order), k[1]))
    rows = [[peer, where(told[peer, reason], len(found)), reason.replace("|", "\\|")] for peer, reason in keys]
    rows += [["**?**", line, "**nobody says why**"] for line in unsaid(found)]
    return table(["", "not measured in", "because"], rows, left=3) if rows else "Nobody is missing.\n"


def where(at: dict[str, list[str]], all_: int) -> str:
    if len(at) == all_ and not any(at.values()):
        return "all"
    return "; ".join(name + (f" ({', '.join(points)})" if points else "") for name, points in at.items())
