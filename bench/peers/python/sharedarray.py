"""SharedArray: each array is a POSIX shared memory object with a name; create, attach and delete."""

import contextlib
import itertools
import os
from importlib.metadata import version

import numpy as np
import SharedArray
from peer import Peer


class Item:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array


class Shared(Peer):
    name = "SharedArray"
    leaves = ("ndpool-peers-sharedarray-*",)

    @staticmethod
    def version() -> str:
        return version("SharedArray")

    def __init__(self, place: str, capacity: int = 0, arrays: int = 0) -> None:
        self.place = place
        self.numbers = itertools.count()
        self.prefix = f"shm://ndpool-peers-sharedarray-{os.getpid()}-"

    def pass_on(self) -> str:
        return self.place

    @classmethod
    def attach(cls, passed: str) -> "Shared":
        return cls(passed)

    def alloc(self, size: int) -> Item:
        name = f"{self.prefix}{next(self.numbers)}"
        try:
            return Item(name, SharedArray.create(name, size, dtype=np.uint8))
        except OSError:  # it leaves the file of an array that it could not map
            with contextlib.suppress(OSError):
                os.unlink(name.replace("shm://", "/dev/shm/"))
            raise

    def array(self, item: Item) -> np.ndarray:
        return item.array

    def free(self, item: Item) -> None:
        del item.array  # first, as delete() maps the array once more: with no map to be had there would be no way back
        SharedArray.delete(item.name)

    def give(self, item: Item) -> str:
        return item.name

    def take(self, token: str) -> Item:
        return Item(token, SharedArray.attach(token, ro=True))

    def drop(self, item: Item) -> None:
        del item.array

    def close(self) -> None:
        """Nothing is kept here: each array has its own name, and has been deleted."""


PEER = Shared
