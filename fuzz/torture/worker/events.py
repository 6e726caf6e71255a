"""The last operations: see work_events.go."""

from __future__ import annotations

import errno
import mmap
import os
import threading


class Events:
    """The last operations, in a file that survives a death."""

    COUNT, SIZE = 200, 96

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.map: mmap.mmap | None = None
        self.n = 0
        if not path:
            return
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < self.COUNT * self.SIZE:
                os.pwrite(fd, bytes(self.COUNT * self.SIZE), 0)
            self.map = mmap.mmap(fd, self.COUNT * self.SIZE)
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
            return
        finally:
            os.close(fd)
        for k in range(self.COUNT):
            number = self.map[k * self.SIZE : k * self.SIZE + 12]
            if number.isdigit():
                self.n = max(self.n, int(number))

    def add(self, lane: int, op: str, detail: str = "") -> None:
        if self.map is None:
            return
        with self.lock:
            self.n += 1
            text = f"{self.n:012d} {lane} {op} {detail}".encode("ascii", "replace")[: self.SIZE - 1]
            at = self.n % self.COUNT * self.SIZE
            self.map[at : at + self.SIZE] = text.replace(b"\n", b" ").ljust(self.SIZE - 1) + b"\n"
