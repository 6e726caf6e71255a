"""The command: python -m ndpool. It loads files into pools, looks into pools, checks and cleans them.

The Go command of the same name has more verbs; what both have looks alike, and their JSON has the same names.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from . import _cli_clean, _cli_evaluate, _cli_look, _cli_names, _cli_rings, _core
from ._cli_common import FAULT, INTERRUPTED, OK, USAGE, Fault, Verbs, common, report
from .errors import NdpoolError

__all__ = ["main"]

_ABOUT: Final = """\
Shared-memory pools of numpy arrays: fill them, look into them, check and clean them.

ls, ps, stat and rings look without attaching: they take no slot, wait for no lock, and the pool lives and ends as if
nobody looked."""

_CODES: Final = """\
Exit codes: 0 all is well; 1 faults were found, or the command failed; 2 the command line is wrong; 130 it was
interrupted. Results go to stdout, as one JSON document with --json; errors and notes go to stderr."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m ndpool",
        description=_ABOUT,
        epilog=_CODES,
        parents=[common(True)],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ndpool {_core.VERSION}")
    verbs = Verbs(parser)
    for part in (_cli_look, _cli_names, _cli_rings, _cli_evaluate, _cli_clean):
        part.add(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Does what the command line says, and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        args = _parser().parse_args(arguments)
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else USAGE
    try:
        args.do(args)
        sys.stdout.flush()
    except Fault:
        return FAULT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has enough
        return OK
    except (NdpoolError, OSError, ImportError) as e:
        return report(e)
    return OK
