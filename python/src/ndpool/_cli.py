"""The command: python -m ndpool. It looks into pools, checks and cleans them.

The Go command of the same name has more verbs; what both have looks alike, and their JSON has the same names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from . import _core
from ._look import Json, arrays, pool_list, processes, stat_of, summary
from ._options import Options
from ._pool import Pool, unlink
from ._text import age, clean, cut, human, percent, plural, shape_text, table, type_text, yes
from .errors import NdpoolError, NotExistError, PoolNameError, UncleanError

__all__ = ["main"]

OK: Final = 0
FAULT: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_DIR: Final = os.environ.get("NDPOOL_DIR") or "/dev/shm"

_ABOUT: Final = """\
Shared-memory pools of numpy arrays: look into them, check and clean them.

ls, ps and stat look without attaching: they take no slot, wait for no lock, and the pool lives and ends as if nobody
looked."""

_CODES: Final = """\
Exit codes: 0 all is well; 1 faults were found, or the command failed; 2 the command line is wrong; 130 it was
interrupted. Results go to stdout, as one JSON document with --json; errors and notes go to stderr."""

_LS: Final = """\
Without a name: the pools of the directory. States: live (processes are attached), idle (nobody is, and the pool waits:
it is persistent or a transfer is in flight), left behind (nobody is, and nobody wants to keep it: reap removes it).
DEAD counts processes that died and were not swept yet. Files that are no pools are left out.

With the name of a pool: its arrays. HOLDERS are pid(slot); IN TRANSIT counts transfers in flight.

Examples:

    python -m ndpool ls
    python -m ndpool ls frames
    python -m ndpool --json ls | jq '.pools[] | select(.state == "left behind").name'"""

_PS: Final = """\
ALIVE is what the kernel says of the process's lock, not a guess by its pid; a dead process is swept by the next one
that needs room, or by reap. A star at a pid means that it counts in another PID namespace, such as a container's.

Example:

    python -m ndpool ps frames"""

_STAT: Final = """\
Waste is what rounding adds to the arrays. Fragmentation is the share of the free space that lies outside of the largest
free extent. Committed space has memory behind it.

