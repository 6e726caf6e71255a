"""All kinds of operations: see work_step.go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import arrays, exec, files, forge, fork, look, names, pools, queues, rings, transfers, views
from .lane import Lane
from .op import Op

if TYPE_CHECKING:
    from .worker import Worker

OPS: Final = (
    Op("alloc", 250, arrays.alloc, empty=True),
    Op("alloc_wait", 5, arrays.alloc_wait, waits=True, timely=True, empty=True),
    Op("private", 40, arrays.private, empty=True),
    Op("flood", 1, arrays.flood, empty=True),
    Op("release", 250, Lane.release),
    Op("check", 50, arrays.check_any),
    Op("retain", 20, arrays.retain_again),
    Op("seal", 20, arrays.seal),
    Op("hash", 10, arrays.check_hash),
    Op("view", 40, views.view),
    Op("handle", 60, transfers.give_handle),
    Op("send", 120, transfers.send),
    Op("sendto", 60, transfers.send_to),
    Op("recall", 15, transfers.recall),
    Op("recall_older", 5, transfers.recall_older, empty=True),
    Op("refuse", 5, transfers.refuse, empty=True),
    Op("forge", 40, forge.forge),
    Op("publish", 30, names.publish),
    Op("publish_tree", 15, names.publish_tree),
    Op("publish_now", 5, names.publish_for_now),
    Op("lookup", 30, names.look_up, empty=True),
    Op("lookup_tree", 15, names.look_up_tree, empty=True),
    Op("list", 10, names.list_names, empty=True),
    Op("attrs", 15, names.set_attrs, empty=True),
    Op("remove", 15, names.remove, empty=True),
    Op("lock", 20, names.locked, waits=True, timely=True, empty=True),
    Op("trylock", 10, names.try_locked, empty=True),
    Op("end_ring", 6, rings.end_ring, empty=True),
    Op("frame_put", 30, rings.publish_frame, waits=True, empty=True),
    Op("frame_get", 30, rings.read_frame, waits=True, empty=True),
    Op("queue_put", 25, queues.put, waits=True),
    Op("queue_get", 30, queues.get, waits=True, empty=True),
    Op("queue_own", 8, queues.own_queue, waits=True),
    Op("shut", 1, queues.shut, empty=True),
    Op("file", 6, files.through_file, group="files"),
    Op("clone", 10, pools.use_clone, group="clone"),
    Op("second", 15, pools.use_second, group="second", empty=True),
    Op("peek", 2, look.peek),
    Op("look", 6, look.look, empty=True),
    Op("verify", 2, look.verify, empty=True),
    Op("trim", 2, look.trim, empty=True),
    Op("reap", 2, look.reap, empty=True),
    Op("sleep", 6, Lane.sleep, waits=True, timely=True, empty=True),
    Op("fork", 10, fork.fork, group="fork"),
    Op("process", 2, fork.process, group="fork", waits=True),
    Op("exec", 1, exec.begin_anew, group="exec", empty=True),
)


def new_lane(worker: Worker, number: int) -> Lane:
    """Returns a lane that can do all of these."""
    return Lane(worker, number, OPS, transfers.take)
