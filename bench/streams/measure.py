"""Measures streams and queues beside other means to bring the same bytes to other processes; scripts/bench-streams runs it.

All means are measured in one run, by turns, in several rounds; figures are medians of the rounds, and ratios are to ndpool's
stream between the same languages. With --futex it counts instead how many futex calls there are per message.
"""

import argparse
import collections
import glob
import json
import multiprocessing as mp
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import peers

import ndpool

KINDS = {"idle": 0.35, "busy": 0.25, "apart": 0.25, "stream": 0.35}  # seconds of a run
SIZES = [64, 4 << 10, 1 << 20, 8 << 20]
# Means, language of the writer, language of the readers.
ALL = [
    ("stream", "go", "go"),
    ("queue", "go", "go"),
    ("pipe", "go", "go"),
    ("stream", "go", "py"),
    ("stream", "py", "py"),
    ("queue", "py", "py"),
    ("pipe", "py", "py"),
    ("pickle", "py", "py"),
    ("semaphore", "py", "py"),
]
NAMES = {
    "stream": "ndpool stream",
    "queue": "ndpool queue",
    "pipe": "pipe",
    "pickle": "multiprocessing.Queue",
    "semaphore": f"semaphore, copy, poll every {peers.POLL * 1e3:g} ms",
}
LANGUAGES = {"go": "Go", "py": "Python"}
HERE = os.path.dirname(os.path.abspath(__file__))


class Peer:
    """A process that is one end."""

    def __init__(self, c: dict[str, Any], go: str, language: str, wrap: list[str]) -> None:
        hear, self.tell = os.pipe()
        self.hear, tell = os.pipe()
        self.lines = os.fdopen(self.hear)
        fds = [hear, tell, *c["out"], *c["back"]]
        if c["means"] == "pickle":
            self.process = mp.get_context("fork").Process(target=self.forked, args=(c, hear, tell))
            self.process.start()
        else:
            program = [go] if language == "go" else [sys.executable, os.path.join(HERE, "peers.py")]
            text = json.dumps({k: v for k, v in c.items() if k not in ("queues", "answers")})
            wrap = [word.format(f"{c['role']}-{c['index']}") for word in wrap]
            self.process = subprocess.Popen([*wrap, *program, text, str(hear), str(tell)], pass_fds=fds)
        os.close(hear)
        os.close(tell)
        self.expect("open")

    def forked(self, c: dict[str, Any], hear: int, tell: int) -> None:
        os.close(self.tell)
        peers.serve(c, hear, tell)

    def say(self, text: str) -> None:
        os.write(self.tell, (text + "\n").encode())

    def expect(self, want: str) -> None:
        if (got := self.lines.readline().strip()) != want:
            raise RuntimeError(f"peer said {got!r}, expected {want!r}")

    def result(self) -> dict[str, Any]:
        return json.loads(self.lines.readline())

    def pin(self, cpus: set[int]) -> None:
        """Lets all threads of the process, and of what it has started, run on these processors only."""
        pids = [self.process.pid]
        for pid in pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), cpus)
                with open(f"/proc/{pid}/task/{thread}/children") as f:
                    pids += map(int, f.read().split())

    def end(self) -> None:
        """Closes what it hears, so that it ends. Those that were forked may have that open, too: they are ended."""
        os.close(self.tell)
        if isinstance(self.process, subprocess.Popen):
            self.process.wait(30)
        else:
            self.process.terminate()
            self.process.join(30)
        self.lines.close()


