"""Makes the tables and figures of bench/README.md from bench/results/*.json; scripts/peers runs it after it has measured.

The tables stand between <!-- begin: NAME --> and <!-- end: NAME -->; all else in the page is written by hand. With --check
nothing is written: it fails if a table is not what the results say, if a figure is missing or was drawn from other results, if
the results leave a peer out without a reason, or if the page does not say why ndpool is behind in a workload, or far from its
floor (after <!-- why: WORKLOAD -->). That needs the standard library alone; the figures need matplotlib.
"""

import argparse
import pathlib
import re
import sys

import findings
import tables

BENCH = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- begin: ([\w-]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
WHY = re.compile(r"<!-- why: ([\w, ]+) -->")


def fill(page: str, blocks: dict[str, str]) -> str:
    """The page with each block's text between its markers."""
    names = [m[2] for m in BLOCK.finditer(page)]
    markers = len(re.findall(r"<!-- (?:begin|end): ", page))
    if sorted(names) != sorted(blocks) or markers != 2 * len(names):
        lost, strange = set(blocks) - set(names), set(names) - set(blocks)
        raise findings.BadResults(f"markers of the page: missing {sorted(lost)}, unknown {sorted(strange)}, {markers} in all")
    return BLOCK.sub(lambda m: f"{m[1]}{blocks[m[2]]}{m[3]}", page)


def stale_figures(found: dict[str, findings.Workload], results: pathlib.Path) -> list[str]:
    """Figures that are missing, of other results, or nobody's. Each carries the digest of its data."""
    bad, expected = [], set()
    for figure in findings.figures(found):
        for path in (results / f"{figure.name}.svg", results / f"{figure.name}.png"):
            expected.add(path)
            if not path.exists():
                bad.append(f"{path}: missing")
            elif tables.mark(found[figure.workload]).encode() not in path.read_bytes():
                bad.append(f"{path}: drawn from other results than {figure.workload}.json")
    strays = {p for ending in ("svg", "png") for p in results.glob(f"*.{ending}")} - expected
    return bad + [f"{path}: belongs to no results" for path in sorted(strays)]


def stale_blocks(page: str, wanted: str) -> list[str]:
    have = {m[2]: m[0] for m in BLOCK.finditer(page)}
    return [f"the table {m[2]!r} is not what the results say" for m in BLOCK.finditer(wanted) if have[m[2]] != m[0]]


def unexplained(found: dict[str, findings.Workload], page: str) -> list[str]:
    """Workloads where ndpool loses or is far from its floor, and the page does not say why, after <!-- why: ID, ID -->."""
    said = {name for m in WHY.finditer(page) for name in re.split(r",\s*", m[1])}
    return [
        f"{name}: {what}, and the page does not say <!-- why: {name} -->"
        for name, what in tables.losses(found)
        if name not in said
    ]


def check(found: dict[str, findings.Workload], results: pathlib.Path, page: str, wanted: str) -> int:
    bad = [*stale_blocks(page, wanted), *stale_figures(found, results), *findings.unsaid(found), *unexplained(found, page)]
    for line in bad:
        print(f"report: {line}", file=sys.stderr)
    if bad:
        print("report: bench/results/README.md says how to make tables and figures anew", file=sys.stderr)
    return 1 if bad else 0


def write(found: dict[str, findings.Workload], args: argparse.Namespace, wanted: str) -> int:
    args.readme.write_text(wanted)
    print(f"report: tables of {len(found)} workloads into {args.readme}", file=sys.stderr)
    if args.plots and found:
        import plots  # wants matplotlib

        names = plots.draw(found, args.results)
        print(f"report: {len(names)} figures, SVG and PNG, into {args.results}", file=sys.stderr)
    unsaid = findings.unsaid(found)
    for line in (*unsaid, *unexplained(found, wanted)):
        print(f"report: {line}", file=sys.stderr)
    return 1 if unsaid else 0  # the reasons are written afterwards, by a person


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, default=BENCH / "results", help="where the *.json are")
    parser.add_argument("--readme", type=pathlib.Path, default=BENCH / "README.md", help="the page with the markers")
    parser.add_argument("--no-plots", dest="plots", action="store_false", help="tables only")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if anything is not of these results")
    args = parser.parse_args(argv)
    try:
        found = findings.load(args.results)
        page = args.readme.read_text()
        wanted = fill(page, tables.blocks(found, args.results, args.readme.parent))
    except (findings.BadResults, OSError) as e:
        print(f"report: {e}", file=sys.stderr)
        return 1
    return check(found, args.results, page, wanted) if args.check else write(found, args, wanted)


if __name__ == "__main__":
    sys.exit(main())
