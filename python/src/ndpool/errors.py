"""What can go wrong.

One class per cause, each also a built-in exception that fits, so that code which knows nothing of ndpool can catch it.
All carry their numbers as attributes, None where a number says nothing, and can be pickled with them.
"""

from __future__ import annotations

import errno as _errno
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

if sys.version_info >= (3, 13):
    from queue import ShutDown as _ShutDown
else:

    class _ShutDown(Exception):
        """Stands for queue.ShutDown, which Python has from 3.13 on."""


__all__ = [
    "AccessError",
    "AttributesError",
    "ClosedError",
    "CorruptError",
    "DTypeError",
    "DeadError",
    "DescriptorError",
    "ExistError",
    "ExpiredError",
    "FilesystemError",
    "ForeignError",
    "ForgedError",
    "ForkedError",
    "FormatError",
    "FullError",
    "GroupError",
    "HashError",
    "HeldError",
    "KindError",
    "LockTimeoutError",
    "MessageError",
    "MismatchError",
    "NameTakenError",
    "NdpoolError",
    "NoMemoryError",
    "NoNameError",
    "NotExistError",
    "NotLockedError",
    "NotReceiverError",
    "NotSenderError",
    "OptionsError",
    "PathError",
    "PoolNameError",
    "PrivateError",
    "ProcessesError",
    "RecalledError",
    "SealedError",
    "ShutDown",
    "SpecError",
    "SpentError",
    "StaleError",
    "StreamEnded",
    "SystemCallError",
    "TableFullError",
    "TooLongError",
    "TransferError",
    "UncleanError",
    "UnsupportedError",
    "VersionError",
    "WaitTimeoutError",
    "WriterDied",
    "WriterError",
]

_NUMBERS = ("asked", "free", "largest", "capacity", "held", "limit", "pid", "slot")


class NdpoolError(Exception):
    """Base of all errors of ndpool.

    status names the cause in one word. All sizes are bytes.
    """

    status: ClassVar[str] = "error"
    default_errno: ClassVar[int | None] = None

    message: str
    asked: int | None  #: bytes that were asked for
    free: int | None  #: bytes that are free
    largest: int | None  #: bytes of the largest free extent
    capacity: int | None  #: bytes of the pool, or of the file system
    held: int | None  #: by the process that holds most: bytes, or entries of a table
    limit: int | None  #: entries of the table
    pid: int | None  #: of the process that holds most, or keeps the lock
    slot: int | None  #: of that process

    def __init__(
        self,
        message: str = "",
        *,
        asked: int | None = None,
        free: int | None = None,
        largest: int | None = None,
        capacity: int | None = None,
        held: int | None = None,
        limit: int | None = None,
        pid: int | None = None,
        slot: int | None = None,
        errno: int | None = None,
        filename: str | None = None,
    ) -> None:
        self.message = message
        self.asked, self.free, self.largest, self.capacity = asked, free, largest, capacity
        self.held, self.limit, self.pid, self.slot = held, limit, pid, slot
        code = errno if errno else self.default_errno
        if isinstance(self, OSError):
            OSError.__init__(self, code, message, filename)
        else:
            Exception.__init__(self, message)
            self.errno = code
            self.filename = filename

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        numbers = {name: getattr(self, name) for name in (*_NUMBERS, "errno", "filename")}
        return _restore, (type(self), self.message, numbers), dict(self.__dict__)


def _restore(cls: type[NdpoolError], message: str, numbers: dict[str, Any]) -> NdpoolError:
    return cls(message, **numbers)


class ClosedError(NdpoolError, ValueError):
    """New work on a pool that was closed."""

    status = "closed"


class FullError(NdpoolError, MemoryError):
    """No room for an array: asked, free, largest, capacity, and who holds most (pid, held)."""

    status = "full"


class TableFullError(NdpoolError, MemoryError):
    """A table of fixed size is full: limit, held. The limit was chosen when the pool was created."""

    status = "table-full"


class ProcessesError(TableFullError):
    """The process table is full: as many processes are attached as can be."""

    status = "processes"


class NoMemoryError(NdpoolError, MemoryError):
    """The file system, or this process, has no memory left: asked, free, capacity of the file system."""

    status = "no-memory"
    default_errno = _errno.ENOSPC


class ForeignError(NdpoolError, LookupError):
    """A handle, array or message that is not of this pool."""

    status = "foreign"


class SpecError(NdpoolError, ValueError):
    """A dtype or shape that no array can have."""

    status = "spec"


class DTypeError(NdpoolError, TypeError):
    """An element type that means nothing in another process's memory, such as object."""

    status = "dtype"


class MismatchError(NdpoolError, ValueError):
    """An array is not what the caller takes it for."""

    status = "mismatch"


class CorruptError(NdpoolError, RuntimeError):
    """The segment contradicts its own format. `python -m ndpool verify` tells where."""

    status = "corrupt"


class OptionsError(NdpoolError, ValueError):
    """The pool was created with other options than asked for."""

    status = "options"


class DeadError(NdpoolError, ProcessLookupError):
    """The process is not attached, or not any more."""

    status = "dead"
    default_errno = _errno.ESRCH


class HashError(NdpoolError, ValueError):
    """The content of a sealed array is not what was sealed."""

    status = "hash"


class StaleError(NdpoolError, LookupError):
    """The array of a handle ended, and its memory may be another one's."""

    status = "stale"


class PrivateError(NdpoolError, LookupError):
    """The array of a handle was never shared by its owner."""

    status = "private"


class HeldError(NdpoolError, RuntimeError):
    """seal wants this process to be the only holder, with one reference and no transfer in flight."""

    status = "held"


class SealedError(NdpoolError, RuntimeError):
    """The array is sealed already."""

    status = "sealed"


