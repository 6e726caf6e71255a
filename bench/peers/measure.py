"""Measures ndpool beside what one would use instead: all peers by turns, in several rounds, in one run on one machine.

scripts/peers runs it, after it has fetched and built what it measures. Each workload of a peer is measured in processes of its
own. Results are written as JSON, a file for each workload, at the end of the run.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jobs
import taken
from plan import PEERS, WORKLOADS, Entry, Parameters, needs
from results import Results, commit, machine, today

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "peers")
LIMIT = 60  # seconds for one measurement, its setting up included
SHORT = 0.02  # seconds of one measurement of --short
BEGUN = time.monotonic()


class Run:
    """All measurements of one call."""

    def __init__(self, options: argparse.Namespace, pythons: dict[str, str]) -> None:
        self.options, self.pythons = options, pythons
        self.results = Results()
        self.leaves: dict[str, tuple[str, ...]] = {}
        self.lock = threading.Lock()
        self.missing = load(os.path.join(BUILD, "absent.json"))
        self.entries = [e for e in PEERS if chosen(e, options.only) and not (options.short and e.fetched)]
        self.workloads = options.workload or list(WORKLOADS)
        self.commit = commit()  # before the results themselves change the tree

    # ---- what there is

    def look(self) -> None:
        """Finds out which peers are there, their versions and what they have."""
        for entry in self.entries:
            reason = self.python_absent(entry) if entry.python else self.program_absent(entry)
            if reason:
                say(f"absent: {entry.name}: {reason}")
                self.all_absent(entry, reason)

    def python_absent(self, entry: Entry) -> str:
        if entry.name in self.missing:
            return self.missing[entry.name]
        if entry.python not in self.pythons:
            return f"there is no Python {entry.python} on this machine"
        try:
            got = next(jobs.lines(self.python_command(entry), "[]", LIMIT), {"absent": "says nothing"})
        except jobs.Failed as e:
            return str(e)
        self.results.versions[entry.name] = got.get("version", "")
        self.leaves[entry.name] = tuple(got.get("leaves", ()))
        self.lack(entry, {w: f"does not have this: {reason}" for w, reason in got.get("lacks", {}).items()})
        return got.get("absent", "")

    def program_absent(self, entry: Entry) -> str:
        path = os.path.join(BUILD, "bin", entry.program)
        try:
            with open(path + ".absent") as f:
                return f.read().strip()
        except OSError:
            pass
        if not os.path.exists(path):
            return self.missing.get(entry.name, "it is not built")
        try:
            self.results.versions[entry.name] = jobs.words([path, "version"])
            has = jobs.words([path, "list"]).split()
        except jobs.Failed as e:
            return str(e)
        only = f": a floor of {', '.join(entry.parts)} only" if entry.parts else ""
        self.lack(entry, {workload: "does not have this" + only for workload in WORKLOADS if workload not in has})
        return ""

    def lack(self, entry: Entry, reasons: dict[str, str]) -> None:
        for workload, reason in reasons.items():
            for parameters in WORKLOADS[workload].parameters if workload in self.workloads else ():
                self.results.absent(entry.name, workload, parameters, reason)

    def all_absent(self, entry: Entry, reason: str) -> None:
        for workload in self.workloads:
            for parameters in WORKLOADS[workload].parameters:
                self.results.absent(entry.name, workload, parameters, reason)

    # ---- measuring

    def round(self, number: int) -> None:
        """One round: of each workload, all peers one after the other."""
        self.results.load.append(round(os.getloadavg()[0], 2))
        for workload, entry in itertools.product(self.workloads, self.entries):
            if number and WORKLOADS[workload].once:
                continue
            todo = [p for p in WORKLOADS[workload].parameters if not self.results.is_absent(entry.name, workload, p)]
            if todo:
                say(f"round {number + 1} of {self.options.rounds}: {workload}: {entry.name}")
                self.measure(entry, [(workload, p) for p in todo])

    def short(self) -> None:
        """Each peer's smallest measurement of each workload. Nobody looks at the times: several peers at once."""
        self.results.load.append(round(os.getloadavg()[0], 2))
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            there = [entry for entry in self.entries if entry.name in self.results.versions]
            started = [pool.submit(self.short_of, entry) for entry in there]
            try:
                for future in started:
                    future.result()
            except BaseException:
                jobs.stop.set()
                raise

    def short_of(self, entry: Entry) -> None:
        todo = [(w, WORKLOADS[w].parameters[0]) for w in self.workloads]
        todo = [(w, p) for w, p in todo if not self.results.is_absent(entry.name, w, p)]
        for workload, _ in todo:
            for parameters in WORKLOADS[workload].parameters[1:]:
                self.results.absent(entry.name, workload, parameters, "not in the short form")
        if todo:
            self.measure(entry, todo)
            say(f"{entry.name}: {', '.join(w for w, p in todo if not self.results.is_absent(entry.name, w, p))}")

    def measure(self, entry: Entry, todo: list[tuple[str, Parameters]]) -> None:
        if entry.python:
            for group in groups(todo):
                while group:  # a new process goes on after one that had to be ended
                    group = group[self.measure_python(entry, group) :]
        else:
            for workload, parameters in todo:
                self.measure_program(entry, workload, parameters)

    def measure_program(self, entry: Entry, workload: str, parameters: Parameters) -> None:
        if reason := no_room(workload, parameters):
            self.fail(entry, workload, parameters, reason)
            return
        path = os.path.join(BUILD, "bin", entry.program)
        with jobs.place((), self.options.keep) as place:
            given = [f"{key}={value}" for key, value in parameters.items()]
            command = [path, workload, *given, f"seconds={self.seconds(workload)}", f"place={place.path}"]
            command = on_processors(entry, workload, command)
            try:
                found = list(jobs.lines(command, "", LIMIT))
            except jobs.Failed as e:
                self.fail(entry, workload, parameters, f"cannot: {e}")
                return
        self.add(entry, workload, parameters, found)

    def measure_python(self, entry: Entry, todo: list[tuple[str, Parameters]]) -> int:
        """Measures one after the other in one process, and returns how many are done with, one way or the other."""
        leaves, done = self.leaves.get(entry.name, ()), 0
        with jobs.place(leaves, self.options.keep) as place:
            command = on_processors(entry, todo[0][0], self.python_command(entry))
            told = jobs.lines(command, json.dumps([self.job(place.path, *t) for t in todo]), LIMIT)
            try:
                for what in todo:
                    found = list(until_end(told, skip=what is todo[0]))
                    if "absent" in found[-1]:
                        self.fail(entry, *what, found[-1]["absent"])
                    else:
                        self.add(entry, *what, found[:-1])
                    done += 1
                for _ in told:
                    pass  # it ends
            except jobs.Failed as e:
                if done < len(todo):
                    self.fail(entry, *todo[done], f"cannot: {e}")
                    done += 1
            finally:
                told.close()
            if todo[0][0] == "recovery":  # only now has also the clean-up at the end of a process been done
                self.results.left_behind(entry.name, *todo[0], place.left_bytes())
        return done

    def job(self, place: str, workload: str, parameters: Parameters) -> dict[str, Any]:
        # Its last name is its own in all of the machine: peers name after it what they make elsewhere in shared memory.
        own = os.path.join(place, "-".join([os.path.basename(place), workload, *map(str, parameters.values())]))
        os.mkdir(own)
        capacity, arrays = needs(workload, parameters)
        job = {"workload": workload, "parameters": parameters, "seconds": self.seconds(workload), "place": own}
        return {**job, "capacity": capacity, "arrays": arrays, "settle": 0.1 if self.options.short else 3}

    def python_command(self, entry: Entry) -> list[str]:
        return [self.pythons[entry.python], "-B", os.path.join(HERE, "workloads.py"), entry.program]

    def seconds(self, workload: str) -> float:
        return self.options.seconds or (SHORT if self.options.short else WORKLOADS[workload].seconds)

    # ---- what came of it

    def add(self, entry: Entry, workload: str, parameters: Parameters, found: list[dict[str, Any]]) -> None:
        if not found or any("value" not in line for line in found):
            self.fail(entry, workload, parameters, "cannot: it gave no sample")
            return
        if not any(line["value"] is None or line["value"] > 0 for line in found):
            self.fail(entry, workload, parameters, "cannot: nothing was done in the time measured")
            return
        with self.lock:
            self.results.add(entry.name, workload, parameters, found)

    def fail(self, entry: Entry, workload: str, parameters: Parameters, reason: str) -> None:
        if not reason.startswith("does not"):
            say(f"  {entry.name}: {workload} {parameters}: {reason}")
        with self.lock:
            self.results.absent(entry.name, workload, parameters, reason)

    def write(self, rounds: int) -> None:
        """Writes what so many rounds gave."""
        os.makedirs(self.options.out, exist_ok=True)
        command = " ".join(["scripts/peers", *self.options.given])
        about = {"machine": machine(), "date": today(), "commit": self.commit, "command": command, "rounds": rounds}
        for workload in self.workloads:
            self.results.write(self.options.out, workload, self.entries, about)

    def faults(self) -> list[str]:
        """What --short should have measured, and did not."""
        gaps = [gap for e in self.entries for w in self.workloads for gap in self.results.gaps(e.name, w)]
        legal = ("does not have this", "not in the short form", "there is no Python")
        return [
            f"{gap['peer']}: {gap['parameters'] or 'all'}: {gap['reason']}"
            for gap in gaps
            if not gap["reason"].startswith(legal)
        ] + [
            f"{e.name}: no sample at all"
            for e in self.entries
            if e.name in self.results.versions and not any(peer == e.name for peer, _, _ in self.results.found)
        ]


