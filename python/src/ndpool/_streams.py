"""Streams: one process publishes frames, any number read them, each as it can."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy.typing as npt

from . import _attrs, _core
from ._create import Array
from ._frame import Frame, copied, source
from .errors import HeldError, StreamEnded, WriterDied

if TYPE_CHECKING:
    from ._create import Shape

__all__ = ["StreamReader", "StreamWriter", "number"]


def number(what: str, n: int | None) -> int:
    """Returns how many of something a ring is to have; 0 for None, which leaves it to what is there."""
    if n is None:
        return 0
    if not 1 <= n < 1 << 31:
        raise ValueError(f"{what}: got {n} (at least 1)")
    return n


class _End:
    """One end of a stream, as a context manager that closes it."""

    __slots__ = ("__weakref__", "_path")

    _core: _core.Writer | _core.Reader
    _path: str

    @property
    def path(self) -> str:
        """The name of the stream in its pool."""
        return self._path

    @property
    def closed(self) -> bool:
        """Tells whether close was called."""
        return self._core.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._core.close()

    def __repr__(self) -> str:
        return f"<ndpool.{type(self).__name__} {self._path!r}{' closed' if self.closed else ''}>"


class StreamWriter(_End):
    """The writer of a stream: Pool.writer. There is one at a time, in all processes.

        with pool.writer("camera") as w:
            while True:
                out = w.empty((h, w, 3), "u1")  # each frame has memory of its own
                camera.read(out)
                w.publish(out)

    The stream stays when its writer ends or dies. Any thread may use it; they take turns. A forked child cannot."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Writer, path: str) -> None:
        self._core: _core.Writer = core
        self._path = path

    def empty(
        self,
        shape: Shape,
        dtype: npt.DTypeLike | None = float,
        order: Literal["C", "F"] = "C",
        *,
        timeout: float | None = 0.0,
    ) -> Array:
        """Returns an array in the pool for the next frame, whose content is whatever was there before. As Pool.empty."""
        return self._core.pool.empty(shape, dtype, order, False, timeout)

    def publish(self, x: Any, *, attributes: Mapping[str, Any] | None = None, timeout: float | None = None) -> int:
        """Publishes a frame, and returns its sequence number, which counts from 1 and never comes back.

        A whole array of this pool, as empty() makes them, goes without a copy. It is sealed: readers get memory that
        nobody can write to by it, and the array given, and those that it is a view of, are made read-only. Views of it
        that were made before are not: a store through one of them would change the frame in front of its readers. All
        else is copied: other arrays, a part of an array of the pool, a ctypes structure, what numpy makes an array of.

        The writer of a lossless stream waits while the oldest frame is one that a reader has not read: timeout seconds,
        then WaitTimeoutError; None: for ever. Ctrl-C ends the wait. An array of the pool is sealed then, and can be
        published again.

        Raises HeldError if other processes hold the array, or it is on its way to one, or in a queue: a copy can be
        published; AttributesError, DTypeError, and what creating arrays raises."""
        text = None if attributes is None else _attrs.encode(attributes)
        try:
            sequence = self._core.publish(x, text, timeout)
        except HeldError as e:
            raise HeldError(
                f"publish frame: others have the array too, and could write to it ({e.message}); a copy can be"
            ) from None
        if sequence is None:
            sequence = self._core.publish(copied(self._core.pool, source(x)), text, timeout)
            assert sequence is not None
        return sequence

    def await_readers(self, n: int, timeout: float | None = None) -> None:
        """Waits until at least n readers are there that the writer of a lossless stream waits for (every=True).

        Frames that are published before a reader is there go by it; so who must not lose the first ones waits for the readers
        first. timeout is in seconds, None: for ever; then WaitTimeoutError. Raises OptionsError if there can never be so
        many."""
        self._core.await_readers(number("readers", n), timeout)

    def close(self) -> None:
        """Ends the writer, and tells the readers. The stream stays, with its newest frames. Twice is harmless."""
        self._core.close()


class StreamReader(_End):
    """A reader of a stream: Pool.reader. The stream need not be there yet.

        with pool.reader("camera") as r:
            for frame in r:
                show(frame.array)

    Each reader has a position of its own, and waits without polling. A frame is whole, and stays as it is while anybody
    refers to its array. When there is nothing new and the writer has come to an end, that is told once: StreamEnded, or
    WriterDied; reading again waits for the next writer, whose frames go on where those of the last one stopped.

    timeout is in seconds, None: for ever; then WaitTimeoutError. Ctrl-C ends a wait, and so does close().
    Any thread may use it; they take turns. A forked child cannot."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Reader, path: str) -> None:
        self._core: _core.Reader = core
        self._path = path

    def latest(self, timeout: float | None = None) -> Frame:
        """Returns the newest frame, when it is one that was not read yet."""
        return Frame(*self._core.latest(timeout))

    def next(self, timeout: float | None = None) -> Frame:
        """Returns the oldest frame that was not read yet, of those that the stream still has."""
        return Frame(*self._core.next(timeout))

    def newest(self) -> Frame | None:
        """Returns the newest frame at once, read or not; None if there is none."""
        found = self._core.newest()
        return None if found is None else Frame(*found)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """Returns next(), until the writer has ended. Raises WriterDied if it died."""
        try:
            return Frame(*self._core.next(None))
        except WriterDied:
            raise
        except StreamEnded:
            raise StopIteration from None

    def close(self) -> None:
        """Ends the reader. Frames stay valid. Twice is harmless."""
        self._core.close()