class TransferError(NdpoolError, LookupError):
    """Base of what is wrong with a transfer."""

    status = "transfer"


class SpentError(TransferError):
    """The transfer was adopted already. A transfer is adopted once."""

    status = "spent"


class ExpiredError(TransferError):
    """The transfer was not adopted in time."""

    status = "expired"


class RecalledError(TransferError):
    """The transfer was taken back by its sender."""

    status = "recalled"


class ForgedError(TransferError):
    """The transfer was never made."""

    status = "forged"


class NotReceiverError(TransferError):
    """The transfer is directed at another process."""

    status = "not-receiver"


class NotSenderError(TransferError):
    """Only the sender can recall a transfer."""

    status = "not-sender"


class ExistError(NdpoolError, FileExistsError):
    """The name is taken."""

    status = "exist"
    default_errno = _errno.EEXIST


class NotExistError(NdpoolError, FileNotFoundError):
    """There is no pool of that name."""

    status = "not-exist"
    default_errno = _errno.ENOENT


class PoolNameError(NdpoolError, ValueError):
    """No file can have that name."""

    status = "name"


class FormatError(NdpoolError, ValueError):
    """The file is no pool of this format."""

    status = "format"


class UncleanError(NdpoolError, RuntimeError):
    """The pool was left by another boot of the machine."""

    status = "unclean"


class AccessError(NdpoolError, PermissionError):
    """The file is somebody else's, or a symbolic link."""

    status = "permission"
    default_errno = _errno.EACCES


class FilesystemError(NdpoolError, OSError):
    """The file system cannot carry a pool."""

    status = "filesystem"
    default_errno = _errno.EOPNOTSUPP


class LockTimeoutError(NdpoolError, TimeoutError):
    """A living process, which may be stopped, does not let go of the pool's lock: pid, slot."""

    status = "lock-timeout"
    default_errno = _errno.ETIMEDOUT


class DescriptorError(NdpoolError, OSError):
    """Somebody closed the descriptor of the segment."""

    status = "descriptor"
    default_errno = _errno.EBADF


class ForkedError(NdpoolError, RuntimeError):
    """This process was forked when the process table was full, and is not attached."""

    status = "forked"


class MessageError(NdpoolError, ValueError):
    """The bytes are no message and no transfer."""

    status = "message"


class WaitTimeoutError(NdpoolError, TimeoutError):
    """Waited as long as was asked for."""

    status = "timeout"
    default_errno = _errno.ETIMEDOUT


class SystemCallError(NdpoolError, OSError):
    """A system call failed: errno."""

    status = "system"


class PathError(NdpoolError, ValueError):
    """No name can be that: a path of components of 1 to 255 bytes, with '/' between them."""

    status = "path"


class NoNameError(NdpoolError, KeyError):
    """The pool has no such name."""

    status = "no-name"


class NameTakenError(NdpoolError, FileExistsError):
    """The pool has that name already. overwrite=True replaces what it stands for."""

    status = "name-taken"
    default_errno = _errno.EEXIST


class GroupError(NdpoolError, TypeError):
    """The name is a group and should be an array's, or the other way round."""

    status = "group"


class VersionError(NdpoolError, RuntimeError):
    """The name has changed meanwhile."""

    status = "version"


class AttributesError(NdpoolError, ValueError):
    """Attributes that cannot be stored: of a type that JSON does not have, or too long. Or what is stored is damaged."""

    status = "attributes"


class NotLockedError(NdpoolError, RuntimeError):
    """The lock of a name is let go by a process that does not have it."""

    status = "not-locked"


class KindError(NdpoolError, TypeError):
    """A stream or queue where an array is wanted, or the other way round. Or a pickle, at a queue's end with pickles=False."""

    status = "kind"


class WriterError(NdpoolError, RuntimeError):
    """Another process writes the stream, and lives: pid, slot."""

    status = "writer"


class StreamEnded(NdpoolError, EOFError):
    """There is no new frame, and the stream's writer has ended. Told once; reading again waits for the next writer."""

    status = "ended"


class WriterDied(StreamEnded):
    """There is no new frame, and the stream's writer has died. Told once; reading again waits for the next writer."""

    status = "writer-died"


class ShutDown(NdpoolError, _ShutDown):
    """The queue was shut down: nothing can be put, and a get finds nothing more. From Python 3.13 on a queue.ShutDown."""

    status = "shut"


class TooLongError(NdpoolError, ValueError):
    """An item takes more entries than the queue has: asked, limit."""

    status = "too-long"


class UnsupportedError(NdpoolError, TypeError):
    """A file, or a tree to be written to one, holds what the other side cannot: items, pairs of path and reason."""

    status = "unsupported"

    items: tuple[tuple[str, str], ...] = ()


def _family(cls: type[NdpoolError]) -> dict[str, type[NdpoolError]]:
    found = {cls.status: cls}
    for sub in cls.__subclasses__():
        found.update(_family(sub))
    return found


_BY_STATUS = _family(NdpoolError)


def make_error(status: str, message: str, numbers: Mapping[str, int]) -> NdpoolError:
    """Returns the exception of a status of the core. A number that is 0 says nothing."""
    known: dict[str, Any] = {name: numbers.get(name) or None for name in _NUMBERS}
    cls = _BY_STATUS.get(status, NdpoolError)
    if issubclass(cls, (FullError, NoMemoryError)):
        known.update({name: numbers.get(name, 0) for name in ("asked", "free", "largest", "capacity", "held")})
    if known["pid"]:
        known["slot"] = numbers.get("slot", 0)
    message = message or (cls.__doc__ or status).splitlines()[0]
    return cls(message, **known, errno=numbers.get("sys_errno") or None)
