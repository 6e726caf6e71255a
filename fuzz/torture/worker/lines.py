"""What the parent says: see work_lines.go."""

from __future__ import annotations

import os
import queue
import select
import threading
from typing import Final

MAX_LINES: Final = 256


class Input:
    """What the parent says. What was read and not used is handed on over an exec."""

    def __init__(self, rest: str) -> None:
        self.lock = threading.Lock()  # held while bytes are on their way from the pipe to lines; who execs keeps it
        self.part = b""
        self.lines: queue.Queue[str] = queue.Queue(MAX_LINES)
        self.turns: queue.Queue[str] = queue.Queue()  # in lockstep: "go", "freeze", and "" at the end
        self.frozen = threading.Event()
        self.ended = threading.Event()
        self.more(rest.encode())

    def read(self) -> None:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        while True:
            poll.poll()
            with self.lock:
                got = os.read(0, 4096)
                self.more(got)
            if not got:
                self.ended.set()
                self.turns.put("")
                return

    def more(self, got: bytes) -> None:
        *lines, self.part = (self.part + got).split(b"\n")
        for line in lines:
            self.line(line.decode())

    def line(self, line: str) -> None:
        word = line.partition(" ")[0]
        if word in ("go", "freeze"):
            self.turns.put(word)
            if word == "freeze":
                self.frozen.set()
            return
        try:
            self.lines.put_nowait(line)
        except queue.Full:
            pass  # a receiver may always fail to adopt

    def next(self) -> str | None:
        """The next line that is no word to this process itself, if there is one."""
        try:
            return self.lines.get_nowait()
        except queue.Empty:
            return None

    def take(self) -> str | None:
        """What is left, for the next life; None if all is to freeze. Nothing is read any more, unless that."""
        self.lock.acquire()
        if self.frozen.is_set():
            self.lock.release()
            return None
        rest = ""
        while not self.lines.empty():
            line = self.lines.get_nowait()
            if len(rest) < 1 << 15:
                rest += line + "\n"
        return rest + self.part.decode()
