"""Errors that a torture brings with it, and what is none of them."""

from __future__ import annotations

import errno
import queue
from collections.abc import Callable
from typing import Any, Final

from ndpool import errors

#: Errors that a torture brings with it, the narrower ones first, and what they are called in the figures.
BROUGHT: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (errors.FullError, "full"), (errors.NoMemoryError, "nomemory"), (errors.ProcessesError, "processes"),
    (errors.TableFullError, "table"), (errors.StaleError, "stale"), (errors.PrivateError, "private"),
    (errors.HeldError, "held"), (errors.SealedError, "sealed"), (errors.SpentError, "spent"),
    (errors.ExpiredError, "expired"), (errors.RecalledError, "recalled"), (errors.NotReceiverError, "receiver"),
    (errors.DeadError, "dead"), (errors.NoNameError, "noname"), (errors.NameTakenError, "nametaken"),
    (errors.VersionError, "version"), (errors.WriterError, "writer"), (errors.WriterDied, "writerdied"),
    (errors.StreamEnded, "ended"), (errors.ShutDown, "shut"), (errors.TooLongError, "toolong"),
    (errors.WaitTimeoutError, "timeout"), (queue.Empty, "timeout"), (queue.Full, "timeout"),
)  # fmt: skip


class Fault(Exception):
    """Something is not as it must be."""


def expected(e: BaseException) -> str | None:
    """Returns what an error that a torture brings with it is called; None for others."""
    for kind, word in BROUGHT:
        if isinstance(e, kind):
            return word
    return "nospace" if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EAGAIN, errno.ENOMEM) else None


def must_refuse(what: str, want: type[BaseException] | tuple[type[BaseException], ...], f: Callable[[], Any]) -> None:
    """Does what must be refused, with the error that says why."""
    try:
        f()
    except want:
        return
    except Exception as e:
        if expected(e):
            raise  # for a reason of its own, before it came to that
        raise Fault(f"{what}: got {e!r}, expected {want}") from e
    raise Fault(f"{what}: nobody has refused it, expected {want}")
