"""Names and their locks: see names.go, which tells what names there are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

import ndpool

from .faults import Fault
from .lane import Lane
from .texts import process_text

SHARED_NAMES, LOCKED_NAMES = 8, 3
LOCK_WAIT: Final = 0.02


def own(lane: Lane) -> str:
    return f"w{process_text(lane.pool.process).replace('.', '-')}-{lane.number}"


def single(lane: Lane) -> str:
    path = f"{own(lane) if lane.rng.randrange(4) == 0 else 's'}/{lane.rng.randrange(SHARED_NAMES)}"
    lane.remark(path)
    return path


def tree_path(lane: Lane) -> str:
    return f"t/{lane.rng.randrange(SHARED_NAMES)}"


def how(lane: Lane, path: str) -> tuple[str, bool]:
    return lane.rng.choice(("", "merge", "overwrite")), path[0] != "w" and lane.rng.randrange(8) == 0


def publish(lane: Lane) -> None:
    a, path = lane.own_whole(), single(lane)
    mode, persistent = how(lane, path)
    attrs: dict[str, Any] = {
        "handle": f"{ndpool.handle(a):016x}", "shape": a.shape, "nested": {"pi": 3.25, "none": None, "ok": True},
    }  # fmt: skip
    if lane.rng.randrange(10) == 0:
        attrs["long"] = " " * (1 << lane.rng.randrange(14))
    if mode == "merge":
        top, _, name = path.partition("/")
        lane.pool.publish({name: (a, attrs)}, top, persistent=persistent, merge=True)
    else:
        lane.pool.put(path, a, attrs=attrs, persistent=persistent, overwrite=mode == "overwrite")


def publish_tree(lane: Lane) -> None:
    path = tree_path(lane)
    mode, persistent = how(lane, path)
    how_else: dict[str, Any] = {mode: True} if mode else {}
    tree = {"a": lane.own_whole(), "b": lane.own_whole(), "g": {"c": lane.own_whole()}}
    lane.pool.publish(tree, path, persistent=persistent, **how_else)


def publish_for_now(lane: Lane) -> None:
    """Publishes for the time of a with statement."""
    path = own(lane) + "/now"
    with lane.pool.publish({"a": lane.own_whole(), "g": {"b": lane.own_whole()}}, path, overwrite=True) as made:
        if list(made.names) != [path + "/a", path + "/g/b"]:
            raise Fault(f"published {made.names}")
        lane.check(lane.pool[path + "/g/b"])
    if path in lane.pool:
        raise Fault(f"{path} is still there")


def look_up(lane: Lane) -> None:
    """Wants that array and attributes are of one moment, and keeps the array for a while."""
    lane.make_room()
    path, readonly = single(lane), lane.rng.randrange(3) == 0
    if lane.rng.randrange(3) == 0:
        lane.hold(lane.pool[path])
        return
    item = lane.pool.item(path, readonly=readonly)
    handle = f"{ndpool.handle(item.array):016x}"
    if item.attrs.get("handle") != handle or item.attrs["nested"]["pi"] != 3.25:
        raise Fault(f"name {path}: version {item.version}: array {handle}, attributes {item.attrs}")
    lane.hold(item.array)


def look_up_tree(lane: Lane) -> None:
    path = tree_path(lane)
    tree = lane.pool.tree(path)
    if sorted(tree) != ["a", "b", "g"] or sorted(tree["g"]) != ["c"]:
        raise Fault(f"tree {path}: {sorted(tree)}")
    for a in (tree["a"], tree["b"], tree["g"]["c"]):
        lane.check(a)


def list_names(lane: Lane) -> None:
    if lane.rng.randrange(4) == 0:
        lane.pool.entries()
        return
    path = tree_path(lane)
    found = [x for x in lane.pool.entries(path) if not x.group]
    if len(found) != 3 or len({x.version for x in found}) != 1:
        raise Fault(f"tree {path}: {[(x.path, x.version) for x in found]}")


def set_attrs(lane: Lane) -> None:
    attrs = lane.pool.attrs(single(lane))
    attrs["n"] = attrs.get("n", 0) + 1


def remove(lane: Lane) -> None:
    if lane.rng.randrange(2):
        lane.pool.remove(single(lane))
        return
    path = tree_path(lane)
    if (n := lane.pool.remove(path, tree=True)) != 3:
        raise Fault(f"tree {path}: removed {n} names")


def locked(lane: Lane) -> None:
    """Changes two numbers one after the other, or looks at both."""
    with_lock(lane, LOCK_WAIT)


def try_locked(lane: Lane) -> None:
    with_lock(lane, 0)


def with_lock(lane: Lane, timeout: float) -> None:
    path = f"l/{lane.rng.randrange(LOCKED_NAMES)}"
    lock, xs = lane.pool.lock(path), lane.pool[path]
    write = lane.rng.randrange(2) == 0
    side = lock if write else lock.shared
    if not side.acquire(timeout):
        return
    try:
        torn = side.torn
        if torn:
            lane.worker.tally.add("torn")
        elif xs[0] != xs[1]:
            raise Fault(f"lock of {path}: {xs}, and nobody told")
        if write:
            xs[0] += np.uint64(1)
            lane.pause()
            xs[1] = xs[0]
        else:
            lane.pause()
            if not torn and xs[0] != xs[1]:
                raise Fault(f"lock of {path}: {xs} while it is held to read")
    finally:
        side.release()
