"""The interface of pyarraypool, on ndpool: a program written for it works with the import changed.

    from ndpool.compat import pyarraypool

What differs, because it was a defect there: an array sent twice arrives twice, what was modified is sent as it is now,
a received array can be sent on, slices and results of arithmetic can be sent, and nothing leaks when processes die.
Arrays are plain numpy.ndarrays without python_id; isinstance(x, ndarrayproxy) is true for those that lie in a pool.
They go by reference through everything of multiprocessing and concurrent.futures; plain pickle makes a copy, which
can be kept in a file. Errors are those of ndpool.errors.

Functions may be called from any thread. A forked child has its parent's pool; a spawned one finds it by itself.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Final, Self

import numpy as np

from .. import _arrays, _default
from .._create import Array
from .._info import ArrayInfo
from .._options import parse_size
from .._pool import Pool, unlink
from ..errors import (
    ExistError,
    ForeignError,
    FormatError,
    FullError,
    NotExistError,
    SpecError,
    StaleError,
    TableFullError,
    TransferError,
)

__all__ = [
    "FileSystemError",
    "InvalidPythonId",
    "InvalidShmMagicValue",
    "InvalidShmVersion",
    "NoFreeBlocLeft",
    "NoSpaceLeft",
    "ObjectAlreadyExists",
    "ObjectNotFound",
    "PoolAlreadyExists",
    "PoolNotRunning",
    "ShmObjectPool",
    "cleanup_shm",
    "configure_global_pool",
    "get_reusable_pool",
    "make_transferable",
    "ndarrayproxy",
    "object_pool_context",
    "start_pool",
    "stop_pool",
]

log: Final = logging.getLogger("ndpool.compat.pyarraypool")

DEFAULT_LINK_PATH: Final = os.path.join(tempfile.gettempdir(), "pyarraypool.seg")
DEFAULT_SLOT_COUNT: Final = 10_000
DEFAULT_DATA_SIZE: Final = 512 << 20


class PoolAlreadyExists(ExistError):
    """start_pool while the pool runs already."""


class PoolNotRunning(NotExistError):
    """The global pool was not started, and autostart is off."""


class ObjectAlreadyExists(ExistError):
    """add_object with an id that is in use."""


class ObjectNotFound(ForeignError):
    """There is no object with that id."""


class InvalidPythonId(SpecError):
    """An object's id is a number from 1 to 2**64 - 1."""


# What goes wrong inside is told by ndpool's own errors. These names are for except clauses.
NoSpaceLeft = FullError
NoFreeBlocLeft = TableFullError
InvalidShmMagicValue = FormatError
InvalidShmVersion = FormatError
FileSystemError = OSError

MemorySizeType = int | float | str


# ---- arrays


class _ProxyType(type):
    def __instancecheck__(cls, x: object) -> bool:
        return type(x) is np.ndarray and _arrays.is_shared(x)


class ndarrayproxy(np.ndarray[Any, Any], metaclass=_ProxyType):
    """The type of arrays in a pool, for isinstance alone: they are plain arrays."""

    python_id: int = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuses: make_transferable makes arrays that lie in a pool."""
        raise TypeError("ndarrayproxy is for isinstance only; make_transferable makes arrays that lie in a pool")


def make_transferable(arr: Array, *, transfer_required: bool = True) -> Array:
    """Returns the array itself if it lies in a pool, else a copy in the global pool.

    With transfer_required it stays, also if this process forgets it, until it was sent and everybody has let go of
    it, or until this process has ended and the pool's grace is over. Else it ends with its last reference. Raises
    PoolNotRunning, DTypeError for what cannot be shared, FullError, TableFullError."""
    pool = get_reusable_pool().pool
    made = arr if isinstance(arr, ndarrayproxy) else pool.array(arr)
    if transfer_required:
        _arrays.keep(made)
    return made


# ---- the global pool


class _Config:
    """What configure_global_pool said. Guarded by the lock."""

    link_path: str | None = None
    slot_count: int = DEFAULT_SLOT_COUNT
    data_size: int = DEFAULT_DATA_SIZE
    autostart: bool = True
    pool: ShmObjectPool | None = None


_lock = threading.RLock()


def _after_fork() -> None:
    """The lock may have been held by a thread that the child does not have."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def configure_global_pool(
    *,
    link_path: str | os.PathLike[str] | None = None,
    slot_count: int | None = None,
    data_size: MemorySizeType | None = None,
    autostart: bool | None = None,
) -> None:
    """Says what the global pool is to be, before it is started. None leaves a setting as it is.

    link_path tells pools apart: those of one path are one pool. slot_count is how many arrays can be alive at once,
    data_size the bytes for them, also as text with K, M or G. Raises ValueError for a size that is not more than 0."""
    with _lock:
        if data_size is not None:
            _Config.data_size = parse_size(data_size)
        if slot_count is not None:
            if slot_count <= 0:
                raise ValueError(f"slot_count: got {slot_count}, expected more than 0")
            _Config.slot_count = slot_count
        if link_path is not None:
            _Config.link_path = os.fspath(link_path)
        if autostart is not None:
            _Config.autostart = autostart


