"""The frame exchange over POSIX shared memory and a semaphore, on ndpool: the same classes, with the import changed.

    from ndpool.compat.frames import SharedMemoryFrameReader, SharedMemoryFrameWriter

A writer adds frames under a name; readers in any processes get the newest one. What differs, because it was a defect there:
a frame that a reader has got stays whole while the writer goes on; frames have any dtype, shape and size, and may change
them; a process that is killed blocks nobody, and the next writer goes on; nobody polls, also not a reader that comes before
the writer; nothing is left when the last process has ended. Readers know what they have seen and what they have missed.
A frame is read-only: who draws on it makes a copy first.

Frames are in the pool frames-UID, in the directory that NDPOOL_DIR says, or in the pool that is given. Without anything of
the original pool.writer() and pool.reader() do the same, and a library can write straight into a frame there.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Final, Self

import numpy as np

from .. import _default
from .._create import Array
from .._pool import Pool
from .._streams import StreamReader, StreamWriter
from ..errors import StreamEnded

__all__ = ["SharedMemoryFrameReader", "SharedMemoryFrameWriter", "ShmRead", "ShmWrite"]

_GROUP: Final = "frames"  #: of the pool's names, where the streams are

_lock = threading.Lock()
_pools: Final[dict[str, Pool]] = {}  #: by path; open until the process ends. Guarded by the lock


def _after_fork() -> None:
    """The lock may have been held by a thread that the child does not have."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def _find_pool() -> Pool:
    """Returns the pool of this user's frames, made if it is not there."""
    name, where = f"frames-{os.getuid()}", _default.directory()
    with _lock:
        path = os.path.join(where, name)
        if path not in _pools or _pools[path].closed:
            _pools[path] = Pool._quiet(name, dir=where)
        return _pools[path]


def _path(name: str) -> str:
    """Returns the name of a stream. The original's names may begin with a slash, as those of POSIX objects."""
    return f"{_GROUP}/{name.strip('/')}"


class SharedMemoryFrameWriter:
    """Adds frames under a name. One process at a time: raises WriterError if another one that lives does already."""

    def __init__(self, name: str, *, pool: Pool | None = None) -> None:
        self.name = name
        self.count = 0  #: number of the last frame; goes on with the next writer
        self._writer: StreamWriter = (pool or _find_pool()).writer(_path(name))

    def add(self, frame: Array) -> None:
        """Adds a frame, of any shape and dtype. It is copied once, so that the caller may change his at once."""
        given = np.asarray(frame)
        made = self._writer.empty(given.shape, given.dtype)
        made[...] = given
        self.count = self._writer.publish(made)

    def release(self) -> None:
        """Ends the writer, which readers are told. Releasing twice is harmless."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class SharedMemoryFrameReader:
    """Gets the newest frame of a name. Any number of processes may, also before there is a writer."""

    def __init__(self, name: str, *, pool: Pool | None = None) -> None:
        self.name = name
        self.count = 0  #: number of the frame that get returned last
        self.skipped = 0  #: frames that get has missed, all in all
        self._reader: StreamReader = (pool or _find_pool()).reader(_path(name))

    def get(self, *, new: bool = False, timeout: float | None = None) -> Array:
        """Returns the newest frame at once, whether or not it was seen, and waits if there was none yet.

        With new it waits for a frame that was not seen; StreamEnded and WriterDied tell, once, that the writer has
        come to an end, and the next call waits for the next one. Raises WaitTimeoutError."""
        frame = None if new else self._reader.newest()
        while frame is None:
            try:
                frame = self._reader.latest(timeout)
            except StreamEnded:
                if new:
                    raise
        self.count, self.skipped = frame.sequence, self.skipped + frame.skipped
        array: Array = frame.array
        return array

    def release(self) -> None:
        """Ends the reader. Frames that it got stay valid. Releasing twice is harmless."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


# The names in the article about it.
ShmRead = SharedMemoryFrameReader
ShmWrite = SharedMemoryFrameWriter
