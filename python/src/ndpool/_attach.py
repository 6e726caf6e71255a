"""Pools that arrays bring with them: a process that receives an array attaches to its pool by itself.

Such pools stay attached until the process ends, since more arrays will come. Nobody gets a warning about them.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Final

from . import _core
from ._options import Options, core_options
from ._pool import Pool, opened
from .errors import ForeignError, NotExistError

__all__ = ["attach", "reopen"]

_attached: Final[dict[bytes, Pool]] = {}
_lock = threading.RLock()  # guards _attached, and that one thread attaches at a time

#: Users and groups whose pools may be opened besides those of this process's user. Set by configure.
trusted: Options = {}


def attach(segment: bytes, path: str) -> _core.Pool:
    """Attaches to the pool of a segment that is not open here. The core calls it; the path comes from the sender."""
    return reopen(segment, path)._core


def reopen(segment: bytes, path: str) -> Pool:
    """Returns the Pool of a segment, attached by a path if it is not open yet.

    Raises NotExistError if it has ended, ForeignError if the path leads to another pool."""
    with _lock:
        pool = opened(segment)
        if pool is None:
            pool = Pool._of(_open(segment, path), warn=False)
            _attached[segment] = pool
        return pool


def find(path: str) -> Pool | None:
    """Returns the pool of that path if an array brought it here."""
    with _lock:
        return next((pool for pool in _attached.values() if pool.path == path and not pool.closed), None)


def _open(segment: bytes, path: str) -> _core.Pool:
    if not path.startswith("/"):
        raise ForeignError(f"the message is of the pool {segment.hex()}, which is not open in this process")
    core = _open_descriptor(path) if path.startswith("/proc/") else _open_name(path)
    if core.segment != segment:
        core.close()
        raise ForeignError(
            f"attach pool {path}: got segment {core.segment.hex()}, expected {segment.hex()}: "
            "the sender's pool was removed, and another one has its name"
        )
    return core


def _open_name(path: str) -> _core.Pool:
    folder, name = os.path.split(path)
    try:
        return _core.Pool(name, "open", **core_options({**trusted, "dir": folder}))
    except NotExistError as e:
        raise NotExistError(f"{e}: the array's pool was removed, or lies on another machine", filename=path) from None


def _open_descriptor(path: str) -> _core.Pool:
    """Attaches by another process's descriptor. The core makes its own, so this one is closed again.

    The descriptor may be another file's by now, and nothing but a segment is to be opened."""
    try:
        if not os.readlink(path).startswith("/memfd:"):
            raise FileNotFoundError(errno.ENOENT, "the descriptor is another file's")
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        raise NotExistError(
            f"attach pool {path}: {e.strerror}: who sends an array of an anonymous pool must live and keep it open",
            filename=path,
        ) from None
    try:
        return _core.Pool("", "open", fd=fd, **core_options(trusted))
    finally:
        os.close(fd)


def address_of(core: _core.Pool) -> str:
    """Returns a path by which other processes can open a pool. If its Pool object is gone it gets another one, which
    stays until the process ends."""
    with _lock:
        pool = opened(core.segment)
        if pool is None:
            pool = _attached[core.segment] = Pool._of(core, warn=False)
        return pool.address()


def after_fork() -> None:
    """The lock may have been held by a thread that the child does not have."""
    global _lock
    _lock = threading.RLock()
