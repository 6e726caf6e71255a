"""joblib: arrays are files that every process maps.

As its "Manual management of memmapped input data" says: dump() into a file of shared memory, load(mmap_mode="r") where the
array is wanted, and np.memmap(mode="w+") for memory to be written. Parallel does the same for arrays over 1 MB by itself.
"""

import itertools
import os
import uuid
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
from peer import Peer


class JoblibMemmap(Peer):
    name = "joblib memmap"

    @staticmethod
    def version() -> str:
        return joblib.__version__

    def __init__(self, place: str, capacity: int = 0, arrays: int = 0) -> None:
        self.place = place
        self.paths: Iterator[str] = map(f"{place}/{uuid.uuid4().hex}-{{}}".format, itertools.count())

    def pass_on(self) -> str:
        return self.place

    @classmethod
    def attach(cls, passed: str) -> "JoblibMemmap":
        return cls(passed)

    def alloc(self, size: int) -> dict[str, Any]:
        path = next(self.paths)
        return {"path": path, "dumped": False, "array": np.memmap(path, dtype=np.uint8, shape=(size,), mode="w+")}

    def put(self, source: np.ndarray) -> dict[str, Any]:
        path = next(self.paths)
        joblib.dump(source, path)
        return {"path": path, "dumped": True}

    def array(self, item: dict[str, Any]) -> np.ndarray:
        if "array" not in item:
            item["array"] = joblib.load(item["path"], mmap_mode="r")
        return item["array"]

    def free(self, item: dict[str, Any]) -> None:
        os.unlink(item["path"])

    def give(self, item: dict[str, Any]) -> tuple[str, bool]:
        return item["path"], item["dumped"]

    def take(self, token: tuple[str, bool]) -> dict[str, Any]:
        path, dumped = token
        array = joblib.load(path, mmap_mode="r") if dumped else np.memmap(path, dtype=np.uint8, mode="r")
        return {"path": path, "array": array}

    def drop(self, item: dict[str, Any]) -> None:
        item.clear()

    def close(self) -> None:
        """Nothing but files: whoever made the place removes it."""


PEER = JoblibMemmap
