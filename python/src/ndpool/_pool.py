"""Pools."""

from __future__ import annotations

import logging
import os
import sys
import warnings
import weakref
from types import TracebackType
from typing import Any, Final, Self, Unpack, overload

from . import _arrays, _core
from ._create import Array
from ._info import (
    ArrayInfo,
    Fault,
    ProcessInfo,
    Reaped,
    Report,
    RingInfo,
    Stats,
    TransferInfo,
    info,
    process_text,
    ring_infos,
    ring_kinds,
    transfer_info,
)
from ._names import Names
from ._options import Options, core_options
from ._queue import Queue
from ._streams import StreamReader, StreamWriter, number
from .errors import ForeignError, NdpoolError

__all__ = ["Pool", "reap", "unlink"]

log: Final = logging.getLogger("ndpool")


class Pool(Names):
    """An attachment to a pool: a shared-memory segment with arrays of many processes.

    Pool(name) opens the pool of that name, or creates it. create and open insist on one or the other, and anonymous
    makes one without a name. Options are those of ndpool.Options.

    Arrays stay valid after close(), and also when the Pool object is gone: the memory is unmapped with the last of
    them. A Pool may be used from any thread. A forked child may go on using its parent's Pool: it is a process of its
    own in it. A Pool can be pickled; that gives a Pool of the same segment, which stays attached until the process
    ends.
    """

    __slots__ = ("__weakref__", "_core", "_descriptor", "_warn")

    def __init__(self, name: str, **options: Unpack[Options]) -> None:
        """Opens the pool, or creates it. A pool that killed processes left behind is replaced by an empty one,
        unless a persistent name keeps it.

        Raises OptionsError if it exists with other options, PoolNameError, AccessError, FormatError, UncleanError,
        FilesystemError, ProcessesError or NoMemoryError."""
        self._start(_core.Pool(name, "open_or_create", **core_options(options)), warn=True)

    def _start(self, core: _core.Pool, warn: bool) -> None:
        self._core = core
        self._descriptor = -1
        self._warn = warn
        _opened[id(self)] = self

    @classmethod
    def _of(cls, core: _core.Pool, warn: bool) -> Self:
        made = cls.__new__(cls)
        made._start(core, warn)
        return made

    @classmethod
    def _quiet(cls, name: str, **options: Unpack[Options]) -> Self:
        """Opens a pool, or creates it. Nobody is warned if it is never closed."""
        return cls._of(_core.Pool(name, "open_or_create", **core_options(options)), warn=False)

    @classmethod
    def create(cls, name: str, **options: Unpack[Options]) -> Self:
        """Creates a pool. Raises ExistError if the name is taken, and what Pool() raises."""
        return cls._of(_core.Pool(name, "create", **core_options(options)), warn=True)

    @classmethod
    def open(cls, name: str, **options: Unpack[Options]) -> Self:
        """Opens a pool. Raises NotExistError if there is none, and what Pool() raises."""
        return cls._of(_core.Pool(name, "open", **core_options(options)), warn=True)

    @classmethod
    def anonymous(cls, **options: Unpack[Options]) -> Self:
        """Creates a pool without a name, which ends with its last process at the latest and leaves no file.

        Arrays of it can be sent to other processes of this user by multiprocessing while this process lives and has the
        pool open; fileno() is for those that are started with an open file."""
        return cls._of(_core.Pool("", "create", anonymous=True, **core_options(options)), warn=True)

    @classmethod
    def peek(cls, name: str, **options: Unpack[Options]) -> Self:
        """Takes a private copy of a pool's tables, for looking at it without attaching.

        Nothing is locked, swept or written, and the pool lives and ends as if nobody looked. What tells about the
        pool may be called: stats, arrays, rings, processes, tickets, condition, options."""
        made = cls.__new__(cls)
        made._core, made._descriptor, made._warn = _core.Pool(name, "peek", **core_options(options)), -1, False
        return made

    def close(self) -> None:
        """Ends the attachment: no new work begins. Closing twice is harmless, and arrays stay valid.

        The mapping, and what other processes see of this one, stay until the last array of this process is gone. The
        last process that leaves removes the pool, unless it is persistent, a transfer is in flight, or a persistent name
        keeps it."""
        if self._descriptor >= 0 and not self._in_flight():
            os.close(self._descriptor)
            self._descriptor = -1
        self._core.close()

    def _in_flight(self) -> bool:
        try:
            return not self._core.closed and self._core.stats()["transfers"] > 0
        except NdpoolError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is None or core.closed or sys.is_finalizing():
            return
        # Arrays have a reference to the core's pool, which then closes with the last of them.
        if self._warn and sys.getrefcount(core) <= 3:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        if self._core.closed:
            return f"<ndpool.Pool {self._core.path} closed>"
        return f"<ndpool.Pool {self.path} capacity={self.capacity} process={process_text(self.process)}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        from ._attach import reopen

        return reopen, (self.segment, self.address())

    # ---- what it is

    @property
    def closed(self) -> bool:
        """Tells whether close was called."""
        return self._core.closed

    @property
    def forked(self) -> bool:
        """Tells whether this process was forked when the process table was full: it is not attached, and cannot use
        the pool."""
        return self._core.process == 0

    @property
    def path(self) -> str:
        """The path of the pool's file, or a word in angle brackets if it has none."""
        return self._core.path

    @property
    def name(self) -> str:
        """The pool's name, empty if it has none."""
        return "" if self.path.startswith("<") else os.path.basename(self.path)

    @property
    def dir(self) -> str:
        """The directory of the pool's file, empty if it has none."""
        return "" if self.path.startswith("<") else os.path.dirname(self.path)

    @property
    def segment(self) -> bytes:
        """The 16 random bytes that tell this pool from all others, also from those of the same name."""
        return self._core.segment

    @property
    def created(self) -> float:
        """When the pool was created, as time.time() counts."""
        return self._core.created

    @property
    def process(self) -> int:
        """The id of this process in this pool, for send(to=...) of others."""
        return self._core.process

    @property
    def capacity(self) -> int:
        """Bytes for arrays."""
        return int(self._core.options()["capacity"])

    def options(self) -> dict[str, Any]:
        """Returns what the pool was created with, by the names of ndpool.Options."""
        return self._core.options()

    def fileno(self) -> int:
        """Returns a descriptor of the segment's file, which the Pool closes when it is closed.

        A child that inherits it opens the pool by Pool.open("", fd=...)."""
        if self._descriptor < 0:
            self._descriptor = self._core.fileno_dup()
        return self._descriptor

    def address(self) -> str:
        """Returns a path by which other processes can open the pool: that of its file, or of a descriptor of this
        process."""
        path = self._core.path
        return f"/proc/{os.getpid()}/fd/{self.fileno()}" if path.startswith("<") else path

    # ---- arrays

    def owns(self, a: object) -> bool:
        """Tells whether an array, or what an array is based on, lies in this pool."""
        block = _core.block_of(a)
        return block is not None and (block.pool is self._core or block.pool.segment == self._core.segment)

    def _need(self, a: Array) -> Array:
        """Refuses an array of another pool. One in private memory is refused by the core."""
        block = _core.block_of(a)
        if block is not None and block.pool is not self._core and block.pool.segment != self._core.segment:
            raise ForeignError(f"array lies in pool {block.pool.path}, not in {self.path}: copy() brings it there")
        return a

    def handle(self, a: Array) -> int:
        """Returns the handle of the block that an array lies in: a number that others can retain while somebody holds
        it.

        Raises ForeignError for an array of another pool, MismatchError for one in private memory."""
        return _arrays.handle(self._need(a))

    def retain(self, handle: int, *, readonly: bool = False) -> Array:
        """Returns the whole array of a handle, one more reference to it.

        Raises StaleError if it ended, PrivateError if its owner never showed it, ForeignError for a forged handle."""
        return self._core.retain(handle, readonly=readonly)

    def seal(self, a: Array, hash: bool = False) -> Array:
        """Makes an array immutable for everybody, for ever. See ndpool.seal."""
        return _arrays.seal(self._need(a), hash)

    # ---- transfers

    def send(self, a: Array, to: int | None = None) -> bytes:
        """Opens a transfer of an array to one other process, which adopts it once. See ndpool.send."""
        base = getattr(a, "base", None)
        if type(base) is not _core.Block or base.pool is not self._core:  # of views, and of all that is refused
            self._need(a)
        return _arrays.send(a, to)

    def adopt(self, transfer: bytes, *, readonly: bool = False) -> Array:
        """Returns the array of a transfer or a message. A transfer is adopted once.

        Raises SpentError, RecalledError, ExpiredError, ForgedError, NotReceiverError, MessageError, ForeignError."""
        return self._core.adopt(transfer, readonly=readonly)

    @overload
    def recall(self, transfer: bytes) -> int: ...

    @overload
    def recall(self, *, older_than: float) -> int: ...

    def recall(self, transfer: bytes | None = None, *, older_than: float | None = None) -> int:
        """Takes back a transfer, or all that this process opened more than older_than seconds ago. Returns how many.

        Raises SpentError if it was adopted already, NotSenderError if another process sent it."""
        if (transfer is None) == (older_than is None):
            raise TypeError("recall takes a transfer or older_than")
        if transfer is not None:
            self._core.recall(transfer)
            return 1
        return self._core.recall_older(older_than or 0.0)

    def refuse(self, sender: int) -> int:
        """Ends the transfers that a process has directed at this one. Returns how many."""
        return self._core.refuse(sender)

    def alive(self, process: int) -> bool:
        """Tells whether a process is attached and lives, by the lock that the kernel keeps for it."""
        return self._core.alive(process)

    # ---- streams and queues

    def writer(
        self,
        path: str,
        *,
        frames: int | None = None,
        lossless: bool | None = None,
        readers: int | None = None,
        persistent: bool = False,
    ) -> StreamWriter:
        """Becomes the writer of a stream, which is made if it is not there.

        frames: how many of the newest ones it keeps, 2 unless it is said; one that keeps 1 is without it for good if the
        writer is killed while it publishes. lossless: the writer waits for readers that
        were opened with every; readers: how many of those there can be, 64 unless it is said. persistent: the name of the
        stream keeps the pool. A stream that is there is taken as it is if nothing of this is said.

        Raises WriterError if another one writes it and lives, OptionsError if it is another one than asked for,
        KindError if the name is no stream's."""
        core = self._core.writer(path, number("frames", frames), number("readers", readers), bool(lossless), persistent)
        return StreamWriter(core, path)

    def reader(self, path: str, *, every: bool = False, from_now: bool = False) -> StreamReader:
        """Opens a reader of a stream, which need not be there yet.

        every: the writer of a lossless stream waits for this reader while it lives, so that it misses nothing.
        from_now: only frames that are published from now on; else also those that the stream has already.

        Raises TableFullError if there are too many readers that the writer waits for, KindError if the name is no
        stream's."""
        return StreamReader(self._core.reader(path, every, from_now), path)

    def queue(self, path: str | None = None, *, maxsize: int = 0, persistent: bool = False, pickles: bool = True) -> Queue:
        """Opens a queue, or makes one; without a path it has no name. With pickles=False this end of it neither pickles nor
        unpickles. See ndpool.Queue."""
        return Queue(maxsize, path=path, pool=self, persistent=persistent, pickles=pickles)

    # ---- looking inside

    def stats(self) -> Stats:
        """Returns a summary. It takes the pool's lock for a moment."""
        return info(Stats, self._core.stats())

    def arrays(self) -> list[ArrayInfo]:
        """Returns all arrays that are alive, and the blocks that are none: streams, queues, texts of attributes."""
        found = self._core.arrays()
        ring_kinds(found, self._core.rings)
        return [info(ArrayInfo, d) for d in found]

    def rings(self) -> list[RingInfo]:
        """Returns the streams and queues that are alive."""
        return ring_infos(self._core.rings(), self._core.names(""))

    def processes(self) -> list[ProcessInfo]:
        """Returns the process table, living and dead."""
        return [info(ProcessInfo, d) for d in self._core.processes()]

    def tickets(self) -> list[TransferInfo]:
        """Returns the transfers in flight."""
        return [transfer_info(d) for d in self._core.transfers()]

    def condition(self) -> str:
        """Returns "live" (processes are attached), "idle" (nobody is, and it waits for somebody) or "left behind"."""
        return self._core.condition()

    def verify(self, *, content: bool = False) -> Report:
        """Checks every word of the pool against the laws of the format, and with content sealed arrays against their
        hashes.

        It goes on meanwhile, but holds the pool's lock: milliseconds, or seconds for hundreds of GiB."""
        d = dict(self._core.verify(content=content))
        d["faults"] = [info(Fault, f) for f in d["faults"]]
        return info(Report, d)

    # ---- housekeeping

    def reap(self) -> Reaped:
        """Sweeps dead processes and ends transfers whose time is up."""
        return info(Reaped, {"removed": False, **self._core.reap()})

    def trim(self) -> int:
        """Gives the memory behind free space back to the system. Returns the bytes."""
        return self._core.trim()


# All Pools that are alive, by their own number: a process may open a segment twice.
_opened: weakref.WeakValueDictionary[int, Pool] = weakref.WeakValueDictionary()


def opened(segment: bytes) -> Pool | None:
    """Returns a Pool of a segment that this process has open, if any."""
    return next((pool for pool in all_opened() if pool.segment == segment), None)


def all_opened() -> list[Pool]:
    """Returns all Pools that this process has open."""
    pools = [ref() for ref in _opened.valuerefs()]
    return [pool for pool in pools if pool is not None and not pool.closed]


def unlink(name: str, *, dir: str | os.PathLike[str] | None = None) -> None:
    """Removes a pool's name. Processes that are attached go on undisturbed; the memory goes with the last of them.

    Raises NotExistError if there is none, FormatError for a file that is no pool."""
    _core.unlink(name, dir=None if dir is None else os.fspath(dir))


def reap(name: str, *, dir: str | os.PathLike[str] | None = None) -> Reaped:
    """Cleans up after dead processes in a pool, and removes it if nobody is left to keep it."""
    return info(Reaped, _core.reap(name, dir=None if dir is None else os.fspath(dir)))
