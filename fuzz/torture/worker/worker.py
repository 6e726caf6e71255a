"""The process: see worker.go."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import ndpool
from ndpool import errors

from . import POOL
from .children import await_children
from .events import Events
from .faults import expected
from .lane import Lane
from .leave import handles, leave, thaw
from .lines import Input
from .step import new_lane
from .tally import Tally
from .texts import process_text


class Worker:
    """The process; its lanes do the work."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.dir: str = config["dir"]
        self.seed = int(config["seed"])
        self.lockstep = bool(config.get("lockstep"))
        self.no = frozenset(config.get("no") or ())
        self.plant: str = config.get("plant") or ""
        self.tally = Tally()
        self.tally.take()
        self.events = Events(config.get("events") or "")
        self.input = Input(config.get("rest") or "")
        self.stop = threading.Event()
        self.pool: ndpool.Pool
        self.lanes: list[Lane] = []
        self.failure: BaseException | None = None
        self.saying = threading.Lock()

    def run(self) -> None:
        threading.Thread(target=self.input.read, daemon=True).start()
        if self.lockstep:
            self.march()
            return
        if not self.attach():
            return
        count = self.config.get("lanes") or (3 if self.seed % 3 == 0 else 1)
        self.lanes = [new_lane(self, k) for k in range(count)]
        threads = [threading.Thread(target=lane.live) for lane in self.lanes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.failure is not None:
            raise self.failure
        if self.input.frozen.is_set():
            self.freeze()
        self.leave()

    def attach(self) -> bool:
        """Opens the pool. There may be no room for this process, or no pool any more: then it waits a little."""
        for _ in range(100):
            try:
                fd = self.config.get("fd") or 0
                self.pool = ndpool.Pool.open("", fd=fd) if fd else ndpool.Pool.open(POOL, dir=self.dir)
            except (errors.NotExistError, errors.TableFullError, errors.FullError, errors.NoMemoryError) as e:
                self.tally.fail(expected(e) or "notexist")
                time.sleep(0.02)
                continue
            self.say(f"id {process_text(self.pool.process)}")
            return True
        self.count()
        return False

    def march(self) -> None:
        """Does one operation for each line "go", and nothing by itself: its choices follow from the seed alone."""
        lane = new_lane(self, 0)
        self.lanes = [lane]
        opened = False
        if self.config.get("again"):
            opened = self.attach()
            self.say("done exec")
        while (turn := self.input.turns.get()) == "go":
            if not opened:
                opened = self.attach()
                if not opened:
                    return
                self.say("done open")
                continue
            lane.note = ""
            lane.turn()
            self.say(f"done {lane.note}")
        if turn == "freeze":
            self.freeze()
        if opened:
            self.leave()

    def say(self, line: str) -> None:
        """Says a line by one call, so that a death leaves a whole line or none."""
        with self.saying:
            os.write(1, (line + "\n").encode())

    def count(self) -> None:
        self.say("n " + self.tally.take())

    def freeze(self) -> None:
        """Tells what this process holds, and keeps it until the input ends."""
        await_children()
        self.count()
        held: dict[str, None] = {}
        for lane in self.lanes:
            thaw(lane)
            held.update(dict.fromkeys(handles(lane)))
        words = list(held)
        if self.plant == "extra":
            words = words[1:]
        self.say(" ".join(["held", *words]))
        self.input.ended.wait()

    def leave(self) -> None:
        """Checks and releases everything."""
        await_children()
        for lane in self.lanes:
            leave(lane)
        self.pool.recall(older_than=0)
        try:
            self.count()
        except BrokenPipeError:
            pass
        self.pool.close()
