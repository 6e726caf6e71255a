"""torch.multiprocessing: tensors in shared memory, one descriptor each, that the channel passes on.

That is the strategy "file_descriptor", Linux's default.

share_memory_() moves a tensor into shared memory, so memory alone is an uninitialised tensor that is moved. Any channel of
multiprocessing carries tensors once torch.multiprocessing is imported; the sender keeps a tensor until the receiver is done.
"""

from typing import Any

import numpy as np
import torch
import torch.multiprocessing
from peer import Peer


class TorchMultiprocessing(Peer):
    name = "torch.multiprocessing"
    channel = "queue"
    leaves = ("torch_*",)
    lacks = {"open": "a tensor is shared by copying it, and attached by receiving it: see pass"}  # noqa: RUF012

    @staticmethod
    def version() -> str:
        return torch.__version__

    def __init__(self, place: str = "", capacity: int = 0, arrays: int = 0) -> None:
        torch.multiprocessing.set_sharing_strategy("file_descriptor")
        torch.set_num_threads(1)

    def pass_on(self) -> None:
        return None

    @classmethod
    def attach(cls, passed: Any) -> "TorchMultiprocessing":
        return cls()

    def alloc(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8).share_memory_()

    def put(self, source: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(source).share_memory_()

    def array(self, item: torch.Tensor) -> np.ndarray:
        return item.numpy()

    def free(self, item: torch.Tensor) -> None:
        """Its memory goes with the last process's tensor."""

    def give(self, item: torch.Tensor) -> torch.Tensor:
        return item

    def take(self, token: torch.Tensor) -> torch.Tensor:
        return token

    def drop(self, item: torch.Tensor) -> None:
        """The tensor is unmapped when it is forgotten."""

    def close(self) -> None:
        """Nothing is kept here."""


PEER = TorchMultiprocessing
