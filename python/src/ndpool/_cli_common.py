"""What the verbs of the command share: where results and errors go, and how a verb is told to the parser."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from ._look import Json
from ._options import Options
from ._text import clean, json_text
from .errors import (
    FullError,
    KindError,
    NameTakenError,
    NoNameError,
    NotExistError,
    PathError,
    PoolNameError,
    UncleanError,
    UnsupportedError,
)

__all__ = ["DIR", "FAULT", "INTERRUPTED", "OK", "USAGE", "Fault", "Verbs", "common", "emit", "note", "options", "report"]

OK: Final = 0
FAULT: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

DIR: Final = os.environ.get("NDPOOL_DIR") or "/dev/shm"

Args = argparse.Namespace


class Fault(Exception):
    """Ends a verb that has told what is wrong already."""


def options(args: Args) -> Options:
    """Returns how to open a pool for anything but looking."""
    return {"dir": args.dir, "observer": True, "uids": args.uid, "gids": args.gid}


def emit(args: Args, result: Json, lines: Callable[[], Sequence[str]]) -> None:
    """Writes a result: as JSON if asked to, else as text."""
    if args.json:
        print(json_text(result, 2))
        return
    for line in lines():
        print(line)


def note(text: str) -> None:
    """Writes a line to stderr."""
    print(f"ndpool: {clean(text)}", file=sys.stderr)


def _hint(e: Exception) -> str:
    """Returns what to do about an error, where that is known."""
    if isinstance(e, NotExistError):
        return " (ls lists the pools)"
    if isinstance(e, PoolNameError):
        return "; --dir names another directory"
    if isinstance(e, UncleanError):
        return "; unlink removes it"
    if isinstance(e, NameTakenError):
        return "; --overwrite replaces it, --merge adds to a group"
    if isinstance(e, FullError):
        return "; rm makes room, or a new pool with a larger --capacity"
    if isinstance(e, UnsupportedError):
        return "; --skip leaves that out"
    if isinstance(e, NoNameError):
        return " (names lists them)"
    if isinstance(e, KindError):
        return " (rings tells about streams and queues)"
    return ""


def report(e: Exception, hint: str | None = None) -> int:
    """Writes an error in one line, with a hint or the usual one. Returns the exit code for it."""
    note(" ".join(str(e).split()) + (_hint(e) if hint is None else hint))
    return USAGE if isinstance(e, (PoolNameError, PathError)) else FAULT


# ---- the command line


def common(default: bool) -> argparse.ArgumentParser:
    """Returns the flags that may stand before and after the verb. Those after it have no defaults, which would undo
    what stands before."""
    p = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)

    def value(v: Any) -> Any:
        return v if default else argparse.SUPPRESS

    p.add_argument("-d", "--dir", default=value(DIR), help=f"directory of the pools (default {DIR}; $NDPOOL_DIR)")
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


class Verbs:
    """The verbs of a parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add(
        self, name: str, about: str, more: str, do: Callable[[Args], None], pool: str | None = None
    ) -> argparse.ArgumentParser:
        """Adds a verb. It takes the name of a pool; pool tells what that is without one, if it can be left out."""
        p = self.bare(name, about, more, do)
        p.add_argument("name", help="name of the pool" + (pool or ""), nargs=None if pool is None else "?")
        return p

    def bare(self, name: str, about: str, more: str, do: Callable[[Args], None]) -> argparse.ArgumentParser:
        """Adds a verb without arguments."""
        p = self._verbs.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=more,
            parents=[common(False)],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        p.set_defaults(do=do)
        return p
