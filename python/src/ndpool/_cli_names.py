"""The verbs that fill pools and look at names: hdf5, names, rm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from . import hdf5
from ._cli_common import Args, Fault, Verbs, emit, options, report
from ._dtype import encode
from ._info import NameInfo
from ._look import Json
from ._options import Options, parse_size
from ._pool import Pool
from ._text import age, clean, cut, human, plural, shape_text, table, type_text
from .errors import GroupError, NdpoolError, NotExistError

__all__ = ["add", "room_for", "root"]

_HDF5: Final = """\
Reads all datasets into the pool and publishes them, with groups and attributes, at once: below PREFIX if one is given. The
names stay, and keep the pool, until rm removes them. If there is no pool of that name, one is made in which the file fits.
Interrupted or killed, it leaves nothing.

Text of variable length, references and other things that mean nothing in shared memory are told and nothing is loaded;
with --skip they are left out. So is what lies in other files, which the file may name: with --external it is loaded too.

Examples:

    python -m ndpool hdf5 lab measurements.h5
    python -m ndpool hdf5 lab measurements.h5 run7 --overwrite"""

_NAMES: Final = """\
VERSION is the number of the change that published the name; it grows with each one in the pool. KEEPER is the process
that the name goes with, or "persistent": it stays until it is removed, and keeps the pool. The name of a stream or queue may
also stay for as long as "the pool" does.

Examples:

    python -m ndpool names lab
    python -m ndpool names lab run7 --short"""

_RM: Final = """\
Each name goes at once with all that is in it, one after the other. An array, stream or queue lives on while a process
holds it. A pool that is not persistent, and that nobody is attached to, goes with its last persistent name.

