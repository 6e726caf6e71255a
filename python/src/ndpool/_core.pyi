"""The C core: pools, blocks, and the two functions that pickling rests on."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

VERSION: Final[str]

@final
class Block:
    """One reference of this process to a block: the .base of every pool array. Ends with the object.

    Exports its bytes by the buffer protocol, writable unless the block was taken read-only or is sealed. Weakly
    referenceable. Cannot be made, copied or pickled by Python code."""

    @property
    def pool(self) -> Pool: ...
    @property
    def handle(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def readonly(self) -> bool: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class NameLock:
    """The lock of a name, for data that is updated: for one writer, or, by shared, for any number of readers.

    It belongs to the process, and any of its threads may let go; threads exclude each other as processes do. It guards the
    data only: names are published and looked up without it. If a writer dies, the next one gets it and is told: torn. A
    waiting writer keeps new readers out. A removed name's lock ends with it: who waits gets NoNameError.

    A forked child does not have its parent's locks."""

    @property
    def name(self) -> str: ...
    @property
    def torn(self) -> bool:
        """Whether a writer died within and none has let go since, as it was when this object last got the lock: the data
        may be half-written."""

    @property
    def shared(self) -> NameLock:
        """The readers' side, with the same methods."""

    def acquire(self, timeout: float | None = None) -> bool:
        """Waits for the lock, for ever or so many seconds, and tells whether it got it. Ctrl-C ends the wait.

        Raises RuntimeError if this thread has the lock already and would wait for itself for ever, NoNameError if the
        name is gone."""

    def release(self) -> None:
        """Lets go. Raises NotLockedError if this process does not have it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

# timeout is in seconds, None: for ever. Any thread may close an end of a stream, or a queue, also while others are inside.

@final
class Writer:
    """The writer of a stream. Any thread may use it; they take turns."""

    @property
    def pool(self) -> Pool: ...
    @property
    def closed(self) -> bool: ...
    def await_readers(self, n: int, timeout: float | None, /) -> None:
        """Waits until n readers are entered."""

    def publish(self, array: object, attributes: bytes | None, timeout: float | None, /) -> int | None:
        """Seals and publishes a whole array of the same Pool, and returns its sequence. None if it is no such array."""

    def close(self) -> None: ...

_Frame = tuple[np.ndarray[Any, Any], int, int, int, int, bytes | None]

@final
class Reader:
    """A reader of a stream. Any thread may use it; they take turns.

    A frame is its array, sequence, skipped, monotonic and wall time in nanoseconds, and the attributes' text."""

    @property
    def pool(self) -> Pool: ...
    @property
    def closed(self) -> bool: ...
    def latest(self, timeout: float | None, /) -> _Frame: ...
    def next(self, timeout: float | None, /) -> _Frame: ...
    def newest(self) -> _Frame | None: ...
    def close(self) -> None: ...

@final
class Queue:
    """This process's hold on a queue. Any thread may use it, and any number at once.

    An entry is a Block or a whole array of the same Pool, or bytes, which are copied into it. Its kind is as in ndpool.h: 1 an
    array, 2 bytes, 3 a pickle, 0 what belongs to the entry before. An item that was got is a tuple of its kind, an
    array, bytes, or the Block of a pickle, and the arrays that belong to it; or of 0 and an exception."""

    @property
    def pool(self) -> Pool: ...
    @property
    def closed(self) -> bool: ...
    def put(self, entries: tuple[object, ...], kinds: bytes, timeout: float | None, /) -> int | None:
        """Puts items, and returns how many entries were put in time. None if an array must be copied into the pool first."""

    def put_back(self, entries: tuple[object, ...], kinds: bytes, timeout: float | None, /) -> int | None:
        """Puts one item before all others."""

    def get(self, items: int, timeout: float | None, /) -> list[tuple[Any, ...]] | None:
        """Gets up to so many items, at least one. None if there was none in time."""

    def look(self) -> tuple[int, int, int, bool]:
        """Items, entries, the limit of entries, and whether it was shut down."""

    def shut(self) -> None: ...
    def send(self) -> bytes: ...
    def close(self) -> None: ...

