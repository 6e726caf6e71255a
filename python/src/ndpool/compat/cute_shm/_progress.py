"""A progress bar for programs that show one themselves."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from ..._progress import progress

__all__ = ["ShmProgress"]

PERIOD: Final = 0.1  #: seconds


class ShmProgress:
    """Shows how much shared memory this process has come to use, as a part of what it will, if stderr is a terminal.

    total_bytes is what will be transferred. start() and stop() may be called by any thread, stop() more than once. As a
    context manager it does both."""

    def __init__(self, total_bytes: int) -> None:
        self._left = total_bytes
        self._bar = progress("transfer", total_bytes, None)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to count from now on."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, args=(_shared(),), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the bar."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()

    def _run(self, seen: int) -> None:
        """Only this thread uses the bar. Whatever else makes memory grow, there is no more than all."""
        with self._bar as bar:
            last = False
            while not last:
                last = self._stop.wait(PERIOD)
                now = max(_shared(), seen)
                step = min(now - seen, self._left)
                bar.add(step)
                seen, self._left = now, self._left - step

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _shared() -> int:
    """Returns the bytes of shared memory that this process has touched."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as f:
        found = next((line for line in f if line.startswith("RssShmem:")), "RssShmem: 0 kB")
    return int(found.split()[1]) * 1024
