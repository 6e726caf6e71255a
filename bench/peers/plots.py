"""The figures: curves of cost against size, and bars, for the width of a README, on white. The same data makes the same bytes.

ndpool has two strong colours that nobody else has. The others have those of Paul Tol's muted scheme, which people tell apart
who do not see red and green, and marks of their own. Names stand at the curves; there is no legend.
"""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import tables
from findings import GROUPS, Peer, Point, Row, Workload, figures, label, plain, size, value
from matplotlib.axes import Axes
from tables import mark

STYLE = {
    "svg.hashsalt": "ndpool",
    "font.family": "DejaVu Sans",  # matplotlib's own
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": "#333333",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
}
WIDTH = 8.6  # inches; 100 points of the screen each
NDPOOL = {"Go": "#d55e00", "C": "#e69f00", "Python": "#d55e00"}
MUTED = (
    "#332288",
    "#117733",
    "#33a1c9",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#888888",
    "#661100",
    "#222222",
    "#4477aa",
)
MARKERS = "osD^vP<X>ph*"
FLOOR = "#555555"
COPIES = ("handover", "pass")  # whose native floors are floors of Python too
SHORT = {
    "multiprocessing.shared_memory": "shared_memory",
    "multiprocessing.shared_memory, track=False (3.13)": "shared_memory, untracked",
    "torch.multiprocessing": "torch.mp",
}


def draw(found: dict[str, Workload], directory: pathlib.Path) -> list[str]:
    """Draws all figures there, and removes those of before that nobody has data for."""
    wanted = figures(found)
    for old in (p for ending in ("svg", "png") for p in directory.glob(f"*.{ending}")):
        if old.stem not in {f.name for f in wanted}:
            old.unlink()
    for figure in wanted:
        with plt.rc_context(STYLE):
            w = found[figure.workload]
            fig = curves(w, figure.group) if figure.group else bars(w)
            save(fig, directory / figure.name, mark(w))
            plt.close(fig)
    return [f.name for f in wanted]


def save(fig: Any, path: pathlib.Path, data: str) -> None:
    """Writes both forms, without dates or versions of tools in them."""
    fig.savefig(f"{path}.svg", metadata={"Date": None, "Creator": None, "Identifier": data})
    fig.savefig(f"{path}.png", dpi=160, metadata={"Software": None, "Description": data})


def heading(fig: Any, w: Workload, more: str, note: str) -> None:
    tall = fig.get_figheight()
    fig.text(0.012, 1 - 0.27 / tall, tables.heading(w.id) + more, fontweight="bold", fontsize=11)
    fig.text(0.985, 1 - 0.27 / tall, note, color="#777777", fontsize=8, ha="right")


def short(p: Peer) -> str:
    return SHORT.get(p.name, p.name)


# Curves.


def curves(w: Workload, group: str) -> Any:
    """A curve for each peer of a group, with the range of its rounds; below, the same as multiples of ndpool's."""
    shown = [p for p in w.peers.values() if p.group == group or (p.kind == "floor" and p.group == "native" and w.id in COPIES)]
    lines = {p: [r for point in w.points if (r := w.row(p.name, point))] for p in shown}
    lines = {p: rows for p, rows in lines.items() if rows}
    upper = max(3, 0.8 + 0.26 * len(lines))
    fig, (cost, ratio) = plt.subplots(2, figsize=(WIDTH, upper + 2.1), height_ratios=(upper, 1.5), sharex=True)
    tall = fig.get_figheight()
    fig.subplots_adjust(left=0.085, right=0.765, top=1 - 0.55 / tall, bottom=0.35 / tall, hspace=0.1)
    x = {point: i for i, point in enumerate(w.points)} if w.id == "fanout" else {p: math.log2(p[0]) for p in w.points}
    for p, rows in lines.items():
        curve(cost, w, p, [x[r.point] for r in rows], rows, {})
    logarithmic(cost, lambda y: value(y, w.unit, plain), lowest(lines), None)
    ratios(ratio, w, lines, x)
    ratio.set_xticks(list(x.values()), [label(w.id, point) for point in w.points])
    ratio.set_xlim(min(x.values()) - 0.02 * spread(x), max(x.values()) + 0.02 * spread(x))
    cost.tick_params(axis="x", length=0)
    heading(fig, w, f", {group}", "lower is better; shaded: all rounds; dashed: floors")
    name_curves(cost, w.unit, [(p, x[rows[-1].point], rows[-1].median or 0, colour(w, p)) for p, rows in lines.items()])
    return fig