@disjoint_base
class Pool:
    """One attachment to a pool. how is "create", "open", "open_or_create" or "peek". Sizes are bytes, times seconds.

    The first Pool of a segment that is open is the one that rebuild uses."""

    def __new__(
        cls, name: str, how: str, /, *, capacity: int = 0, arrays: int = 0, processes: int = 0, tickets: int = 0,
        names: int = 0, mode: int = 0, grace: float = 0.0, lock_wait: float = 0.0, persistent: bool = False,
        reserve: bool = False, huge_pages: bool = False, dir: str | None = None, fd: int = -1, anonymous: bool = False,
        prefault: bool = False, observer: bool = False, uids: Sequence[int] = (), gids: Sequence[int] = (),
    ) -> Pool: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def path(self) -> str: ...
    @property
    def segment(self) -> bytes: ...
    @property
    def created(self) -> float: ...
    @property
    def process(self) -> int: ...
    def options(self) -> dict[str, Any]: ...
    def fileno_dup(self) -> int: ...
    def empty(
        self, shape: int | Sequence[int], dtype: npt.DTypeLike | None = None, order: str = "C", zero: bool = False,
        timeout: float | None = 0.0,
    ) -> np.ndarray[Any, Any]: ...
    def retain(self, handle: int, *, readonly: bool = False) -> np.ndarray[Any, Any]: ...
    def adopt(self, transfer: bytes, *, readonly: bool = False) -> np.ndarray[Any, Any]: ...
    def recall(self, transfer: bytes, /) -> None: ...
    def recall_older(self, age: float, /) -> int: ...
    def refuse(self, sender: int, /) -> int: ...
    def alive(self, process: int, /) -> bool: ...
    # Names. Attributes are JSON text. An array is None for a group.
    def lookup(self, name: str, readonly: bool = False, /) -> np.ndarray[Any, Any]: ...
    def lookup_item(
        self, name: str, readonly: bool = False, /
    ) -> tuple[np.ndarray[Any, Any] | None, bytes | None, int]: ...
    def lookup_tree(
        self, prefix: str, readonly: bool = False, /
    ) -> list[tuple[str, np.ndarray[Any, Any] | None, bytes | None, int]]:
        """Path below the prefix, array, attributes and version of all names in a group; the group itself has path ""."""

    def name_attributes(self, name: str, /) -> tuple[bytes | None, int]: ...
    def has(self, name: str, /) -> bool: ...
    def paths(self, prefix: str, /) -> list[str]:
        """Paths of the arrays in a group, sorted; of an array its own."""

    def names(self, prefix: str, /) -> list[dict[str, Any]]: ...
    def publish(
        self, prefix: str, items: Sequence[tuple[str, np.ndarray[Any, Any] | None, bytes | None]], mode: str,
        persistent: bool, done: list[int], /,
    ) -> None:
        """Publishes paths below the prefix, whole arrays of this very Pool, and attributes, at once, and appends the
        version to done. mode is "new", "overwrite" or "merge"."""

    def set_attributes(self, name: str, attributes: bytes | None, version: int = 0, /) -> int:
        """The new version. Raises VersionError if the name has another one than given."""

    def remove(self, name: str, tree: bool = False, version: int = 0, /) -> int: ...
    def lock(self, name: str, /) -> NameLock: ...
    def writer(self, name: str, frames: int, readers: int, lossless: bool, persistent: bool, /) -> Writer:
        """Becomes the writer of a stream. Numbers are 0 for what is there, or the defaults."""

    def reader(self, name: str, every: bool, from_now: bool, /) -> Reader: ...
    def queue(self, name: str | None, entries: int, persistent: bool, /) -> Queue: ...
    def adopt_queue(self, transfer: bytes, /) -> Queue: ...
    # Dicts have the keys of the Go library's JSON. A transfer is 16 bytes, a dtype numpy's, a shape a tuple.
    def stats(self) -> dict[str, int]: ...
    def arrays(self) -> list[dict[str, Any]]: ...
    def rings(self) -> list[dict[str, Any]]: ...
    def processes(self) -> list[dict[str, Any]]: ...
    def transfers(self) -> list[dict[str, Any]]: ...
    def condition(self) -> str:
        """The pool as a whole, as Go's names have it: live, idle or left behind."""

    def verify(self, *, content: bool = False) -> dict[str, Any]:
        """faults, a list of dicts with law, place, expected and found; more, the number of faults beyond the first 1000;
        quiet, indexes, arrays, and took in seconds."""

    def reap(self) -> dict[str, Any]: ...
    def trim(self) -> int: ...

def block_of(array: object, /) -> Block | None:
    """The block that an array, or anything that has one at the end of its .base chain, lies in; None for private memory."""

def handle(array: np.ndarray[Any, Any], /) -> int:
    """The handle of the array's block, which others can retain from now on."""

def is_sealed(array: np.ndarray[Any, Any], /) -> bool: ...
def is_private(array: np.ndarray[Any, Any], /) -> bool: ...
def is_whole(array: object, /) -> bool:
    """Whether an object is an array that has all of a block, in the form that it is stored in."""

def check_hash(array: np.ndarray[Any, Any], /) -> None: ...
def send(array: np.ndarray[Any, Any], to: int = 0, /) -> bytes:
    """16 bytes for a whole array, a message of 40 or more for a view."""

def message(array: np.ndarray[Any, Any], to: int = 0, /) -> bytes:
    """Like send, always in the long form, which carries the segment's id."""

def seal(array: np.ndarray[Any, Any], /, hash: bool = False) -> np.ndarray[Any, Any]:
    """Seals the block and returns the read-only array that takes the place of the one given, which still leads to writable
    memory: it must not be used any more, nor anything made from it. The array must cover the whole block."""

def reduce(array: np.ndarray[Any, Any], /) -> tuple[Any, ...] | None:
    """What a pickler of multiprocessing needs to send a pool array by reference: (rebuild, (message, path)). None for all that
    has to go by value: private memory, subclasses, dtypes with metadata or without a code, arrays of a closed pool."""

def rebuild(message: bytes, path: str, /) -> np.ndarray[Any, Any]:
    """Adopts what reduce sent, in the pool of that segment if this process has it open, else by the attach hook."""

def unlink(name: str, *, dir: str | None = None) -> None: ...
def reap(name: str, *, dir: str | None = None) -> dict[str, Any]: ...
def at_exit() -> None:
    """Leaves all pools now, whatever is held: for the very end of a process."""

def set_hooks(
    *, error: Callable[[str, str, dict[str, int]], Exception], attach: Callable[[bytes, str], Pool],
    encode: Callable[[np.dtype[Any]], tuple[int, bytes]], decode: Callable[[int, bytes], np.dtype[Any]],
) -> None:
    """Tells the core whom to ask. error makes an exception of a status' name, a message and numbers; attach gives the
    pool of a segment that is not open here; encode gives a dtype's code and record, decode the dtype of them."""
