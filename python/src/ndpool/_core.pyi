"""The C core: pools, blocks, and the two functions that pickling rests on."""

from collections.abc import Callable, Sequence
from typing import Any, Final, final

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
        self, shape: int | Sequence[int], dtype: npt.DTypeLike | None = None, order: str = "C", *, zero: bool = False,
        timeout: float | None = 0.0,
    ) -> np.ndarray[Any, Any]: ...
    def retain(self, handle: int, *, readonly: bool = False) -> np.ndarray[Any, Any]: ...
    def adopt(self, transfer: bytes, *, readonly: bool = False) -> np.ndarray[Any, Any]: ...
    def recall(self, transfer: bytes, /) -> None: ...
    def recall_older(self, age: float, /) -> int: ...
    def refuse(self, sender: int, /) -> int: ...
    def alive(self, process: int, /) -> bool: ...
    # Dicts have the keys of the Go library's JSON. A transfer is 16 bytes, a dtype numpy's, a shape a tuple.
    def stats(self) -> dict[str, int]: ...
    def arrays(self) -> list[dict[str, Any]]: ...
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