def start_pool() -> None:
    """Starts the global pool, which is ndpool's default pool from then on.

    A child process that configured nothing gets its parent's. Raises PoolAlreadyExists if it runs, OptionsError if it
    exists with other sizes."""
    with _lock:
        if _running() is not None:
            raise PoolAlreadyExists("start pool: the global pool runs already")
        if _Config.link_path is None and _default.is_inherited():
            pool = _default.default_pool()
        else:
            _default.forget()
            pool = _default.default_pool(_global_name(), capacity=_Config.data_size, arrays=_Config.slot_count)
        _Config.pool = ShmObjectPool._over(pool)
        log.info("Pool attached (data_size: %d bytes, slot_count: %d)", pool.capacity, pool.options()["arrays"])


def stop_pool() -> None:
    """Stops the global pool: no new arrays. Those that are alive stay valid. Harmless if it is not running."""
    with _lock:
        if _running() is not None:
            _default.forget()
        _Config.pool = None
        log.info("Pool detached")


def get_reusable_pool() -> ShmObjectPool:
    """Returns the global pool, started if autostart allows it. Raises PoolNotRunning if not."""
    with _lock:
        pool = _running()
        if pool is not None:
            return pool
        if not _Config.autostart:
            raise PoolNotRunning("the global pool is not running, and autostart is off: call start_pool")
        start_pool()
        assert _Config.pool is not None
        return _Config.pool


def _running() -> ShmObjectPool | None:
    pool = _Config.pool
    return None if pool is None or pool.pool.closed else pool


@contextmanager
def object_pool_context() -> Iterator[None]:
    """Starts the global pool, and stops it at the end."""
    start_pool()
    try:
        yield
    finally:
        stop_pool()


def cleanup_shm() -> None:
    """Removes the name of the global pool. Processes that have it go on. Harmless if there is none."""
    try:
        unlink(_global_name(), dir=_default.directory())
    except NotExistError:
        return
    log.info("Removing SHM segment: %s", _global_name())


def _global_name() -> str:
    return _name_of(_Config.link_path or DEFAULT_LINK_PATH)


def _name_of(link_path: str) -> str:
    """Returns the name of the pool that stands for a link file: its file name and a mark of its whole path."""
    path = os.path.abspath(link_path)
    return f"{os.path.basename(path)[:100]}-{os.getuid()}-{blake2b(os.fsencode(path), digest_size=6).hexdigest()}"


# ---- the pool underneath