def ratios(ax: Axes, w: Workload, lines: dict[Peer, list[Row]], x: dict[Point, float]) -> None:
    """What all cost as multiples of ndpool, in C among native ones."""
    mine = sorted((p for p in lines if p.kind == "ndpool"), key=lambda p: p.language != "C")
    if not mine:
        ax.set_visible(False)
        return
    base = {r.point: r.median or 1 for r in lines[mine[0]]}
    far = [1.0]
    for p, rows in lines.items():
        both = [r for r in rows if r.point in base]
        if both:
            curve(ax, w, p, [x[r.point] for r in both], both, base)
        if p.kind != "floor":
            far += [(r.median or 1) / base[r.point] for r in both]
    logarithmic(ax, lambda y: f"{y:,.2g}" if y < 1 else f"{y:,.0f}", min(0.6, min(far) / 1.2), max(2.5, max(far) * 1.3))
    ax.text(1.035, 0.5, f"times {mine[0].name}", transform=ax.transAxes, va="center", color="#333333", fontsize=8.5)


def lowest(lines: dict[Peer, list[Row]]) -> float:
    """Where the axis begins: floors that are far below all others leave the figure."""
    least = [(r.low or 1, p.kind == "floor") for p, rows in lines.items() for r in rows]
    return max(min(low for low, _ in least) / 1.7, min((low for low, is_floor in least if not is_floor), default=0) / 12)


def spread(x: dict[Point, float]) -> float:
    return max(x.values()) - min(x.values()) or 1


def curve(ax: Axes, w: Workload, p: Peer, x: list[float], rows: list[Row], base: dict[Point, float]) -> None:
    """ndpool's curves are broad and lie below, so that what coincides with them is seen upon them."""
    ink, upper = colour(w, p), p.language == "C"
    how: dict[str, Any] = {
        "ndpool": {"lw": 2.4, "zorder": 4.5, "ms": 5.5} if upper else {"lw": 4.4, "zorder": 4, "ms": 8},
        "peer": {"lw": 1.3, "zorder": 5, "ms": 4},
        "floor": {"lw": 1.2, "zorder": 6, "ms": 0, "ls": (0, (4, 3))},
    }[p.kind]
    low, middle, high = ([(y or 0) / base.get(r.point, 1) for r, y in zip(rows, of, strict=True)] for of in ranges(rows))
    ax.plot(x, middle, color=ink, marker=marker(w, p), **how)
    ax.fill_between(x, low, high, color=ink, alpha=0.18, lw=0, zorder=3)


def ranges(rows: list[Row]) -> list[list[float | None]]:
    return [[r.low for r in rows], [r.median for r in rows], [r.high for r in rows]]


def colour(w: Workload, p: Peer) -> str:
    """A peer has the same colour in all figures, as long as results name the peers in the same order."""
    if p.kind == "ndpool":
        return NDPOOL.get(p.language, NDPOOL["C"])
    return FLOOR if p.kind == "floor" else MUTED[nth(w, p) % len(MUTED)]


def marker(w: Workload, p: Peer) -> str:
    return "o" if p.kind == "ndpool" else MARKERS[nth(w, p) % len(MARKERS)] if p.kind == "peer" else ""


def nth(w: Workload, p: Peer) -> int:
    """Its place among the peers of its group."""
    return [q.name for q in w.peers.values() if q.kind == "peer" and q.group == p.group].index(p.name)


