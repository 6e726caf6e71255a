"""The ends and the beginnings of processes.

A process leaves its pools at its end by the core, after all Python code. Children of multiprocessing end without
that, so their pools are closed by multiprocessing's own finalizers, the last of them. Nothing is done that could
fault: arrays that are alive then stay mapped, and whoever comes next sees by the kernel that the process is gone.
"""

from __future__ import annotations

import logging
import os
from multiprocessing import parent_process, util
from typing import Final

from . import _arrays, _attach, _default
from ._pool import all_opened
from .errors import NdpoolError

__all__ = ["setup"]

log: Final = logging.getLogger("ndpool")

_LAST: Final = -100  #: after the finalizers of queues and pools of processes, and after children were waited for


def _leave() -> None:
    """Does what the core cannot: removes a file that nobody will look for, and closes pools where Python just stops."""
    _default.remove_if_alone()
    if parent_process() is None:
        return
    for pool in all_opened():
        try:
            pool.close()
        except NdpoolError as e:
            log.debug("%s was not closed: %s", pool.path, e)


def _at_process_end(_: object = None) -> None:
    """Makes multiprocessing call _leave. Its children forget what their parent has registered."""
    util.Finalize(None, _leave, exitpriority=_LAST)


def _after_fork() -> None:
    """In a forked child: locks may be held by threads that are gone, and promises were the parent's."""
    _default.state.after_fork()
    _attach.after_fork()
    _arrays._keepers.clear()
    for pool in all_opened():
        if pool.forked:
            log.warning("fork: the process table of %s was full, this process cannot use the pool", pool.path)


def setup() -> None:
    """Registers for the end of this process and of children. Called once, by the import."""
    _at_process_end()
    util.register_after_fork(_at_process_end, _at_process_end)
    os.register_at_fork(after_in_child=_after_fork)
