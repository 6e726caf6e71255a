"""Trees of arrays to shared memory, and back."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..._pool import Pool
from ..._trees import Item
from ...errors import DTypeError
from . import _projects
from ._memory import SharedMemory
from ._trees import from_keys
from ._types import ArrayDict, SharedArray, SharedArrayDict, bytes_to_human, log

__all__ = ["arrays_to_shm", "shm_to_arrays", "unlinked_arrays_to_shm"]


def arrays_to_shm(project: str, arrays: ArrayDict, persistent: bool = False, overwrite: bool = False) -> Path:
    """Copies nested dicts of arrays to shared memory, as a project that other processes find. Returns its index's path.

    The project goes with this process; a persistent one stays until it is unlinked. Raises FileExistsError if there is
    such a project and overwrite is not set, DTypeError for elements that cannot be shared, FullError or NoMemoryError if
    there is no room. Nothing is left then."""
    return _make(project, arrays, persistent, overwrite).path


@contextmanager
def unlinked_arrays_to_shm(project: str, arrays: ArrayDict, overwrite: bool = False) -> Iterator[Path]:
    """Does what arrays_to_shm does, and unlinks the project at the end. Gives the path of the index."""
    with _projects.unlinked(_make(project, arrays, False, overwrite)) as index:
        yield index


def _make(project: str, arrays: ArrayDict, persistent: bool, overwrite: bool) -> _projects.Made:
    def publish(pool: Pool, name: str) -> int:
        tree = None
        try:
            tree = from_keys(arrays, _copy_to(pool))
            return pool.publish(tree, name, overwrite=overwrite, persistent=persistent).version
        except BaseException as e:
            if e.__traceback__ is not None:
                traceback.clear_frames(e.__traceback__.tb_next)  # they refer to blocks, which end now
            raise
        finally:
            del tree

    return _projects.make(project, publish, persistent, overwrite)


def _copy_to(pool: Pool) -> Callable[[Any, str], Any]:
    """Returns what copies an array, in C order: programs make arrays of the bytes and the shape."""

    def copy(value: Any, path: str) -> Any:
        array = np.asarray(value)
        log.debug("transfer %s (%s)", path, bytes_to_human(array.nbytes))
        try:
            return pool.array(array, order="C")
        except DTypeError as e:
            raise DTypeError(f"transfer {path}: {e}") from e

    return copy


def shm_to_arrays(project: str, persistent: bool = True) -> SharedArrayDict:
    """Returns the arrays of a project, which lie in shared memory, with their metadata, as nested dicts.

    All are of one moment, and stay valid as long as they are kept, also if the project is unlinked or replaced. persistent
    makes no difference. Raises FileNotFoundError if there is no such project."""
    return _projects.read(project, _shared)


def _shared(item: Item, name: str) -> SharedArray:
    meta = _projects.meta_of(item, name)
    meta["shm"] = SharedMemory._of(name, item.array)
    return SharedArray(meta=meta, data=item.array)