Example:

    python -m ndpool stat frames"""

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


class _Fault(Exception):
    """Ends a verb that has told what is wrong already."""


class _Verbs:
    """What the verbs work with: the command line, and where results go."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.dir: str = args.dir

    def options(self) -> Options:
        """Returns how to open a pool for anything but looking."""
        return {"dir": self.dir, "observer": True, "uids": self.args.uid, "gids": self.args.gid}

    def emit(self, result: Json, lines: Callable[[], Sequence[str]]) -> None:
        """Writes a result: as JSON if asked to, else as text."""
        if self.args.json:
            print(json.dumps(result, indent=2, ensure_ascii=False))
            return
        for line in lines():
            print(line)

    # ---- looking

    def ls(self) -> None:
        if self.args.name:
            self._ls_arrays(self.args.name)
            return
        found = pool_list(self.dir)
        self.emit(found, lambda: self._pool_lines(found["pools"]))
        for u in found["unreadable"]:
            _note(f"{u['name']}: {u['error']}")

    def _pool_lines(self, pools: list[Json]) -> Sequence[str]:
        if self.args.quiet:
            return [clean(p["name"]) for p in pools]
        if not pools:
            return [f"no pools in {clean(self.dir)}"]
        titles = (
            "NAME",
            "STATE",
            ">CAPACITY",
            ">COMMITTED",
            ">ARRAYS",
            ">TRANSFERS",
            ">PROCESSES",
            ">DEAD",
            "PERSISTENT",
            ">UID",
        )
        return table(titles, [_pool_row(p) for p in pools])

    def _ls_arrays(self, name: str) -> None:
        found, infos = arrays(Pool.peek(name, dir=self.dir))
        titles = ("HANDLE", "DTYPE", "SHAPE", ">BYTES", "HOLDERS", ">IN TRANSIT", "FLAGS")
        rows = [
            (
                a["handle"],
                cut(type_text(i.dtype), 32),
                cut(shape_text(a["shape"]), 32),
                human(a["bytes"]),
                cut(_holders(a), 48),
                a["in_transit"],
                _flags(a),
            )
            for a, i in zip(found, infos, strict=True)
        ]
        self.emit(
            {"name": name, "arrays": found},
            lambda: table(titles, rows) if rows else [f"no arrays in {clean(name)}"],
        )

    def ps(self) -> None:
        name = self.args.name
        found = processes(Pool.peek(name, dir=self.dir))
        ns = _namespace()
        titles = (
            ">SLOT",
            "ID",
            ">PID",
            ">UID",
            "COMMAND",
            "ALIVE",
            ">ATTACHED",
            ">ARRAYS",
            ">BYTES",
            ">CACHED",
        )
        self.emit(
            {"name": name, "processes": found},
            lambda: (
                table(titles, [_process_row(p, ns) for p in found])
                if found
                else [f"no processes are attached to {clean(name)}"]
            ),
        )

    def stat(self) -> None:
        found = stat_of(self.dir, self.args.name)
        self.emit(found, lambda: _stat_lines(found))

    # ---- checking and cleaning

    def verify(self) -> None:
        name = self.args.name
        with Pool.open(name, **self.options()) as pool:
            report = pool.verify(content=self.args.content)
        faults = [{"law": f.law, "place": f.place, "expected": f.expected, "found": f.found} for f in report.faults]
        result = {
            "name": name,
            "image": False,
            "clean": report.clean,
            "faults": faults,
            "more": report.more,
            "quiet": report.quiet,
            "indexes": report.indexes,
            "arrays": report.arrays,
        }
        verdict = "clean" if report.clean else plural(len(faults) + report.more, "fault", "faults")
        left = "" if report.quiet else "; not the laws of a pool at rest, since slots are in use"
        left += "" if report.indexes else "; not the indexes, since the lock was held"
        last = f"{clean(name)}: {verdict}; {plural(report.arrays, 'array', 'arrays')}{left}"
        self.emit(result, lambda: [*(clean(str(f)) for f in report.faults), last])
        if not report.clean:
            raise _Fault

    def reap(self) -> None:
        name = self.args.name
        pools = [summary(self.dir, name)[1]] if name else pool_list(self.dir)["pools"]
        results, failed = [], False
        for p in pools:
            result = {
                "name": p["name"],
                "processes": p["dead"],
                "expired": p["expired"],
                "removed": p["state"] == "left behind",
            }
            try:
                if not self.args.dry_run:
                    result.update(_core.reap(p["name"], dir=self.dir))
            except NotExistError:
                continue  # ended by itself meanwhile
            except NdpoolError as e:
                result.update(processes=0, expired=0, removed=False, error=str(e))
                failed = True
                _report(e)
            results.append(result)
        self.emit({"dir": self.dir, "dry_run": self.args.dry_run, "pools": results}, lambda: self._reap_lines(results))
        if failed:
            raise _Fault

    def _reap_lines(self, results: list[Json]) -> Sequence[str]:
        would = " (dry run)" if self.args.dry_run else ""
        lines = [f"{clean(r['name'])}: {_reaped(r)}{would}" for r in results if "error" not in r]
        return lines if results else [f"no pools in {clean(self.dir)}"]

    def unlink(self) -> None:
        name, attached = self.args.name, 0
        try:
            attached = summary(self.dir, name)[1]["processes"]
        except NdpoolError:
            pass  # unlink tells what is wrong
        unlink(name, dir=self.dir)
        still = f"; its memory goes with the {plural(attached, 'process', 'processes')} still attached"
        line = f"{clean(name)}: unlinked{still if attached else ''}"
        self.emit({"name": name, "unlinked": True, "attached": attached}, lambda: [line])


# ---- rows and lines


def _pool_row(p: Json) -> tuple[Any, ...]:
    return (
        clean(p["name"]),
        p["state"],
        human(p["capacity"]),
        human(p["committed"]),
        p["arrays"],
        p["transfers"],
        p["processes"],
        p["dead"],
        yes(p["persistent"]),
        p["uid"],
    )


def _process_row(p: Json, namespace: int) -> tuple[Any, ...]:
    return (
        p["slot"],
        p["id"],
        f"{p['pid']}{'' if p['pid_namespace'] == namespace else '*'}",
        p["uid"],
        clean(p["command"]),
        "yes" if p["alive"] else "dead",
        age(p["attached_seconds"]),
        p["arrays"],
        human(p["bytes"]),
        human(p["cached"]),
    )


