"""Progress of long work, for people: tqdm's bar if that is installed, else a line of its own. Both on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final, Protocol, Self

from ._text import clean, human, percent

__all__ = ["Progress", "progress"]

PAUSE: Final = 0.1  #: seconds between two lines


class Progress(Protocol):
    """Counts bytes. Used by one thread."""

    def add(self, n: int) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress(what: str, total: int, wanted: bool | None) -> Progress:
    """Returns what shows the progress of total bytes. wanted None: only if stderr is a terminal."""
    if wanted is None:
        wanted = sys.stderr is not None and sys.stderr.isatty()
    if not wanted:
        return _Silent()
    try:
        from tqdm import tqdm
    except ImportError:
        return _Line(what, total)
    return _Bar(tqdm(total=total, desc=clean(what), unit="B", unit_scale=True, unit_divisor=1024, mininterval=PAUSE))


class _Silent:
    def add(self, n: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Bar(_Silent):
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def add(self, n: int) -> None:
        self._bar.update(n)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


class _Line(_Silent):
    """One line, which is written again and again."""

    def __init__(self, what: str, total: int) -> None:
        self._what = clean(what)
        self._total = total
        self._done = 0
        self._begin = time.monotonic()
        self._last = 0.0
        self._width = 0

    def add(self, n: int) -> None:
        self._done += n
        if time.monotonic() - self._last >= PAUSE:
            self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        rate = int(self._done / max(self._last - self._begin, 1e-6))
        share = percent(self._done, self._total)
        text = f"{self._what}: {share}, {human(self._done)} of {human(self._total)}, {human(rate)}/s"
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()
        sys.stderr.write("\n")
