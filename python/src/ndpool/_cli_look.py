"""The verbs that look without attaching: ls, ps, stat."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from ._cli_common import Args, Verbs, emit, note
from ._look import Json, arrays, pool_list, processes, stat_of
from ._pool import Pool
from ._text import age, clean, cut, human, one_line, percent, plural, shape_text, table, type_text, yes

__all__ = ["add"]

_LS: Final = """\
Without a name: the pools of the directory. States: live (processes are attached), idle (nobody is, and the pool waits:
it is persistent, a transfer is in flight, or a persistent name or a queue with items in it keeps it), left behind
(nobody is, and nobody wants to keep it: reap removes it). DEAD counts processes that died and were not swept yet. Files
that are no pools are left out.

With the name of a pool: its arrays. HOLDERS are pid(slot); IN TRANSIT counts transfers in flight, and places in streams
and queues. Those are in the table too: BYTES are what they take themselves; rings tells what is in them.

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


def add(verbs: Verbs) -> None:
    """Adds ls, ps and stat."""
    p = verbs.add("ls", "list the pools of the directory, or the arrays of a pool", _LS, _ls, "; without it the pools")
    p.add_argument("-q", "--quiet", action="store_true", help="names of the pools alone, one per line")
    verbs.add("ps", "show the processes of a pool", _PS, _ps)
    verbs.add("stat", "show how full a pool is", _STAT, _stat)


def _ls(args: Args) -> None:
    if args.name:
        _ls_arrays(args)
        return
    found = pool_list(args.dir)
    emit(args, found, lambda: _pool_lines(args, found["pools"]))
    for u in found["unreadable"]:
        note(f"{u['name']}: {u['error']}")


def _pool_lines(args: Args, pools: list[Json]) -> Sequence[str]:
    if args.quiet:
        return [one_line(p["name"]) for p in pools]
    if not pools:
        return [f"no pools in {clean(args.dir)}"]
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


def _ls_arrays(args: Args) -> None:
    name = args.name
    found, infos = arrays(Pool.peek(name, dir=args.dir))
    titles = ("HANDLE", "KIND", "DTYPE", "SHAPE", ">BYTES", "HOLDERS", ">IN TRANSIT", "FLAGS")
    rows = [
        (
            a["handle"],
            a["kind"],
            "" if i.ring else cut(type_text(i.dtype), 32),
            "" if i.ring else cut(shape_text(a["shape"]), 32),
            human(a["bytes"]),
            cut(_holders(a), 48),
            a["in_transit"],
            _flags(a),
        )
        for a, i in zip(found, infos, strict=True)
    ]
    emit(
    args,
        {"name": name, "arrays": found},
        lambda: table(titles, rows) if rows else [f"no arrays in {clean(name)}"],
    )


def _ps(args: Args) -> None:
    name = args.name
    found = processes(Pool.peek(name, dir=args.dir))
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
    emit(
    args,
        {"name": name, "processes": found},
        lambda: (
            table(titles, [_process_row(p, ns) for p in found])
            if found
            else [f"no processes are attached to {clean(name)}"]
        ),
    )


def _stat(args: Args) -> None:
    found = stat_of(args.dir, args.name)
    emit(args, found, lambda: _stat_lines(found))


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
    keeps = "ends with its last process" + " and its last persistent name" * bool(s["names"])
    keeps = "persistent" if v["persistent"] else keeps
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
        ("rings", f"{plural(v['streams'], 'stream', 'streams')}, {plural(v['queues'], 'queue', 'queues')} (rings)"),
        ("transfers", f"{s['transfers']} of {s['transfer_limit']} in flight"),
        ("so far", ", ".join(so_far) or "nobody died, nothing expired"),
    )
    return [f"{what:<12} {text}" for what, text in lines]