Examples:

    python -m ndpool rm lab run7/images
    python -m ndpool rm lab run7 -r"""


def add(verbs: Verbs) -> None:
    """Adds hdf5, names and rm."""
    p = verbs.add("hdf5", "load an HDF5 file into a pool", _HDF5, _hdf5)
    p.add_argument("file", metavar="FILE")
    p.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="what the names begin with")
    how = p.add_mutually_exclusive_group()
    how.add_argument("-o", "--overwrite", action="store_true", help="replace what is there")
    how.add_argument("--merge", action="store_true", help="add to what is there")
    p.add_argument("-g", "--group", default="/", help="the group of the file to load (default /)")
    p.add_argument("--split", action="store_true", help="make an array of each field of a compound dataset")
    p.add_argument("--skip", action="store_true", help="leave out what cannot be shared")
    p.add_argument("--external", action="store_true", help="read other files that it names, of whoever wrote it")
    p.add_argument("--capacity", type=_size, help="of a pool that is made, such as 4G")
    p.add_argument("--no-progress", action="store_true", help="no bar, also on a terminal")
    p.add_argument("-v", "--verbose", action="store_true", help="tell every array")

    p = verbs.add("names", "list the names of a pool", _NAMES, _names)
    p.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="a group, instead of all")
    p.add_argument("-q", "--short", action="store_true", help="names alone, one per line")
    p.add_argument("-a", "--all", action="store_true", help="groups too, with a slash behind them")

    p = verbs.add("rm", "remove names from a pool", _RM, _rm)
    p.add_argument("names", metavar="NAME", nargs="+", help="names to remove; / is all of the pool's")
    p.add_argument("-r", "--recursive", action="store_true", help="groups with all that is in them")


def _size(text: str) -> int:
    return parse_size(text)


# ---- hdf5


def _hdf5(args: Args) -> None:
    args.prefix = root(args.prefix)
    size = hdf5.size(args.file, args.group, split=args.split, external=args.external)
    with _pool_for(args, size) as pool:
        done = hdf5.load(
            pool,
            args.file,
            args.prefix,
            group=args.group,
            split=args.split,
            skip=args.skip,
            overwrite=args.overwrite,
            merge=args.merge,
            persistent=True,
            progress=False if args.no_progress or args.json else None,
            external=args.external,
        )
        loaded = [n for n in pool.entries(args.prefix) if n.version == done.version]
        made = {"name": args.name, "path": pool.path, "capacity": pool.capacity}
    result = {
        **made,
        "file": done.file,
        "prefix": done.prefix,
        "bytes": done.bytes,
        "arrays": done.arrays,
        "groups": done.groups,
        "seconds": round(done.seconds, 3),
        "version": done.version,
        "names": [n.path for n in loaded if not n.group],
        "skipped": [s._asdict() for s in done.skipped],
    }
    emit(args, result, lambda: _loaded_lines(args, done, loaded))


def _pool_for(args: Args, size: hdf5.Size) -> Pool:
    """Opens the pool, or makes one that the file fits in."""
    known: Options = {"dir": args.dir, "uids": args.uid, "gids": args.gid}
    if args.capacity:
        known["capacity"] = args.capacity
    try:
        return Pool.open(args.name, **known)
    except NotExistError:
        known.setdefault("capacity", room_for(size))
        known["arrays"], known["names"] = max(1024, 2 * size.blocks), max(16384, 2 * size.names)
        return Pool(args.name, **known)


def room_for(size: hdf5.Size) -> int:
    """Returns a capacity in which a file fits with some room to spare, in whole MiB."""
    return (size.needs + size.needs // 8 + (16 << 20) >> 20) << 20


def _loaded_lines(args: Args, done: hdf5.Report, loaded: list[NameInfo]) -> Sequence[str]:
    rate = f", {human(int(done.bytes / done.seconds))}/s" if done.seconds > 0 else ""
    what = f"{plural(done.arrays, 'array', 'arrays')}, {human(done.bytes)}"
    lines = [f"{clean(args.name)}: {what} from {clean(done.file)} in {age(done.seconds)}{rate}"]
    lines += _name_lines(loaded, {}) if args.verbose else _top_lines(loaded, args.prefix)
    return lines + [f"skipped {clean(str(s))}" for s in done.skipped]


def _top_lines(loaded: list[NameInfo], prefix: str) -> list[str]:
    """Returns the names at the top of what was loaded, with what is in each."""
    top: dict[str, list[NameInfo]] = {}
    start = len(prefix) + 1 if prefix else 0
    for n in loaded:
        end = n.path.find("/", start)
        top.setdefault(n.path if end < 0 else n.path[:end] + "/", []).append(n)
    rows = []
    for path, inside in top.items():
        arrays = [n for n in inside if not n.group]
        if not arrays and len(inside) == 1 and path + "/" in top:
            continue  # the group itself, with attributes of its own
        count = plural(len(arrays), "array", "arrays") if path.endswith("/") or not arrays else _shape(arrays[0])
        rows.append(("  " + clean(path), human(sum(n.bytes for n in arrays)), count))
    return table(("  NAME", ">BYTES", ""), rows)


def _shape(n: NameInfo) -> str:
    return f"{type_text(n.dtype)} {shape_text(n.shape)}" if n.dtype is not None else ""


# ---- names


def _names(args: Args) -> None:
    with Pool.open(args.name, **options(args)) as pool:
        found = [n for n in pool.entries(root(args.prefix)) if args.all or not n.group]
        keepers = {p.id: {"slot": p.slot, "pid": p.pid, "command": p.command, "alive": p.alive} for p in pool.processes()}
    if args.short and not args.json:
        for n in found:
            print(_shown(n))
        return
    empty = f"no names in {clean(args.name)}"
    result = {"name": args.name, "names": [_name_json(n, keepers) for n in found]}
    emit(args, result, lambda: _name_lines(found, keepers) if found else [empty])


def root(name: str) -> str:
    """Returns a name as the library has it: there the root is the empty one, which nobody can type as well."""
    return name.rstrip("/")


def _shown(n: NameInfo) -> str:
    """Returns a path that takes one line."""
    return clean(n.path).replace("\n", "\\n") + ("/" if n.group else "")


def _name_json(n: NameInfo, keepers: dict[int, Json]) -> Json:
    """Describes a name as the Go command does."""
    found: Json = {"path": n.path, "kind": _kind(n), "group": n.group, "handle": None if n.group else f"{n.handle or 0:016x}"}
    if n.dtype is not None:
        record = encode(n.dtype)[1]
        found["dtype"] = record.decode() if record else n.dtype.str
        found["shape"] = list(n.shape)
    return {
        **found,
        "fortran": n.fortran,
        "sealed": n.sealed,
        "bytes": n.bytes,
        "version": n.version,
        "persistent": n.persistent,
        "implicit": n.implicit,
        "keeper": _keeper(n, keepers),
        "attributes": n.attrs,
    }


def _kind(n: NameInfo) -> str:
    """Tells in one word what a name stands for."""
    return n.ring or ("group" if n.group else "array")


def _keeper(n: NameInfo, keepers: dict[int, Json]) -> Json | None:
    """Returns the process that a name goes with."""
    if n.persistent or n.implicit or not n.owner:
        return None
    gone = {"slot": (n.owner & 0xFFFFFFFF) - 1, "pid": 0, "command": "", "alive": False}  # left meanwhile
    return keepers.get(n.owner, gone)


def _keeper_text(n: NameInfo, keepers: dict[int, Json]) -> str:
    keeper = _keeper(n, keepers)
    if keeper is None:
        return "persistent" if n.persistent else "what is in it" if n.implicit else "the pool"
    return f"{keeper['pid']}({keeper['slot']}){'' if keeper['alive'] else ' dead'}"


def _name_lines(found: list[NameInfo], keepers: dict[int, Json]) -> list[str]:
    titles = ("NAME", "KIND", "DTYPE", "SHAPE", ">BYTES", ">VERSION", "KEEPER", "ATTRIBUTES")
    return table(titles, [_name_row(n, keepers) for n in found])


def _name_row(n: NameInfo, keepers: dict[int, Json]) -> tuple[Any, ...]:
    what: tuple[str, ...] = ("", "", human(n.bytes) if n.ring else "")
    if n.dtype is not None:
        what = (cut(type_text(n.dtype), 32), cut(shape_text(n.shape), 32), human(n.bytes))
    return (_shown(n), _kind(n), *what, n.version, _keeper_text(n, keepers), cut(_attrs_text(n), 48))


def _attrs_text(n: NameInfo) -> str:
    return clean(json.dumps(n.attrs, ensure_ascii=False)) if n.attrs else ""


# ---- rm


def _rm(args: Args) -> None:
    results: list[Json] = []
    with Pool.open(args.name, dir=args.dir, uids=args.uid, gids=args.gid) as pool:  # no observer, so that it may end
        for name in map(root, args.names):
            result: Json = {"path": name, "names": 0}
            try:
                result["names"] = _remove(pool, name, args.recursive)
            except NdpoolError as e:
                report(e, " (-r removes all)" if isinstance(e, GroupError) else None)
                result["error"] = str(e)
            results.append(result)
    done = [r for r in results if "error" not in r]
    emit(
        args,
        {"name": args.name, "removed": results},
        lambda: [f"{clean(r['path']) or '/'}: {plural(r['names'], 'name', 'names')} removed" for r in done],
    )
    if len(done) < len(results):
        raise Fault


def _remove(pool: Pool, name: str, recursive: bool) -> int:
    if name or not recursive:
        return pool.remove(name, tree=recursive)
    tops = {n.path.partition("/")[0] for n in pool.entries()}
    return sum(pool.remove(top, tree=True) for top in sorted(tops))
