"""A kind of operation: see work_step.go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lane import Lane


@dataclass(frozen=True)
class Op:
    """A kind of operation."""

    name: str
    weight: int
    do: Callable[[Lane], None]
    group: str = ""  #: leaves it out, if it is told so
    waits: bool = False  #: on purpose, so that it is no stall
    timely: bool = False  #: rests on time, so that it is left out in lockstep
    empty: bool = False  #: can be done without any array