class Group:
    """A writer and its readers by one means."""

    def __init__(self, means: str, writer: str, reader: str, n: int, go: str, wrap: list[str] | None = None) -> None:
        self.dir = tempfile.mkdtemp(prefix="ndpool-bench-", dir="/dev/shm")
        self.pool = ndpool.Pool.create("bench", dir=self.dir, capacity="2G") if means in ("stream", "queue") else None
        pipes, back = [os.pipe() for _ in range(n if means == "pipe" else 0)], os.pipe()
        c: dict[str, Any] = {"means": means, "dir": self.dir, "readers": n, "out": [], "back": []}
        if means == "pickle":
            c["queues"], c["answers"] = [mp.Queue(peers.DEEP) for _ in range(n)], mp.Queue()
        if means == "semaphore":
            for name in ("board-out", "board-back"):
                with open(f"{self.dir}/{name}", "wb") as f:
                    f.truncate(64 + max(SIZES))
        for r, _ in pipes:
            widen(r)
        wrap, self.peers = wrap or [], []
        for k in range(n):
            own = {"out": [pipes[k][0]], "back": [back[1]]} if pipes else {}
            self.peers.append(Peer({**c, "role": "reader", "index": k, **own}, go, reader, wrap))
        own = {"out": [w for _, w in pipes], "back": [back[0]]} if pipes else {}
        self.writer = Peer({**c, "role": "writer", "index": 0, **own}, go, writer, wrap)
        for fd in (*(fd for pair in pipes for fd in pair), *back):
            os.close(fd)
        self.shared = means == "queue"

    def run(self, kind: str, size: int, seconds: float) -> dict[str, float]:
        """One run. "apart" is busy, with each side on a processor of its own: else the scheduler often puts both on one."""
        every = os.sched_getaffinity(0)
        if kind == "apart":
            self.writer.pin({min(every)})
            self.peers[0].pin({max(every)})
        result = self.measure("busy" if kind == "apart" else kind, size, seconds)
        if kind == "apart":
            self.writer.pin(every)
            self.peers[0].pin(every)
        return result

    def measure(self, kind: str, size: int, seconds: float) -> dict[str, float]:
        line = f"run {kind} {size} {seconds}"
        for p in self.peers:
            p.say(line)
        for p in self.peers:
            p.expect("ready")
        self.writer.say(line)
        sent = self.writer.result()
        got = [p.result() for p in self.peers]
        some = [g for g in got if g["n"]]
        n = sum(g["n"] for g in got)
        messages = max(1, 2 * n if kind == "busy" else n)  # with the answers
        took = (max((g["end"] for g in some), default=1) - min((g["first"] for g in some), default=0)) / 1e9
        return {
            "messages": messages,
            "median": statistics.median(g["median"] for g in some) / 1e3 if some else float("nan"),
            "p99": max((g["p99"] for g in some), default=0) / 1e3,
            "trip": sent["trip"] / 1e3,
            "rate": n / (1 if self.shared else len(got)) / took if took > 0 else float("nan"),
            "switches": (sent["switches"] + sum(g["switches"] for g in got)) / messages,
        }

    def end(self) -> None:
        for p in (self.writer, *self.peers):
            p.end()
        if self.pool is not None:
            self.pool.close()
        shutil.rmtree(self.dir)
        for name in glob.glob(f"/dev/shm/sem.{self.dir.replace('/', '-')}-*"):  # which stay until somebody removes them
            os.unlink(name)


def widen(fd: int) -> None:
    """Gives a pipe all the room that a user may have."""
    import fcntl

    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)


def kinds(n: int) -> list[str]:
    return list(KINDS) if n == 1 else ["idle", "stream"]


Found = dict[tuple[Any, ...], list[dict[str, float]]]


def measure(args: argparse.Namespace) -> Found:
    found: Found = collections.defaultdict(list)
    for turn in range(args.rounds):
        for n in args.readers:
            for what in ALL:
                if args.only and what[0] not in args.only:
                    continue
                print(f"round {turn + 1}: {n} readers: {' '.join(what)}", file=sys.stderr)
                group = Group(*what, n, args.go)
                for size in SIZES:  # the first time memory is touched is nobody's figure
                    group.run("stream", size, 0.15)
                for kind in kinds(n):
                    for size in SIZES:
                        long = 2 if kind == "idle" and size >= peers.LARGE else 1
                        found[kind, n, what, size].append(group.run(kind, size, KINDS[kind] * long * args.scale))
                group.end()
    return found


TITLES = {
    "idle": "Latency in us to {n} asleep (the writer pauses 2 ms, from 1 MiB on 40 ms)",
    "busy": "Latency in us, back and forth without a pause, where the scheduler puts them",
    "apart": "Latency in us, back and forth without a pause, on two processors",
    "stream": "Messages per second, as fast as they can, {n}",
}


def show(found: Found) -> None:
    tables = list(dict.fromkeys((kind, n) for kind, n, _, _ in found))
    for kind, n in sorted(tables, key=lambda t: (list(KINDS).index(t[0]), t[1])):
        key = "rate" if kind == "stream" else "median"
        print("\n" + TITLES[kind].format(n=f"{n} reader" + "s" * (n > 1)) + "\n")
        print("| means | " + " | ".join(map(unit, SIZES)) + " |\n|---|" + "--:|" * len(SIZES))
        for what in dict.fromkeys(w for k, m, w, _ in found if (k, m) == (kind, n)):
            cells = []
            for size in SIZES:
                value, base = (medians(found, kind, n, w, size, key) for w in (what, base_of(what)))
                cells.append(f"{value:,.{0 if value >= 100 else 1}f} ({value / base:.2g})")
            print(f"| {name(what)} | " + " | ".join(cells) + " |")


