"""Parts of arrays: see work_views.go."""

from __future__ import annotations

from typing import Any

from .lane import MAX_HELD, Lane


def view(lane: Lane) -> None:
    """Looks at a part of an array, or at all of it in another way, and at times keeps that instead."""
    a = lane.any()
    for _ in range(1 + lane.rng.randrange(3)):
        kind = lane.rng.randrange(3)
        if kind == 0:
            a = a.transpose(lane.rng.sample(range(a.ndim), a.ndim))
        elif kind == 1 and a.flags.c_contiguous:
            a = a.reshape(a.size, 1) if a.size else a
        else:
            parts: tuple[Any, ...] = tuple(part(lane, n) for n in a.shape[: lane.rng.randrange(a.ndim + 1)])
            a = a[(*parts, ...)]
    if not a.size:
        return  # the place of no elements may be outside
    if lane.rng.randrange(4) == 0 and len(lane.held) < MAX_HELD:
        lane.hold(a)
    else:
        lane.check(a)


def part(lane: Lane, n: int) -> slice:
    kind = lane.rng.randrange(4)
    if kind == 0 or n == 0:
        return slice(None)
    if kind == 1:
        return slice(None, None, -1 - lane.rng.randrange(3))
    start = lane.rng.randrange(n)
    return slice(start, start + 1 + lane.rng.randrange(n), 1 + lane.rng.randrange(3))
