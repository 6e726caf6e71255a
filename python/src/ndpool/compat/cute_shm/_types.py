"""What programs pass in and get back."""

from __future__ import annotations

import logging
from multiprocessing import shared_memory
from typing import Any, Final, TypeAlias, TypedDict, Union

import numpy as np

__all__ = ["ArrayDict", "MetaArrayDict", "SharedArray", "SharedArrayDict", "SharedArrayMeta", "bytes_to_human", "log"]

log: Final = logging.getLogger("cute-shm")

_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB", "PB")


class SharedArrayMeta(TypedDict, total=False):
    """What is known of an array beside its elements."""

    shm_name: str  #: tells it from all others: pool, path and version
    shm_private_name: str  #: the same with a slash
    shm: shared_memory.SharedMemory  #: the memory; only in what was read
    shape: tuple[int, ...]
    dtype: str  #: str(data.dtype)
    attrs: dict[str, Any]


class SharedArray(TypedDict):
    """An array as it was read: data lies in shared memory."""

    meta: SharedArrayMeta
    data: np.ndarray[Any, Any]


# Nested dicts of arrays, of their metadata, and of both.
ArrayDict: TypeAlias = dict[str, Union["ArrayDict", np.ndarray[Any, Any]]]
MetaArrayDict: TypeAlias = dict[str, Union[SharedArrayMeta, "MetaArrayDict"]]
SharedArrayDict: TypeAlias = dict[str, Union[SharedArray, "SharedArrayDict"]]


def bytes_to_human(size_bytes: int) -> str:
    """Returns a size in the largest unit that leaves a number of at least 1, with two decimals."""
    if size_bytes < 0:
        return "<unknown>"
    if size_bytes == 0:
        return "0 bytes"
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{round(size, 2)} {_UNITS[unit]}"
