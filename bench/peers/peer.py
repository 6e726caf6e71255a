"""What a peer is: one way to get arrays from one process to another, used as its own documents say.

A peer's file in python/ defines one class, PEER, made from Peer; workloads.py measures all of them by the same steps. A peer
that goes its own way in a workload (its own processes, its own channel) defines a class method that yields samples, of the
workload's name, and pass_ for pass:

    @classmethod
    def crowd(cls, place: str, seconds: float, producers: int, consumers: int) -> Iterator[Sample]: ...

What a peer cannot do is said: by lacks, or by raising Cannot with the reason and how far it came. It stands in the results.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

Sample = dict[str, Any]  # {"value": 12.3}, in the unit of the workload, and whatever else is worth keeping


class Cannot(Exception):
    """This peer cannot do it: the text says why, and how far it came."""


class Peer(ABC):
    """One process's end of a peer. The first is made by the process that measures; each other process attaches its own."""

    name: ClassVar[str]  # as in tables and curves: "multiprocessing.shared_memory"
    channel: ClassVar[str] = "pipe"  # what carries tokens: "pipe" (multiprocessing.Pipe) or "queue" (multiprocessing.Queue)
    once: ClassVar[bool] = False  # a token is good for one receiver only: fan-out gives one to each
    pooled: ClassVar[bool] = False  # there is a pool to create and to attach to; else each array is a segment of its own
    recovers: ClassVar[bool] = False  # what a killed process held can be used again; then there is a method recovery, too
    lacks: ClassVar[dict[str, str]] = {}  # workloads it does not have, and why: {"pair": "messages only, no memory of its own"}
    leaves: ClassVar[tuple[str, ...]] = ()  # patterns of what it makes in /dev/shm beside place: ("psm_*",)

    @staticmethod
    @abstractmethod
    def version() -> str:
        """What it is measured in: "1.6.0", or "Python 3.13.0" for the standard library."""

    @abstractmethod
    def __init__(self, place: str, capacity: int, arrays: int) -> None:
        """Makes what the peer needs in the empty directory place (on tmpfs), for so many bytes and arrays that live at once."""

    @abstractmethod
    def pass_on(self) -> Any:
        """What another process needs for attach; can be pickled."""

    @classmethod
    @abstractmethod
    def attach(cls, passed: Any) -> "Peer":
        """The peer in another process."""

    @abstractmethod
    def alloc(self, size: int) -> Any:
        """A new item of size bytes, which this process holds. What array() returns of it can be written."""

    @abstractmethod
    def array(self, item: Any) -> np.ndarray:
        """The item's bytes, uint8, without a copy. Nobody uses the array once the item is freed or dropped."""

    @abstractmethod
    def free(self, item: Any) -> None:
        """This process lets go of an item that it has allocated, and nobody else uses. The caller forgets it right after."""

    def put(self, source: np.ndarray) -> Any:
        """A new item with a copy of private memory, to be given: for peers that have a shorter way than these two steps."""
        item = self.alloc(source.nbytes)
        np.copyto(self.array(item), source)
        return item

    @abstractmethod
    def give(self, item: Any) -> Any:
        """The token that another process takes: what goes through the channel, so it can be pickled."""

    @abstractmethod
    def take(self, token: Any) -> Any:
        """The item in the process that got the token."""

    @abstractmethod
    def drop(self, item: Any) -> None:
        """The receiver lets go of an item; it forgets it right after. The sender still has it, and frees it."""

    def shared_bytes(self) -> int | None:
        """Shared memory taken by all that lives, if the files in place, in leaves and open in this process do not tell."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Ends this process's end; the first one removes everything."""


class Arrays(Peer):
    """A peer whose items and tokens are arrays of numpy, which end with their last reference."""

    def array(self, item: np.ndarray) -> np.ndarray:
        return item

    def free(self, item: np.ndarray) -> None:
        pass

    def give(self, item: np.ndarray) -> np.ndarray:
        return item

    def take(self, token: np.ndarray) -> np.ndarray:
        return token

    def drop(self, item: np.ndarray) -> None:
        pass
