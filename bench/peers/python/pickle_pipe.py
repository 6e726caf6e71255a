"""multiprocessing.Pipe: the array is pickled, goes through the kernel, and the receiver has a copy of its own."""

import platform
from typing import ClassVar

import numpy as np
from private import Private

COPIES = "each message is a copy in private memory"


class PicklePipe(Private):
    name = "pickle, Pipe"
    channel = "pipe"
    lacks: ClassVar = {
        **dict.fromkeys(("pair", "churn", "many", "open", "touch", "memory"), f"{COPIES}; there is nothing to allocate"),
        "recovery": f"{COPIES}, which the kernel takes back",
    }

    @staticmethod
    def version() -> str:
        return f"Python {platform.python_version()}"

    def put(self, source: np.ndarray) -> np.ndarray:
        return source  # sending copies


PEER = PicklePipe
