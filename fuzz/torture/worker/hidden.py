"""What the torture needs of ndpool, and the package has only for itself.

A worker puts an array in another form where it may, so it asks which is in the form that is stored. It sends queues as it does
arrays, through its parent as text; the package sends them in pickles of multiprocessing alone. And it wants the long form of a
transfer also for an array that does not need it.
"""

from __future__ import annotations

import numpy as np

import ndpool
from ndpool import _core


def is_whole(a: np.ndarray) -> bool:
    """Whether an array has all of its block, in the form that is stored."""
    return _core.is_whole(a)


def message(a: np.ndarray) -> bytes:
    """Opens a transfer to anybody, and returns it in the long form, which names the segment."""
    return _core.message(a)


def send_queue(q: ndpool.Queue) -> bytes:
    """Opens a transfer of a queue."""
    return q._core.send()


def adopt_queue(pool: ndpool.Pool, t: bytes) -> ndpool.Queue:
    """Adopts a transfer of a queue, as a pickle of one does."""
    return ndpool.Queue._of(pool._core.adopt_queue(t), None, True)