def name_curves(ax: Axes, unit: str, ends: list[tuple[Peer, float, float, str]]) -> None:
    """Writes each name at the right, as near to its curve's end as others leave room."""
    ax.figure.canvas.draw()
    height = ax.bbox.height
    ends = sorted(ends, key=lambda e: e[2])
    last = max(x for _, x, _, _ in ends)
    at = [ax.transAxes.inverted().transform(ax.transData.transform((x, y)))[1] for _, x, y, _ in ends]
    room = 15.5 / height * (ax.figure.dpi / 100)
    for (p, x, y, ink), place in zip(ends, apart(at, room), strict=True):
        below = y < ax.get_ylim()[0]
        ax.annotate(
            f"{short(p)}: {value(y, unit)}, below" if below else short(p),
            xy=(x, y),
            xycoords="data",
            xytext=(1.035, place),
            textcoords="axes fraction",
            va="center",
            color=ink,
            annotation_clip=False,
            fontweight="bold" if p.kind == "ndpool" else "normal",
            fontstyle="italic" if p.kind == "floor" else "normal",
            fontsize=10 if p.kind == "ndpool" else 8.5,
            arrowprops={
                "arrowstyle": "-",
                "color": ink,
                "lw": 0.6,
                "ls": "-" if x == last else (0, (1, 3)),  # a curve that ends early does not go on
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
                "visible": not below,
            },
        )


def apart(at: list[float], room: float) -> list[float]:
    """Moves ascending places so that each is room from the next: those of a heap that would touch share what they move."""
    groups: list[list[float]] = []  # each the places of one heap of names
    for y in at:
        groups.append([y])
        while len(groups) > 1 and bottom(groups[-1], room) < bottom(groups[-2], room) + room * len(groups[-2]):
            last = groups.pop()
            groups[-1] += last
    return [bottom(g, room) + i * room for g in groups for i in range(len(g))]


def bottom(group: list[float], room: float) -> float:
    """Where the lowest of a group goes, so that its middle stays where it is and all are within the axes."""
    tall = room * (len(group) - 1)
    return max(min(sum(group) / len(group) - tall / 2, 1 - tall), 0)


def logarithmic(ax: Axes, words: Callable[[float], str], low: float | None, high: float | None) -> None:
    """The axis, with figures at 1, 2 and 5 where the tens alone would be few."""
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    low, high = ax.get_ylim()
    few = math.log10(high / low) < 2.3
    ax.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5) if few else (1,)))
    ax.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda y, _: words(y)))
    ax.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())


# Bars.

Bar = tuple[float, float, float, str]  # median, low, high, and what is written beside it
Column = tuple[str, str, Callable[[Peer], Bar | None]]  # title, name of its scale, a peer's bar


def bars(w: Workload) -> Any:
    """A row for each peer, a column for each point; ndpool first in each group, then by what it costs."""
    columns = columns_of(w)
    have = [p for p in w.peers.values() if any(value_of(p) for _, _, value_of in columns)]
    rows: list[Peer | None] = []
    for group in GROUPS:
        members = sorted((p for p in have if p.group == group), key=lambda p: rank(w, p, columns))
        rows += ([None] if rows and members else []) + members
    fig, axes = plt.subplots(1, len(columns), figsize=(WIDTH, 1.05 + 0.235 * len(rows)), sharey=True, squeeze=False)
    tall = fig.get_figheight()
    fig.subplots_adjust(left=0.235, right=0.985, top=1 - 0.72 / tall, bottom=0.12 / tall, wspace=0.07)
    for ax, column in zip(axes[0], columns, strict=True):
        draw_column(ax, w, column, rows, limits(columns, column[1], have))
    name_rows(axes[0][0], rows)
    scale = "lengths are logarithmic; black: all rounds"
    heading(fig, w, "", f"{'lower' if w.lower else 'higher'} is better; {scale}")
    return fig


