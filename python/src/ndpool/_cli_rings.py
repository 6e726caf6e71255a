"""The verbs of streams and queues: rings, follow."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from time import time
from typing import Any, Final

from ._cli_common import Args, Fault, Verbs, emit, note, options
from ._dtype import encode
from ._look import Json, rings, seconds
from ._pool import Pool
from ._text import age, clean, cut, human, json_text, shape_text, table, type_text
from .errors import NoNameError, StreamEnded, WaitTimeoutError, WriterDied

__all__ = ["add"]

_RINGS: Final = """\
ITEMS are the frames of a stream, or the items of a queue, that are there now, and LIMIT how many there can be: an item
of a queue takes one place more for each array that belongs to it. PUT counts the places that were ever filled. WRITER
is the process that writes a stream; "ended" and "died" tell what became of the last one. READERS are those that the
writer of a lossless stream waits for, and how many frames the slowest of them is behind. BYTES are those of the arrays
in it. One without a name is told by its handle.

Examples:

    python -m ndpool rings lab
    python -m ndpool --json rings lab | jq '.rings[] | select(.kind == "queue") | [.names[0], .items]'"""

_FOLLOW: Final = """\
A line for each frame, with --json a document: AGE is the time since it was published, SKIPPED how many came between the
frame and the one before, or were there before the first, and are not shown. It waits before the stream is there, and
when the writer has ended or died, which is told on stderr, for the next one. No writer waits for it, also that of a
lossless stream. Ctrl-C ends it, with exit code 0.

A queue cannot be followed: who gets an item takes it from the others. rings counts what is in it.

Examples:

    python -m ndpool follow lab camera/left
    python -m ndpool --json follow lab camera/left --every -n 100 | jq .age_seconds"""


def add(verbs: Verbs) -> None:
    """Adds rings and follow."""
    verbs.add("rings", "list the streams and queues of a pool", _RINGS, _rings)
    p = verbs.add("follow", "show the frames of a stream as they come", _FOLLOW, _follow)
    p.add_argument("path", metavar="PATH", help="name of a stream, which need not be there yet")
    p.add_argument("-e", "--every", action="store_true", help="every frame that is still there, instead of the newest")
    p.add_argument("-n", "--count", type=_count, default=0, help="end after so many frames (default: never)")
    p.add_argument("-t", "--timeout", type=_seconds, metavar="SECONDS", help="fail when no frame comes for so long")


def _count(text: str) -> int:
    if (n := int(text)) < 1:
        raise ValueError
    return n


def _seconds(text: str) -> float:
    if not (s := float(text)) > 0:
        raise ValueError
    return s


# ---- rings


def _rings(args: Args) -> None:
    found = rings(Pool.peek(args.name, dir=args.dir))
    titles = ("NAME", "KIND", ">ITEMS", ">LIMIT", ">PUT", "WRITER", "READERS", ">NEWEST", ">BYTES", "FLAGS")
    empty = f"no streams or queues in {clean(args.name)}"
    result = {"name": args.name, "rings": found}
    emit(args, result, lambda: table(titles, [_row(r) for r in found]) if found else [empty])


def _row(r: Json) -> tuple[Any, ...]:
    title = ",".join(clean(name).replace("\n", "\\n") for name in r["names"]) or r["handle"]
    readers = "-" if not r["lossless"] else f"{r['readers']}, {r['behind']} behind" if r["readers"] else "0"
    newest = "-" if r["age_seconds"] is None else age(r["age_seconds"])
    flags = "lossless" if r["lossless"] else "shut" if r["shut"] else "-"
    counts = (r["items"], r["limit"], r["put"])
    return (cut(title, 48), r["kind"], *counts, _writer(r), readers, newest, human(r["bytes"]), flags)


def _writer(r: Json) -> str:
    state, writer = r.get("writer_state", "none"), r["writer"]
    if state == "none":
        return "-"
    if writer is None:
        return str(state)
    return f"{writer['pid']} {clean(writer['command'])}{' died' if state == 'died' else ''}"


# ---- follow


def _follow(args: Args) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with Pool.open(args.name, **options(args)) as pool, pool.reader(args.path) as reader:
            _tell_if_missing(pool, args.path)
            _show(args, reader)
    except KeyboardInterrupt:
        pass  # how it ends
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_if_missing(pool: Pool, path: str) -> None:
    try:
        pool.entries(path)
    except NoNameError:
        note(f"there is no stream {path} yet")


def _show(args: Args, reader: Any) -> None:
    n = 0
    while not args.count or n < args.count:
        try:
            with reader.next(args.timeout) if args.every else reader.latest(args.timeout) as frame:
                found = _frame(frame)
                line = None if args.json else _line(found, frame.array.dtype)
        except StreamEnded as e:
            how = "died" if isinstance(e, WriterDied) else "has ended"
            note(f"the writer of {args.path} {how}; waiting for another one")
            continue
        except WaitTimeoutError:
            note(f"follow {args.path}: no frame came for {args.timeout:g} s")
            raise Fault from None
        if line is not None and n == 0:
            print(_TITLES)
        print(json_text(found) if line is None else line, flush=True)
        n += 1


def _frame(f: Any) -> Json:
    """Describes a frame as the Go command does."""
    record, wall = encode(f.array.dtype)[1], f.wall / 1e9
    return {
        "sequence": f.sequence,
        "skipped": f.skipped,
        "age_seconds": round(max(time() - wall, 0), 6),
        "wall": datetime.fromtimestamp(wall).astimezone().isoformat(),
        "monotonic_seconds": f.monotonic / 1e9,
        "dtype": record.decode() if record else f.array.dtype.str,
        "shape": list(f.array.shape),
        "bytes": f.array.nbytes,
        "attributes": dict(f.attributes),
    }


def _columns(*cells: Any) -> str:
    return "{:>10}  {:>8}  {:>8}  {:<12}  {:<16}  {:>9}  {}".format(*cells)


_TITLES: Final = _columns("SEQUENCE", "SKIPPED", "AGE", "DTYPE", "SHAPE", "BYTES", "ATTRIBUTES")


def _line(f: Json, dtype: Any) -> str:
    attrs = cut(clean(json.dumps(f["attributes"], ensure_ascii=False)), 96) if f["attributes"] else "-"
    since = seconds(f["age_seconds"])
    when = age(since) if since >= 0.001 else f"{f['age_seconds'] * 1e6:.0f}µs"
    what = (cut(type_text(dtype), 32), shape_text(f["shape"]), human(f["bytes"]))
    return _columns(f["sequence"], f["skipped"], when, *what, attrs)