def medians(found: Found, kind: str, n: int, what: tuple[str, ...], size: int, key: str) -> float:
    runs = [x[key] for x in found.get((kind, n, what, size), [])]
    return statistics.median(runs) if runs else float("nan")


def base_of(what: tuple[str, ...]) -> tuple[str, ...]:
    return ("stream", *what[1:])


def name(what: tuple[str, ...]) -> str:
    means, writer, reader = what
    return f"{NAMES[means]}, {LANGUAGES[writer]} to {LANGUAGES[reader]}"


def unit(size: int) -> str:
    return f"{size} B" if size < 1024 else f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB"


def floor(program: str, rounds: int) -> None:
    """Prints what a bare word in shared memory takes."""
    print("\nThe floor: a word in shared memory, in C, us\n\n| | |\n|---|--:|")
    for how, n, pause, text in (
        ("sleep", 20_000, 0, "futex, back and forth"),
        ("sleep", 300, 2000, "futex, asleep for 2 ms"),
        ("spin", 200_000, 0, "spinning"),
    ):
        took = [int(subprocess.check_output([program, how, str(n), str(pause)])) for _ in range(rounds)]
        print(f"| {text} | {statistics.median(took) / 1e3:.2f} |")


def switches(found: Found) -> None:
    """Prints how often processes gave their processor away per message, which is how often they slept."""
    print("\nSleeps per message (voluntary context switches of both sides), 64 B, one reader\n")
    print("| means | back and forth | on two processors | as fast as they can |\n|---|--:|--:|--:|")
    for what in dict.fromkeys(w for kind, n, w, _ in found if kind == "busy"):
        cells = (medians(found, kind, 1, what, SIZES[0], "switches") for kind in ("busy", "apart", "stream"))
        print(f"| {name(what)} | " + " | ".join(f"{x:.3f}" for x in cells) + " |")


def futexes(args: argparse.Namespace) -> None:
    """Prints futex calls per message. perf counts them in the kernel; strace stops who makes one, which brings others about."""
    counter = next((c for c in COUNTERS if can(c)), None)
    if counter is None:
        print("\nNo count of futex calls: neither perf, which wants the kernel's tracepoints, nor strace")
        return
    print(f"\nFutex calls per message, both sides, 64 B ({' '.join(counter[:-2])})\n")
    print("| means | back and forth, on two processors | as fast as they can |\n|---|--:|--:|")
    for what in ALL:
        if what[0] in ("stream", "queue") and what[1] == what[2] and what[0] in (args.only or what):
            cells = (counted(args, what, kind, counter) for kind in ("apart", "stream"))
            print(f"| {name(what)} | " + " | ".join(f"{x:.3f}" for x in cells) + " |")


COUNTERS = (
    ["perf", "stat", "-x", " ", "-e", "syscalls:sys_enter_futex", "-o", "{}"],
    ["strace", "-f", "-c", "-e", "trace=futex", "--seccomp-bpf", "-o", "{}"],
)


def can(counter: list[str]) -> bool:
    with tempfile.NamedTemporaryFile() as f:
        try:
            subprocess.run([x.format(f.name) for x in counter] + ["true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return counter[0] != "perf" or futex_calls(f.name) is not None


def futex_calls(path: str) -> int | None:
    """Reads what a counter wrote."""
    with open(path) as f:
        for line in f:
            words = line.split()
            if words and words[-1] == "futex":
                return int(words[3])
            if "syscalls:sys_enter_futex" in words and words[0].isdigit():
                return int(words[0])
    return None


def counted(args: argparse.Namespace, what: tuple[str, str, str], kind: str, counter: list[str]) -> float:
    """Futex calls per message. Some hundred are of the start and the end of the processes, so there must be many messages."""
    with tempfile.TemporaryDirectory() as d:
        group = Group(*what, 1, args.go, [*counter[:-1], d + "/{}"])
        n = group.run(kind, SIZES[0], 3 * args.scale)["messages"]
        group.end()
        return sum(futex_calls(f"{d}/{path}") or 0 for path in os.listdir(d)) / n


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--go", required=True, help="the peer in Go")
    parse.add_argument("--floor", required=True, help="the floor")
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--readers", type=int, nargs="+", default=[1, 4, 16])
    parse.add_argument("--only", nargs="+", choices=sorted(NAMES))
    parse.add_argument("--scale", type=float, default=1, help="of the time of each run")
    parse.add_argument("--futex", action="store_true", help="count futex calls only")
    args = parse.parse_args()
    if args.futex:
        futexes(args)
        return
    floor(args.floor, args.rounds)
    found = measure(args)
    show(found)
    switches(found)


if __name__ == "__main__":
    main()