def columns_of(w: Workload) -> list[Column]:
    if w.id == "many":
        return [
            ("bytes per array", "bytes", lambda p: measured(w, p, ())),
            ("arrays reached", "n", lambda p: extra(w, p, "reached", plain)),
            ("descriptors + mappings", "f", lambda p: extra(w, p, "fds", plain, "maps")),
        ]
    return [(label(w.id, point), w.unit, lambda p, point=point: measured(w, p, point)) for point in w.points]


def measured(w: Workload, p: Peer, point: Point) -> Bar | None:
    row = w.rows.get((p.name, point))
    if row is None:
        return None
    if row.median is None:
        left = row.extra.get("left_bytes")
        return None if left is None else (0, 0, 0, f"{size(left)} stay taken" if left else "nothing stays taken")
    return row.median, row.low or row.median, row.high or row.median, value(row.median, w.unit)


def extra(w: Workload, p: Peer, key: str, words: Callable[[float], str], also: str = "") -> Bar | None:
    row = w.rows.get((p.name, ()))
    if row is None or key not in row.extra:
        return None
    x = row.extra[key] + (row.extra[also] if also else 0)
    return x, x, x, words(x)


def rank(w: Workload, p: Peer, columns: list[Column]) -> tuple[Any, ...]:
    first = next(v for _, _, value_of in columns if (v := value_of(p)))
    return ("ndpool", "peer", "floor").index(p.kind), first[0] if w.lower else -first[0], p.name


def limits(columns: list[Column], scale: str, have: list[Peer]) -> tuple[float, float]:
    """From half of the least to where the longest bar leaves room for its figure. Bars have no zero on a logarithmic scale."""
    all_ = [v[0] for _, other, value_of in columns if other == scale for p in have if (v := value_of(p)) and v[0] > 0] or [1]
    low, high = min(all_) / 2, max(all_)
    return low, low * (high / low) ** (1 / 0.62) if high > 3 * low else high * 8


def draw_column(ax: Axes, w: Workload, column: Column, rows: list[Peer | None], lim: tuple[float, float]) -> None:
    title, _, value_of = column
    ax.set_xscale("log")
    ax.set_xlim(*lim)
    ax.set_title(title, fontsize=9, loc="left", pad=4)
    ax.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    ax.tick_params(axis="y", length=0)
    ax.grid(False)
    ax.spines["bottom"].set_visible(False)
    for y, p in enumerate(rows):
        if p is None:
            continue
        v = value_of(p)
        if v is None:
            ax.text(0.02, y, "-", transform=ax.get_yaxis_transform(), va="center", color="#999999", fontsize=8)
            continue
        bar(ax, y, p, v, lim[0])
    ax.set_ylim(len(rows) - 0.4, -0.6)


def bar(ax: Axes, y: int, p: Peer, v: Bar, start: float) -> None:
    x, low, high, text = v
    ink = {"ndpool": NDPOOL["Go"], "peer": "#7f9bb8", "floor": "#d4d4d4"}[p.kind]
    if x > 0:
        ax.barh(y, x - start, left=start, height=0.7, color=ink, zorder=2)
    if high > low:
        ax.plot([low, high], [y, y], color="#222222", lw=1, zorder=3, solid_capstyle="butt")
    how = {"fontsize": 8, "fontweight": "bold" if p.kind == "ndpool" else "normal", "va": "center"}
    ax.annotate(text, (max(x, high, start), y), xytext=(3, 0), textcoords="offset points", annotation_clip=False, **how)


def name_rows(ax: Axes, rows: list[Peer | None]) -> None:
    ax.set_yticks([y for y, p in enumerate(rows) if p], [words(p) for p in rows if p])
    for tick, p in zip(ax.get_yticklabels(), [p for p in rows if p], strict=True):
        tick.set_fontweight("bold" if p.kind == "ndpool" else "normal")
        tick.set_fontstyle("italic" if p.kind == "floor" else "normal")
        tick.set_fontsize(8.5)


def words(p: Peer) -> str:
    return f"{short(p)} (floor)" if p.kind == "floor" else short(p)
