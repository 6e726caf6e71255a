"""What was done: see work_tally.go."""

from __future__ import annotations

import json
import threading
from typing import Any


class Tally:
    """What was done since it was last told, by kind."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.take()

    def take(self) -> str:
        with self.lock:
            told = json.dumps(self.__dict__.get("told", {}), sort_keys=True)
            self.told: dict[str, Any] = {"ops": {}, "errors": {}, "bytes": 0, "stall_us": 0, "stall": ""}
            self.done = 0
            return told

    def add(self, op: str) -> None:
        with self.lock:
            self.told["ops"][op] = self.told["ops"].get(op, 0) + 1
            self.done += 1

    def fail(self, word: str) -> None:
        with self.lock:
            self.told["errors"][word] = self.told["errors"].get(word, 0) + 1

    def checked(self, n: int) -> None:
        with self.lock:
            self.told["bytes"] += n

    def stall(self, op: str, seconds: float) -> None:
        us = int(seconds * 1e6)
        with self.lock:
            if us > self.told["stall_us"]:
                self.told["stall_us"], self.told["stall"] = us, op