class ShmObjectPool:
    """Blocks of bytes by numbers that the callers choose, for programs that used it beside make_transferable.

    Every process finds an object by its number. An object is held by attachments, which each process counts for itself;
    it ends when nobody is attached, but not before it was attached by another process or declared releasable.
    """

    def __init__(
        self,
        *,
        slot_count: int = 5000,
        data_size: MemorySizeType = 524288000,
        path: str | os.PathLike[str] = "pyarraypool.seg",
    ) -> None:
        """Opens the pool of that path, or creates it. Raises OptionsError if it exists with other sizes."""
        self._start(Pool._quiet(_name_of(os.fspath(path)), capacity=parse_size(data_size), arrays=slot_count))

    @classmethod
    def _over(cls, pool: Pool) -> Self:
        made = cls.__new__(cls)
        made._start(pool)
        return made

    def _start(self, pool: Pool) -> None:
        self.pool = pool
        self._lock = threading.RLock()
        self._attached: dict[int, _Attachment] = {}  # of this process; guarded by the lock

    def add_object(self, python_id: int, request_size: int) -> memoryview:
        """Allocates bytes under a number that is not in use, attached once. Returns the memory."""
        if not 0 < python_id < 2**64:
            raise InvalidPythonId(f"add object: id: got {python_id}, expected 1 to {2**64 - 1}")
        with self._lock:
            if self._find(python_id) is not None:
                raise ObjectAlreadyExists(f"add object: id {python_id} is in use")
            made = self.pool.empty(request_size, _dtype_of(python_id))
            self.pool.send(made)  # keeps it; who takes it away again finds it among the tickets
            self._attached[python_id] = _Attachment(made)
            return made.view("u1").data

    def attach_object(self, python_id: int) -> memoryview:
        """Attaches once more. Returns the memory. Raises ObjectNotFound."""
        with self._lock:
            mine = self._attached.get(python_id)
            if mine is None:
                info = self._need(python_id)
                mine = self._attached[python_id] = _Attachment(self._take(info.handle))
                mine.count = 0
            mine.count += 1
            return mine.array.view("u1").data

    def detach_object(self, python_id: int) -> None:
        """Ends one attachment of this process. Raises ObjectNotFound."""
        with self._lock:
            mine = self._attached.get(python_id)
            if mine is None:
                raise ObjectNotFound(f"object {python_id} is not attached in {self.pool.path}")
            mine.count -= 1
            if mine.count == 0:
                del self._attached[python_id]

    def set_object_releasable(self, python_id: int) -> None:
        """From now on the object ends when nobody is attached. Raises ObjectNotFound."""
        with self._lock:
            handle = self._need(python_id).handle
            for ticket in self.pool.tickets():
                if ticket.handle == handle and ticket.sender == self.pool.process:
                    self.pool.recall(ticket.transfer)
            self._take(handle)

    def memview_of(self, python_id: int) -> memoryview | None:
        """Returns the memory of an object, None if there is none of that number. It is valid as long as it is kept."""
        with self._lock:
            mine = self._attached.get(python_id)
            if mine is not None:
                return mine.array.view("u1").data
            info = self._find(python_id)
            try:
                return None if info is None else self.pool.retain(info.handle).view("u1").data
            except StaleError:
                return None

    def dump(self) -> str:
        """Returns a list of what is in the pool, for people."""
        stats = self.pool.stats()
        lines = [f"{self.pool!r}: {stats.arrays} arrays, {stats.held} of {stats.capacity} bytes"]
        lines += [
            f"  {a.handle:016x} {a.dtype} {a.shape} {a.bytes} bytes, "
            f"holders {list(a.holders)}, in transit {a.in_transit}"
            for a in self.pool.arrays()
        ]
        return "\n".join(lines)

    def close(self) -> None:
        """Ends the attachment. Memory in use stays until its last reference is gone."""
        with self._lock:
            self._attached.clear()
        self.pool.close()

    def _find(self, python_id: int) -> ArrayInfo | None:
        """Returns the array that has the number, which its dtype tells."""
        wanted = _dtype_of(python_id)
        return next((a for a in self.pool.arrays() if a.dtype == wanted), None)

    def _need(self, python_id: int) -> ArrayInfo:
        found = self._find(python_id)
        if found is None:
            raise ObjectNotFound(f"there is no object {python_id} in {self.pool.path}")
        return found

    def _take(self, handle: int) -> Array:
        """Returns the array of a handle. The transfer that keeps it ends if it is another process's."""
        for ticket in self.pool.tickets():
            if ticket.handle == handle and ticket.sender != self.pool.process:
                try:
                    return self.pool.adopt(ticket.transfer)
                except TransferError:
                    continue  # somebody was faster
        return self.pool.retain(handle)


class _Attachment:
    """What a process has of an object. Local to the process; guarded by its pool's lock."""

    __slots__ = ("array", "count")

    def __init__(self, array: Array) -> None:
        self.array = array
        self.count = 1


def _dtype_of(python_id: int) -> np.dtype[Any]:
    """Returns single bytes that bear a number."""
    return np.dtype([(f"pyarraypool {python_id}", "u1")])