def groups(todo: list[tuple[str, Parameters]]) -> list[list[tuple[str, Parameters]]]:
    """What one process of a peer in Python measures."""
    kinds = [(WORKLOADS[workload].alone and n, WORKLOADS[workload].together) for n, (workload, _) in enumerate(todo, 1)]
    return [[t for t, k in zip(todo, kinds, strict=True) if k == kind] for kind in dict.fromkeys(kinds)]


def on_processors(entry: Entry, workload: str, command: list[str]) -> list[str]:
    """The command, of which all processes run on one processor if the workload wants it so."""
    if not WORKLOADS[workload].together or entry.spins:
        return command
    return ["taskset", "--cpu-list", str(max(os.sched_getaffinity(0))), *command]


def until_end(told: Iterator[dict[str, Any]], skip: bool) -> Iterator[dict[str, Any]]:
    """The lines of one measurement, with the one that ends it. The first of a process is about the peer."""
    if skip and "absent" in (first := next(told, {"absent": "says nothing"})):
        yield first
        return
    for line in told:
        yield line
        if "end" in line or "absent" in line:
            return
    raise jobs.Failed("it ended too early")


def no_room(workload: str, parameters: Parameters) -> str:
    capacity, _ = needs(workload, parameters)
    room = os.statvfs(taken.SHM)
    free = room.f_bavail * room.f_frsize
    return f"cannot: wants {capacity >> 20:,} MiB of {taken.SHM}, which has {free >> 20:,}" if capacity > free else ""


