"""multiprocessing.shared_memory of the standard library: each array is a segment of its own, which goes by its name.

From Python 3.13 on with track=False, as is advised there for processes that are not of one family.
"""

import platform
import sys
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from peer import Peer

UNTRACKED = sys.version_info >= (3, 13)
OPTIONS: dict[str, Any] = {"track": False} if UNTRACKED else {}


class Segments(Peer):
    name = "multiprocessing.shared_memory" + (", track=False (3.13)" if UNTRACKED else "")
    leaves = ("psm_*",)

    @staticmethod
    def version() -> str:
        return f"Python {platform.python_version()}"

    def __init__(self, place: str, capacity: int, arrays: int) -> None:
        pass

    def pass_on(self) -> None:
        return None

    @classmethod
    def attach(cls, passed: None) -> "Segments":
        return cls("", 0, 0)

    def alloc(self, size: int) -> SharedMemory:
        return SharedMemory(create=True, size=size, **OPTIONS)

    def array(self, item: SharedMemory) -> np.ndarray:
        return np.ndarray(item.size, np.uint8, item.buf)

    def free(self, item: SharedMemory) -> None:
        item.close()
        item.unlink()

    def give(self, item: SharedMemory) -> str:
        return item.name

    def take(self, token: str) -> SharedMemory:
        return SharedMemory(token, **OPTIONS)

    def drop(self, item: SharedMemory) -> None:
        item.close()

    def close(self) -> None:
        pass


PEER = Segments
