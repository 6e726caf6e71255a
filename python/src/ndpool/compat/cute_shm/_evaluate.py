"""What sharing saves: the arrays of a file in shared memory, against copies that each process has read for itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ..._evaluate import Source
from ..._evaluate import evaluate as measure
from ..._text import clean, table
from . import _projects, bytes_to_human, hdf5_size, unlinked_hdf5_to_shm
from ._trees import to_name

__all__ = ["evaluate"]

PROCESSES: Final = (1, 5, 10, 15)
PER_SECOND: Final = 5000  #: iterations that a measurement of one second stands for


def evaluate(file: Path, project: str, iterations: int) -> list[str]:
    """Returns a table of rates and memory, by the number of processes. The project is there meanwhile."""
    if iterations < 1:
        raise ValueError(f"evaluate: iterations: got {iterations} (at least 1)")
    size = hdf5_size(file)
    with unlinked_hdf5_to_shm(file, project, progress=True, overwrite=True):
        pool = _projects.find_pool()
        source = Source(pool.name, pool.dir, to_name(project), str(file.resolve()))
        runs = measure(source, size, PROCESSES, iterations / PER_SECOND, _tell)
    found = {(run.processes, run.shared): run for run in runs}
    rows = []
    for n in PROCESSES:
        shared, private = found[n, True], found[n, False]
        texts = (f"{shared.rate / n:.2f}", private.skipped or f"{private.rate / n:.2f}")
        rows.append((n, *texts, bytes_to_human(shared.memory), bytes_to_human(private.memory)))
    titles = ["Processes", ">Rate (shared)", ">Rate (private)", ">RAM (shared)", ">RAM (private)"]
    title = f"{clean(file.name)}, {bytes_to_human(size)}: reads of 4 KiB per second and process, memory of all processes"
    return [title, *table(titles, rows)]


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
