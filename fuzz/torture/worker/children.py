"""What becomes of those whom a worker has forked."""

from __future__ import annotations

import os
import signal

from .faults import Fault


def bury_children() -> None:
    """Wants that those children that have ended have found nothing wrong."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        judge(pid, status)


def await_children() -> None:
    while True:
        try:
            judge(*os.waitpid(-1, 0))
        except ChildProcessError:
            return


def judge(pid: int, status: int) -> None:
    if status not in (0, signal.SIGKILL):
        raise Fault(f"child {pid} ended with status {status}")
