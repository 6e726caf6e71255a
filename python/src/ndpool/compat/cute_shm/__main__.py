"""cute-shm's commands: python -m ndpool.compat.cute_shm hdf5|unlink|list|evaluate."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ... import hdf5
from ..._text import clean, table
from ...errors import NotExistError
from . import Project2Toml, _projects, bytes_to_human, hdf5_size, hdf5_to_shm, unlink
from ._types import log

__all__ = ["main"]

OK: Final = 0
FAULT: Final = 1
INTERRUPTED: Final = 130

_ABOUT: Final = """\
The commands of cute-shm: cute-shm-hdf5 is hdf5, and so on. Projects are groups in a pool of this user, which
`python -m ndpool names` shows, too."""

_ENVIRONMENT: Final = """\
NDPOOL_CUTE_SHM_POOL, NDPOOL_CUTE_SHM_CAPACITY and NDPOOL_CUTE_SHM_DIR choose another pool.
Exit codes: 0 done; 1 failed; 2 the command line is wrong; 130 interrupted."""


def _hdf5(args: argparse.Namespace) -> int:
    """Loads a file, to stay."""
    file = Path(args.hdf5_file).resolve()
    with hdf5._h5py().File(file, "r") as f:
        size, count = hdf5_size(f), len(f)
    show = not (args.no_progress or args.verbose)
    index = hdf5_to_shm(file, args.project, progress=show, persistent=True, overwrite=args.overwrite)
    print(f"TOML metadata file: {index}")
    print(f"Datasets transferred: {count}")
    print(f"Total memory size: {bytes_to_human(size)}")
    return OK


def _unlink(args: argparse.Namespace) -> int:
    """Removes a project."""
    unlink(args.project)
    print(f"Project {clean(args.project)!r} is unlinked, and its shared memory free.")
    return OK


def _list(args: argparse.Namespace) -> int:
    """Shows projects, each with its arrays unless short."""
    projects = Project2Toml.list()
    if not projects:
        print("No cute-shm project found.")
        return OK
    found = {project: rows for project in projects if (rows := _rows(project)) is not None}
    sound = _sound()
    if args.short:
        print(*_overview(projects, found, sound), sep="\n")
    else:
        for project, rows in found.items():
            size = bytes_to_human(sum(row[0] for row in rows))
            print(f"Project: {clean(project)} - {clean(str(projects[project]))} - {size}")
            titles = ["Key Path", ">Shape", ">Dtype", ">Size", "Attributes", "Shared Memory Name"]
            print(*("  " + line for line in table(titles, [row[1:] for row in rows])), "", sep="\n")
    if not sound:
        print("Warning: the pool is damaged. `python -m ndpool verify` tells where.")
    return OK


def _overview(projects: dict[str, Path], found: dict[str, list[Any]], sound: bool) -> list[str]:
    rows = [
        (
            clean(project),
            clean(str(projects[project])),
            len(rows),
            bytes_to_human(sum(row[0] for row in rows)),
            "✓" if sound else "✗",
        )
        for project, rows in found.items()
    ]
    return table(["Project Name", "TOML Path", ">Number of arrays", ">Size", "Integrity"], rows)


def _rows(project: str) -> list[tuple[Any, ...]] | None:
    """Returns bytes and columns of each array of a project; None if it has gone meanwhile."""
    rows: list[tuple[Any, ...]] = []

    def note(node: dict[str, Any], above: str) -> None:
        for key, value in node.items():
            path = f"{above}.{key}" if above else key
            if isinstance(value, dict):
                note(value, path)
                continue
            item, name = value
            size, attrs = int(item.array.nbytes), ", ".join(item.attrs)
            text = str(item.array.dtype)
            rows.append((size, clean(path), item.array.shape, text, bytes_to_human(size), clean(attrs), clean(name)))

    try:
        note(_projects.read(project, lambda item, name: (item, name)), "")
    except FileNotFoundError:
        return None
    return rows


def _sound() -> bool:
    """Tells whether the pool keeps all laws of its format: then every name leads to its array."""
    try:
        return _projects.find_pool().verify().clean
    except NotExistError:
        return True


def _evaluate(args: argparse.Namespace) -> int:
    """Compares shared memory with private copies."""
    from ._evaluate import evaluate

    print(*evaluate(Path(args.hdf5_file), args.project_name, args.iterations), sep="\n")
    return OK


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    prog = "python -m ndpool.compat.cute_shm"
    parser = argparse.ArgumentParser(prog=prog, description=_ABOUT, epilog=_ENVIRONMENT, formatter_class=form)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="hdf5|unlink|list|evaluate")

    p = verbs.add_parser("hdf5", help="load an HDF5 file, to stay until it is unlinked")
    p.set_defaults(run=_hdf5)
    p.add_argument("project", help="name of the project to be")
    p.add_argument("hdf5_file", help="path of the file")
    p.add_argument("-no-progress", "--no-progress", action="store_true", help="no progress bar")
    p.add_argument("-v", "--verbose", action="store_true", help="tell what is done, instead of a progress bar")
    p.add_argument("-o", "--overwrite", action="store_true", help="replace the project if it is there")

    p = verbs.add_parser("unlink", help="remove a project")
    p.set_defaults(run=_unlink)
    p.add_argument("project", help="name of the project")
    p.add_argument("-v", "--verbose", action="store_true", help="tell what is done")

    p = verbs.add_parser("list", help="show projects")
    p.set_defaults(run=_list)
    p.add_argument("-s", "-short", "--short", action="store_true", help="one line per project")

    p = verbs.add_parser("evaluate", help="shared memory against private copies, in 1, 5, 10 and 15 processes")
    p.set_defaults(run=_evaluate)
    p.add_argument("hdf5_file", help="path of the file")
    p.add_argument("project_name", help="name of the project that it is loaded as meanwhile; one that is there is replaced")
    p.add_argument("--iterations", type=int, default=5000, help="length of each measurement: 5000, the default, for a second")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Returns its exit code."""
    args = _parser().parse_args(argv)
    verbose = getattr(args, "verbose", False)
    if verbose:
        logging.basicConfig(format="%(asctime)s - %(levelname)s - %(message)s")
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        return 128 + signal.SIGPIPE
    except Exception as e:
        sys.stderr.write(f"Error: {clean(str(e))}\n")
        if verbose:
            traceback.print_exc()
        return FAULT


if __name__ == "__main__":
    sys.exit(main())
