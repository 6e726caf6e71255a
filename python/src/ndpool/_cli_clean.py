"""The verbs that check and clean: verify, reap, unlink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import _core
from ._cli_common import Args, Fault, Verbs, emit, options, report
from ._look import Json, pool_list, summary
from ._pool import Pool, unlink
from ._text import clean, plural
from .errors import NdpoolError, NotExistError

__all__ = ["add"]

_VERIFY: Final = """\
Holds the pool's lock meanwhile, so that other processes wait at their slow steps: milliseconds, but seconds for
capacities of hundreds of GiB. Dead processes are left alone. Each fault is told with its law, its place, what was
expected and what was found.

Example:

    python -m ndpool verify frames --content"""

_REAP: Final = """\
Sweeps dead processes, so that what they alone held is free; ends transfers whose time is up; removes pools that are not
persistent, that nobody is attached to and that nothing waits in. Pools that are in use go on undisturbed.

Examples:

    python -m ndpool reap -n
    python -m ndpool reap frames"""

_UNLINK: Final = """\
Processes that are attached go on undisturbed; the memory goes with the last of them. Nobody can attach any more, and
the name is free for a new pool. A file that is no pool is left alone.

Example:

    python -m ndpool unlink frames"""


def add(verbs: Verbs) -> None:
    """Adds verify, reap and unlink."""
    check = verbs.add("verify", "check every law of the format", _VERIFY, _verify)
    check.add_argument("--content", action="store_true", help="also compare sealed arrays with their hashes")
    p = verbs.add("reap", "clean up after dead processes", _REAP, _reap, "; without it all of the directory")
    p.add_argument("-n", "--dry-run", action="store_true", help="tell what would be done, and do nothing")
    verbs.add("unlink", "remove a pool's name", _UNLINK, _unlink)


def _verify(args: Args) -> None:
    name = args.name
    with Pool.open(name, **options(args)) as pool:
        found = pool.verify(content=args.content)
    faults = [{"law": f.law, "place": f.place, "expected": f.expected, "found": f.found} for f in found.faults]
    result = {
        "name": name,
        "image": False,
        "clean": found.clean,
        "faults": faults,
        "more": found.more,
        "quiet": found.quiet,
        "indexes": found.indexes,
        "arrays": found.arrays,
    }
    verdict = "clean" if found.clean else plural(len(faults) + found.more, "fault", "faults")
    left = "" if found.quiet else "; not the laws of a pool at rest, since slots are in use"
    left += "" if found.indexes else "; not the indexes, since the lock was held"
    last = f"{clean(name)}: {verdict}; {plural(found.arrays, 'array', 'arrays')}{left}"
    emit(args, result, lambda: [*(clean(str(f)) for f in found.faults), last])
    if not found.clean:
        raise Fault


def _reap(args: Args) -> None:
    name = args.name
    pools = [summary(args.dir, name)[1]] if name else pool_list(args.dir)["pools"]
    results, failed = [], False
    for p in pools:
        result = {
            "name": p["name"],
            "processes": p["dead"],
            "expired": p["expired"],
            "removed": p["state"] == "left behind",
        }
        try:
            if not args.dry_run:
                result.update(_core.reap(p["name"], dir=args.dir))
        except NotExistError:
            continue  # ended by itself meanwhile
        except NdpoolError as e:
            result.update(processes=0, expired=0, removed=False, error=str(e))
            failed = True
            report(e)
        results.append(result)
    emit(args, {"dir": args.dir, "dry_run": args.dry_run, "pools": results}, lambda: _reap_lines(args, results))
    if failed:
        raise Fault


def _reap_lines(args: Args, results: list[Json]) -> Sequence[str]:
    would = " (dry run)" if args.dry_run else ""
    lines = [f"{clean(r['name'])}: {_reaped(r)}{would}" for r in results if "error" not in r]
    return lines if results else [f"no pools in {clean(args.dir)}"]


def _reaped(r: Json) -> str:
    parts = []
    if r["processes"]:
        parts.append(plural(r["processes"], "dead process swept", "dead processes swept"))
    if r["expired"]:
        parts.append(plural(r["expired"], "transfer expired", "transfers expired"))
    if r["removed"]:
        parts.append("removed")
    return ", ".join(parts) or "nothing to do"


def _unlink(args: Args) -> None:
    name, attached = args.name, 0
    try:
        attached = summary(args.dir, name)[1]["processes"]
    except NdpoolError:
        pass  # unlink tells what is wrong
    unlink(name, dir=args.dir)
    still = f"; its memory goes with the {plural(attached, 'process', 'processes')} still attached"
    line = f"{clean(name)}: unlinked{still if attached else ''}"
    emit(args, {"name": name, "unlinked": True, "attached": attached}, lambda: [line])