def _namespace() -> int:
    """Returns the PID namespace of this process."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _holders(a: Json) -> str:
    return ",".join(f"{h['pid']}({h['slot']}){'' if h['alive'] else ' dead'}" for h in a["holders"]) or "-"


def _flags(a: Json) -> str:
    return ",".join(flag for flag in ("private", "sealed", "hashed", "named", "fortran") if a[flag]) or "-"


def _reaped(r: Json) -> str:
    parts = []
    if r["processes"]:
        parts.append(plural(r["processes"], "dead process swept", "dead processes swept"))
    if r["expired"]:
        parts.append(plural(r["expired"], "transfer expired", "transfers expired"))
    if r["removed"]:
        parts.append("removed")
    return ", ".join(parts) or "nothing to do"


_SO_FAR: Final = (
    ("sweeps", "dead process swept", "dead processes swept"),
    ("takeovers", "lock of a dead process taken over", "locks of dead processes taken over"),
    ("expired", "transfer expired", "transfers expired"),
    ("stolen", "block stolen from a cache", "blocks stolen from caches"),
    ("lost", "array lost", "arrays lost"),
    ("trimmed", "chunk trimmed", "chunks trimmed"),
)


def _stat_lines(v: Json) -> list[str]:
    s = v["stats"]
    wasted, held = s["held"] - s["live"], s["held"]
    keeps = "persistent" if v["persistent"] else "ends with its last process"
    retired = f", {s['retired']} descriptors used up" if s["retired"] else ""
    dead = f", of them {v['dead']} dead (reap sweeps them)" if v["dead"] else ""
    so_far = [plural(s[key], one, many) for key, one, many in _SO_FAR if s[key]]
    lines = (
        ("pool", f"{clean(v['path'])}, {v['state']}, {keeps}"),
        ("segment", v["segment"]),
        ("capacity", f"{human(s['capacity'])}, and {human(s['tables'])} of tables"),
        (
            "committed",
            f"{human(s['committed'])} ({percent(s['committed'], s['capacity'])}); "
            f"with tables the file takes {human(v['memory'])} of memory",
        ),
        (
            "held",
            f"{human(held)} ({percent(held, s['capacity'])}) by arrays, "
            f"of it {human(wasted)} ({percent(wasted, held)}) wasted by rounding",
        ),
        ("cached", f"{human(s['cached'])} kept by processes for reuse"),
        (
            "free",
            f"{human(s['free'])}, largest extent {human(s['largest_free'])} "
            f"(fragmentation {percent(s['free'] - s['largest_free'], s['free'])})",
        ),
        ("arrays", f"{s['arrays']} of {s['array_limit']}{retired}"),
        ("processes", f"{s['processes']} of {s['process_limit']}{dead}"),
        ("transfers", f"{s['transfers']} of {s['transfer_limit']} in flight"),
        ("so far", ", ".join(so_far) or "nobody died, nothing expired"),
    )
    return [f"{what:<12} {text}" for what, text in lines]


# ---- the command line


def _common(default: bool) -> argparse.ArgumentParser:
    """Returns the flags that may stand before and after the verb. Those after it have no defaults, which would undo
    what stands before."""
    p = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)

    def value(v: Any) -> Any:
        return v if default else argparse.SUPPRESS

    p.add_argument("-d", "--dir", default=value(_DIR), help=f"directory of the pools (default {_DIR}; $NDPOOL_DIR)")
    p.add_argument("-j", "--json", action="store_true", default=value(False), help="write one JSON document to stdout")
    for who in ("uid", "gid"):
        p.add_argument(
            f"--{who}",
            type=int,
            action="append",
            default=value([]),
            help=f"also open pools of this {'user' if who == 'uid' else 'group'}; may be repeated",
        )
    return p


def _parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m ndpool", description=_ABOUT, epilog=_CODES, parents=[_common(True)], formatter_class=text
    )
    parser.add_argument("--version", action="version", version=f"ndpool {_core.VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, about: str, more: str, pool: str | None) -> argparse.ArgumentParser:
        p = verbs.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=more,
            parents=[_common(False)],
            formatter_class=text,
        )
        p.add_argument("name", help="name of the pool" + (pool or ""), nargs=None if pool is None else "?")
        return p

    ls = verb("ls", "list the pools of the directory, or the arrays of a pool", _LS, "; without it the pools")
    ls.add_argument("-q", "--quiet", action="store_true", help="names of the pools alone, one per line")
    verb("ps", "show the processes of a pool", _PS, None)
    verb("stat", "show how full a pool is", _STAT, None)
    check = verb("verify", "check every law of the format", _VERIFY, None)
    check.add_argument("--content", action="store_true", help="also compare sealed arrays with their hashes")
    reap = verb("reap", "clean up after dead processes", _REAP, "; without it all of the directory")
    reap.add_argument("-n", "--dry-run", action="store_true", help="tell what would be done, and do nothing")
    verb("unlink", "remove a pool's name", _UNLINK, None)
    return parser


def _note(text: str) -> None:
    print(f"ndpool: {clean(text)}", file=sys.stderr)


def _report(e: Exception) -> int:
    """Writes an error in one line, with what to do about it where that is known. Returns the exit code for it."""
    hint = ""
    if isinstance(e, NotExistError):
        hint = " (ls lists the pools)"
    elif isinstance(e, PoolNameError):
        hint = "; --dir names another directory"
    elif isinstance(e, UncleanError):
        hint = "; unlink removes it"
    _note(" ".join(str(e).split()) + hint)
    return USAGE if isinstance(e, PoolNameError) else FAULT


def main(argv: Sequence[str] | None = None) -> int:
    """Does what the command line says, and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        args = _parser().parse_args(arguments)
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else USAGE
    try:
        getattr(_Verbs(args), args.verb)()
        sys.stdout.flush()
    except _Fault:
        return FAULT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has enough
        return OK
    except (NdpoolError, OSError) as e:
        return _report(e)
    return OK
