"""cute-shm: a project is a tree of arrays, each of them a segment of its own, and a file that says where they are.

One project for each array, as arrays come and go one by one. Nothing outlives the processes (persistent=False); the projects'
files are in the measurement's place instead of /tmp/cute-shm.
"""

import itertools
import os
from pathlib import Path

import cute_shm
import numpy as np
from peer import Peer

COPIES = "arrays that are there already are copied in: nothing is allocated alone"


class Item:
    def __init__(self, project: str) -> None:
        self.project = project
        self.mapped: cute_shm.SharedArray | None = None


class CuteShm(Peer):
    name = "cute-shm"
    leaves = ("cute-shm.*",)
    lacks = {workload: COPIES for workload in ("pair", "churn", "touch", "open")}  # noqa: RUF012

    @staticmethod
    def version() -> str:
        return cute_shm.__version__

    def __init__(self, place: str, capacity: int = 0, arrays: int = 0) -> None:
        self.place = place
        cute_shm.Project2Toml.root = Path(place)
        self.numbers = itertools.count()
        self.prefix = f"{os.path.basename(place)}-{os.getpid()}-"

    def pass_on(self) -> str:
        return self.place

    @classmethod
    def attach(cls, passed: str) -> "CuteShm":
        return cls(passed)

    def alloc(self, size: int) -> Item:
        return self.put(np.zeros(size, np.uint8))

    def put(self, source: np.ndarray) -> Item:
        project = f"{self.prefix}{next(self.numbers)}"
        cute_shm.arrays_to_shm(project, {"array": source})
        return Item(project)

    def array(self, item: Item) -> np.ndarray:
        if item.mapped is None:
            item.mapped = cute_shm.shm_to_arrays(item.project, persistent=False)["array"]
        return item.mapped["data"]

    def free(self, item: Item) -> None:
        unmap(item)
        cute_shm.unlink(item.project)

    def give(self, item: Item) -> str:
        return item.project

    def take(self, token: str) -> Item:
        item = Item(token)
        self.array(item)
        return item

    def drop(self, item: Item) -> None:
        unmap(item)

    def close(self) -> None:
        """Each project has been unlinked."""


def unmap(item: Item) -> None:
    """First the array, then what it lies in: its documents warn of the other order."""
    if item.mapped is not None:
        del item.mapped["data"]
        item.mapped["meta"]["shm"].close()
        item.mapped = None


PEER = CuteShm
