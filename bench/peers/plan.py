"""What is measured: the workloads with their parameters, and the peers. See peer.py for what a peer is."""

from dataclasses import dataclass, field
from typing import Any

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
Parameters = dict[str, Any]


def sizes(*values: int) -> list[Parameters]:
    return [{"size": value} for value in values]


@dataclass(frozen=True)
class Workload:
    what: str
    unit: str
    parameters: list[Parameters]  # the first one is the smallest: what --short does
    better: str = "lower"
    seconds: float = 0.2  # of one measurement, after the warm-up
    alone: bool = False  # each measurement in a process of its own, as it counts that process's memory
    once: bool = False  # one round is enough: it counts bytes
    together: bool = False  # all processes on one processor: they take turns, and to wake another processor costs what it wants


LARGE = (64, 4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB)
WORKLOADS = {
    "pair": Workload("Allocate an array and free it, nothing touched.", "ns", sizes(64, 4 * KIB, 64 * KIB, MIB)),
    "churn": Workload(
        "Among so many live arrays of 64 B to 4 KiB: free a random one, allocate another, write its first 8 bytes.",
        "ns",
        [{"live": n} for n in (100, 10_000, 1_000_000)],
    ),
    "handover": Workload(
        "Allocate, copy in, hand over to another process, which reads all of it and answers; free. On one processor.",
        "us",
        sizes(*LARGE, GIB),
        together=True,
    ),
    "pass": Workload(
        "Hand over an array that is there already: the other process reads its first 8 bytes and answers. On one processor.",
        "us",
        sizes(*LARGE),
        together=True,
    ),
    "fanout": Workload(
        "Allocate 1 MiB, copy in, hand over to all readers, each reads all of it and answers; free.",
        "us",
        [{"readers": n, "size": MIB} for n in (1, 4, 16)],
    ),
    "crowd": Workload(
        "Producers allocate 64 KiB, copy in, hand over; consumers read all and let go. At most 8 unread per producer.",
        "messages/s",
        [{"producers": p, "consumers": c, "size": 64 * KIB} for p, c in ((1, 1), (2, 2), (4, 4), (1, 4), (4, 1))],
        better="higher",
        seconds=0.4,
    ),
    "many": Workload(
        "100,000 arrays of 100 bytes alive in one process: memory taken for each.",
        "bytes",
        [{"count": 100_000, "size": 100}],
        alone=True,
        once=True,
    ),
    "open": Workload(
        "Create a pool or a segment of 1 GiB, nothing touched; attach to it.",
        "us",
        [{"what": "create"}, {"what": "attach"}],
    ),
    "touch": Workload(
        "Allocate 64 MiB and fill them: memory that nobody has used before, and memory of an array that was freed just before.",
        "ms",
        [{"what": "fresh"}, {"what": "warm"}],
    ),
    "recovery": Workload(
        "A process is killed with SIGKILL while it holds so many arrays of 64 bytes: the time until all of their memory "
        "can be used again. Without recovery: the bytes that stay taken of 100 arrays of 64 KiB.",
        "ms",
        [{"holds": n} for n in (100, 10_000, 1_000_000)],
        alone=True,
    ),
    "memory": Workload(
        "Shared and private memory taken, for each byte of payload.",
        "ratio",
        [{"count": c, "size": s} for c, s in ((1_000, 102_400), (100_000, 100), (10, 10 * MIB))],
        alone=True,
        once=True,
    ),
}


@dataclass(frozen=True)
class Entry:
    """A peer. A Python one is a file in python/ and the interpreter that runs it; any other is a program in build/peers/bin."""

    name: str
    kind: str  # "ndpool", "peer" or "floor"
    language: str
    program: str
    python: str = ""  # "main", or the version that it must be: "3.13"
    fetched: bool = True  # needs something that is neither in this tree nor in the standard library
    parts: tuple[str, ...] = field(default=())  # of a floor: the only workloads that it is a floor of
    spins: bool = False  # each of its processes wants a processor of its own


MEMORY = ("pair", "churn", "touch", "many", "memory")
PEERS = [
    Entry("ndpool, Go", "ndpool", "Go", "ndpool-go", fetched=False),
    Entry("ndpool, C", "ndpool", "C", "ndpool-c", fetched=False),
    Entry("ndpool, Python", "ndpool", "Python", "ndpool_pool", "main", fetched=False),
    Entry("multiprocessing.shared_memory", "peer", "Python", "shared_memory", "main", fetched=False),
    Entry("multiprocessing.shared_memory, track=False (3.13)", "peer", "Python", "shared_memory", "3.13", fetched=False),
    Entry("pickle, Pipe", "peer", "Python", "pickle_pipe", "main", fetched=False),
    Entry("pickle, Queue", "peer", "Python", "pickle_queue", "main", fetched=False),
    Entry("joblib memmap", "peer", "Python", "joblib_memmap", "main"),
    Entry("pyarraypool", "peer", "Python", "pyarraypool_pool", "3.10"),
    Entry("cute-shm", "peer", "Python", "cute_shm_project", "main"),
    Entry("SharedArray", "peer", "Python", "sharedarray", "main"),
    Entry("iceoryx2", "peer", "Python", "iceoryx2_service", "main"),
    Entry("boost.interprocess", "peer", "C++", "boost-interprocess"),
    Entry("Ray", "peer", "Python", "ray_store", "main"),
    Entry("torch.multiprocessing", "peer", "Python", "torch_mp", "main"),
    Entry("pipe, Python", "floor", "Python", "bare_pipe", "main", fetched=False, parts=("pass",)),
    Entry("numpy, private", "floor", "Python", "private", "main", fetched=False, parts=MEMORY),
    Entry("memcpy", "floor", "C", "memcpy", fetched=False, parts=("handover",)),
    Entry("pipe", "floor", "C", "pipe", fetched=False, parts=("handover", "pass")),
    Entry("futex", "floor", "C", "futex", fetched=False, parts=("pass",)),
    Entry("futex, spinning", "floor", "C", "futex-spin", fetched=False, parts=("pass",), spins=True),
    Entry("malloc", "floor", "C", "malloc", fetched=False, parts=MEMORY),
    Entry("mimalloc", "floor", "C", "mimalloc", parts=MEMORY),
    Entry("jemalloc", "floor", "C", "jemalloc", parts=MEMORY),
]


def needs(workload: str, parameters: Parameters) -> tuple[int, int]:
    """Bytes and arrays that are alive at once: what a pool is created for."""
    size, count = parameters.get("size", 0), parameters.get("count", 0)
    return {
        "pair": (64 * MIB, 1_000),
        "churn": (64 * MIB + 1_400 * parameters.get("live", 0), parameters.get("live", 0) + 1_000),
        "handover": (64 * MIB + 2 * size, 1_000),
        "pass": (64 * MIB + 2 * size, 1_000),
        "fanout": (64 * MIB, 1_000),
        "crowd": (64 * MIB, 1_000),
        "many": (64 * MIB, count + 1_000),
        "open": (GIB, 0),
        "touch": (GIB, 1_000),
        "recovery": (64 * MIB + 64 * parameters.get("holds", 0), parameters.get("holds", 0) + 1_000),
        "memory": (64 * MIB + count * size * 5 // 4, count + 1_000),
    }[workload]
