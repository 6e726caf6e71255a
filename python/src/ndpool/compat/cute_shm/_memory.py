"""The memory of one array, with the interface of multiprocessing's."""

from __future__ import annotations

import errno
from multiprocessing import shared_memory
from typing import Any, Self

from ..._create import Array
from ..._pool import Pool
from ...errors import GroupError, NoNameError, NotExistError, PathError, VersionError
from . import _projects

__all__ = ["SharedMemory"]


class SharedMemory(shared_memory.SharedMemory):
    """The memory of an array of a project: what meta["shm"] is.

    It is one reference to the array. Closing or dropping it never hurts the array, nor another one. isinstance says that it
    is multiprocessing's SharedMemory, but it has no file of its own, and no resource tracker knows it."""

    _array: Array | None

    def __init__(self, name: str) -> None:
        """Finds the memory of that name, as meta["shm_name"] has it. Raises FileNotFoundError if it is gone."""
        self._name, self._array = name, None
        pool, path, version = _parse(name)
        try:
            item = pool.item(path)
        except (NoNameError, PathError):
            raise _gone(name) from None
        if item.version != version or item.array is None:
            raise _gone(name)
        self._array = item.array

    @classmethod
    def _of(cls, name: str, array: Array) -> Self:
        made = cls.__new__(cls)
        made._name, made._array = name, array
        return made

    @property
    def name(self) -> str:
        """The name, as meta["shm_name"] has it."""
        return self._name

    @property
    def size(self) -> int:
        """Bytes."""
        return 0 if self._array is None else self._array.nbytes

    @property
    def buf(self) -> memoryview:
        """The bytes of the array. None after close(), as with the original."""
        if self._array is None:
            return None  # type: ignore[return-value]
        return memoryview(self._array.base).cast("B")  # type: ignore[arg-type]

    def close(self) -> None:
        """Lets go of the array. Closing twice is harmless; views that were taken stay valid."""
        self._array = None

    def unlink(self) -> None:
        """Removes the array from its project. Who has it keeps it. Raises FileNotFoundError if that was done before."""
        pool, path, version = _parse(self._name)
        try:
            pool._core.remove(path, False, version)
        except (NoNameError, VersionError, GroupError):
            raise _gone(self._name) from None

    def __del__(self) -> None:
        """Nothing: the reference ends by itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedMemory, (self._name,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, size={self.size})"


def _parse(name: str) -> tuple[Pool, str, int]:
    """Returns pool, path and version of a name. Raises FileNotFoundError for what is none of the pool in use."""
    where, _, rest = name.removeprefix("/").partition("/")
    path, _, version = rest.rpartition("@")
    try:
        pool = _projects.find_pool()
    except NotExistError:
        raise _gone(name) from None
    if pool.name != where or not version.isdecimal():
        raise _gone(name)
    return pool, path, int(version)


def _gone(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "no such shared memory", name)
