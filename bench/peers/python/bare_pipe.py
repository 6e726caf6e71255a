"""The floor of what Python hands over: 16 bytes through a multiprocessing.Pipe, and a byte back, without any array."""

import multiprocessing as mp
import platform
import statistics
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from peer import Sample
from private import Private

SPAWN = mp.get_context("spawn")
TOKEN = b"0123456789abcdef"


class BarePipe(Private):
    name = "pipe, Python"
    lacks: ClassVar = dict.fromkeys(
        ("pair", "churn", "handover", "fanout", "crowd", "many", "open", "touch", "recovery", "memory"), "a floor of pass only"
    )

    @staticmethod
    def version() -> str:
        return f"Python {platform.python_version()}"

    @classmethod
    def pass_(cls, place: str, seconds: float, size: int) -> Iterator[Sample]:
        """The size makes no difference."""
        here, there = SPAWN.Pipe()
        process = SPAWN.Process(target=answer, args=(there,))
        process.start()
        there.close()
        times = []
        here.send_bytes(TOKEN)
        here.recv_bytes()  # it has started
        begin = time.perf_counter()
        while (now := time.perf_counter()) < begin + 1.25 * seconds or not times:
            here.send_bytes(TOKEN)
            here.recv_bytes()
            if now > begin + seconds / 4:
                times.append(time.perf_counter() - now)
        here.close()
        process.join()
        yield {"value": statistics.median(times) * 1e6, "n": len(times)}


def answer(pipe: Any) -> None:
    try:
        while pipe.recv_bytes():
            pipe.send_bytes(b".")
    except EOFError:
        pass


PEER = BarePipe