def chosen(entry: Entry, only: list[str] | None) -> bool:
    """Whether a peer is asked for: by its name, a part of it, or its program."""
    return not only or any(word.lower() in entry.name.lower() or word == entry.program for word in only)


def load(path: str) -> dict[str, str]:
    try:
        with open(path) as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def say(text: str) -> None:
    seconds = int(time.monotonic() - BEGUN)
    print(f"{seconds // 60:3d}:{seconds % 60:02d} {text}", file=sys.stderr, flush=True)


def interpreter(text: str) -> tuple[str, str]:
    version, _, path = text.partition("=")
    if not re.fullmatch(r"main|3\.\d+t?", version) or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{text!r} is not VERSION=PATH")
    return version, path


def arguments() -> argparse.Namespace:
    parse = argparse.ArgumentParser(prog="scripts/peers", description=__doc__.split("\n\n")[0])  # type: ignore[union-attr]
    parse.add_argument("--rounds", type=int, default=3, help="how often all of it is measured (3)")
    parse.add_argument("--only", nargs="+", metavar="PEER", help="peers, by a part of their names")
    parse.add_argument("--workload", nargs="+", metavar="W", choices=list(WORKLOADS), help=f"of {', '.join(WORKLOADS)}")
    parse.add_argument("--seconds", type=float, default=0, help="of each measurement, instead of its own")
    parse.add_argument("--short", action="store_true", help="what needs nothing fetched, for an instant: that it works")
    parse.add_argument("--list", action="store_true", help="print the peers and the workloads")
    parse.add_argument("--keep", action="store_true", help="leave the files of the measurements in /dev/shm")
    parse.add_argument("--out", help="the directory of the results (bench/results; build/peers/... if it is a part)")
    parse.add_argument("--python", type=interpreter, action="append", default=[], help=argparse.SUPPRESS)
    options = parse.parse_args()
    options.given = [word for word in sys.argv[1:] if not word.startswith("--python=")]
    if options.rounds < 1:
        parse.error("--rounds must be at least 1")
    if options.short:
        options.rounds = 1
    part = "short" if options.short else "part" if options.only or options.seconds else ""
    options.out = os.path.abspath(options.out or (os.path.join(BUILD, part) if part else os.path.join(ROOT, "bench/results")))
    return options


def show() -> None:
    for entry in PEERS:
        print(f"{entry.name:52s} {entry.kind:8s} {entry.language}")
    print()
    for name, w in WORKLOADS.items():
        print(f"{name:10s} {w.unit:11s} {w.what}")


def main() -> int:
    options = arguments()
    if options.list:
        show()
        return 0
    run = Run(options, dict(options.python))
    if not run.entries:
        raise SystemExit(f"peers: no peer is called {' or '.join(options.only)}: see --list")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    jobs.adopt_orphans()
    number = 0
    try:
        run.look()
        for number in range(options.rounds):
            if options.short:
                run.short()
            else:
                run.round(number)
            run.write(number + 1)
    except KeyboardInterrupt:
        print(f"peers: interrupted; {f'what {number} rounds gave' if number else 'nothing'} is written", file=sys.stderr)
        return 130
    finally:
        jobs.end_strangers()
    say(f"results are in {os.path.relpath(options.out)}")
    if options.short and (faults := run.faults()):
        print("\n".join(["peers: these gave no sample:", *faults]), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
