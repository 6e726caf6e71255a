"""iceoryx2: publish-subscribe of payloads of variable size, with events as the way to wait for them, all by its Python binding.

A sample is loaned, written in place, sent, received and released: nothing is copied. It goes to all subscribers, and once only.
So fan-out is one sample, a crowd has one service for each consumer, and `pass` hands over memory that an earlier round filled.
"""

import contextlib
import ctypes
import glob
import multiprocessing as mp
import os
import shutil
import signal
import statistics
import time
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from multiprocessing.connection import Connection
from typing import Any

import iceoryx2 as iox
import numpy as np
from crew import UNREAD, source_of, sum_of
from peer import Cannot, Peer, Sample

PREFIX = "iox2-"  # its own is iox2_
GIB = 1 << 30
STUCK = 20  # seconds until a process that hears nothing gives up
SETUP = 25  # seconds that arrays may take until they are there
STOP = 4095  # the event that ends a reader; a reader's own are its number and a byte of what it read
clock = time.perf_counter
WRITABLE = 0x200  # PyBUF_WRITE
memory = ctypes.pythonapi.PyMemoryView_FromMemory
memory.restype, memory.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
iox.set_log_level(iox.LogLevel.Error)


def prefix(place: str) -> str:
    """Of what it has in /dev/shm: one for each place."""
    return f"{PREFIX}{zlib.crc32(place.encode()):08x}-"


def root(place: str) -> str:
    """Its files: beside the place, as the path of an event's socket must be short."""
    return f"{os.path.dirname(place)}/{prefix(place)}root"


class Ends:
    """A node, and the services and ports that it has."""

    def __init__(self, place: str) -> None:
        config = iox.config.default()
        shared = config.global_cfg
        shared.root_path = iox.Path.new(root(place) + "/")
        shared.prefix = iox.FileName.new(prefix(place))
        quiet = iox.SignalHandlingMode.Disabled  # Python's own handlers stay
        self.node = iox.NodeBuilder.new().config(config).signal_handling_mode(quiet).create(iox.ServiceType.Ipc)

    def service(self, name: str = "arrays", publishers: int = 1, subscribers: int = 16, unread: int = 1) -> Any:
        builder = self.node.service_builder(iox.ServiceName.new(name)).publish_subscribe(iox.Slice[ctypes.c_uint8])
        return (
            builder.max_nodes(64)
            .max_publishers(publishers)
            .max_subscribers(subscribers)
            .subscriber_max_buffer_size(unread)
            .subscriber_max_borrowed_samples(1)
            .history_size(0)
            .enable_safe_overflow(False)
            .open_or_create()
        )

    def publisher(self, service: Any, size: int, loaned: int = 1) -> Any:
        """For payloads of that size, and larger ones: then it takes more memory."""
        return (
            service.publisher_builder()
            .initial_max_slice_len(size)
            .allocation_strategy(iox.AllocationStrategy.PowerOfTwo)
            .max_loaned_samples(loaned)
            .backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )

    def event(self, name: str) -> Any:
        builder = self.node.service_builder(iox.ServiceName.new(name)).event()
        return builder.max_nodes(64).max_listeners(16).max_notifiers(32).event_id_max_value(STOP).open_or_create()


def bytes_of(sample: Any) -> np.ndarray:
    """What payload().as_memory_view() is, but without a new type of ctypes for each size, which takes 20 us."""
    payload = sample.payload()
    return np.frombuffer(memory(payload.as_ptr(), payload.len(), WRITABLE), dtype=np.uint8)


class Iceoryx2(Peer):
    """What one process does alone is done by loans of a publisher; what needs others, by methods of their own."""

    name = "iceoryx2"
    pooled = True
    leaves = (f"{PREFIX}*",)
    recovers = True

    @staticmethod
    def version() -> str:
        return version("iceoryx2")

    def __init__(self, place: str, capacity: int = 0, arrays: int = 0) -> None:
        self.place, self.arrays = place, arrays
        self.ends = Ends(place)
        self.service = self.ends.service()
        self.publisher: Any = None

    def pass_on(self) -> str:
        return self.place

    @classmethod
    def attach(cls, passed: str) -> "Iceoryx2":
        return cls(passed)

    def alloc(self, size: int) -> Any:
        if self.publisher is None:  # the first array says what size to begin with
            self.publisher = self.ends.publisher(self.service, size, max(1, self.arrays))
        return self.publisher.loan_slice_uninit(size)

    def array(self, item: Any) -> np.ndarray:
        return bytes_of(item)

    def free(self, item: Any) -> None:
        item.delete()

    def give(self, item: Any) -> Any:
        raise Cannot("has its own channel")

    def take(self, token: Any) -> Any:
        raise Cannot("has its own channel")

    def drop(self, item: Any) -> None:
        item.delete()

    def close(self) -> None:
        self.publisher = self.service = None
        del self.ends
        remove_rest(self.place)

    @classmethod
    def handover(cls, place: str, seconds: float, size: int) -> Iterator[Sample]:
        yield rounds(place, seconds, size, 1)

    @classmethod
    def fanout(cls, place: str, seconds: float, readers: int, size: int) -> Iterator[Sample]:
        yield rounds(place, seconds, size, readers)

    @classmethod
    def pass_(cls, place: str, seconds: float, size: int) -> Iterator[Sample]:
        note = "a sample is sent once: each round loans memory that an earlier one filled"
        yield {**rounds(place, seconds, size, 1, everything=False), "note": note}

    @classmethod
    def crowd(cls, place: str, seconds: float, producers: int, consumers: int, size: int) -> Iterator[Sample]:
        yield {"value": crowd(place, seconds, producers, consumers, size)}

    @classmethod
    def open(cls, place: str, seconds: float, what: str) -> Iterator[Sample]:
        yield opening(place, seconds, what)

    @classmethod
    def recovery(cls, place: str, seconds: float, holds: int) -> Iterator[Sample]:
        yield {"value": recovery(place, holds)}


# ---- rounds: one publisher, and readers that answer each sample


class Writer:
    """The end that publishes, and waits until all readers have answered."""

    def __init__(self, ends: Ends, size: int, readers: int) -> None:
        self.ends, self.size, self.readers = ends, size, readers
        self.publisher = ends.publisher(ends.service(), size)
        self.there = ends.event("there").notifier_builder().create()
        self.back = ends.event("back").listener_builder().create()

    def send(self, source: np.ndarray | None) -> None:
        """Loans, copies in if there is what, and sends."""
        sample = self.publisher.loan_slice_uninit(self.size)
        if source is not None:
            np.copyto(bytes_of(sample), source)
        reached = sample.assume_init().send()
        if reached != self.readers:
            raise RuntimeError(f"a sample reached {reached} of {self.readers} readers")
        self.there.notify()

    def answers(self, want: int) -> None:
        """An event of each reader, with a byte of what it read."""
        left = self.readers
        while left:
            for event in wait(self.back):
                if event & 255 != want:
                    raise RuntimeError(f"a reader read {event & 255}, and {want} was sent")
                left -= 1

    def stop(self) -> None:
        self.there.notify_with_custom_event_id(iox.EventId.new(STOP))

    def close(self) -> None:
        del self.publisher, self.there, self.back, self.ends


def wait(listener: Any) -> list[int]:
    """The events that came, after a wait until there are some: it can also wake up for none, as when two came at once."""
    begin = clock()
    while not (events := listener.timed_wait(iox.Duration.from_secs(STUCK))):
        if clock() - begin > STUCK:
            raise RuntimeError(f"no answer within {STUCK} s")
    return [event.id.as_value for event in events]


def reader(ready: "Connection[Any, Any]", place: str, number: int, everything: bool) -> None:
    """Another process: receives, reads, releases, answers."""
    ends = Ends(place)
    subscriber = ends.service().subscriber_builder().create()
    there = ends.event("there").listener_builder().create()
    back = ends.event("back").notifier_builder().create()
    ready.send(None)
    while STOP not in wait(there):
        while (sample := subscriber.receive()) is not None:
            array = bytes_of(sample)
            got = sum_of(array) if everything else int(array[0])
            del array
            sample.delete()
            back.notify_with_custom_event_id(iox.EventId.new(number << 8 | got & 255))


def rounds(place: str, seconds: float, size: int, readers: int, everything: bool = True) -> Sample:
    source = source_of(size) if everything else np.full(size, 7, np.uint8)
    words = source.view(np.uint64)
    base, number = int(words[1:].sum()), 0
    writer = Writer(Ends(place), size, readers)

    def step(copy: bool = True) -> float:
        nonlocal number
        if everything:
            number += 1
            words[0] = number
        begin = clock()
        writer.send(source if copy else None)
        writer.answers((base + number) & 255 if everything else 7)
        return clock() - begin

    with others(reader, [(place, n, everything) for n in range(readers)], place):
        for _ in range(2):
            step()
        times = timed(lambda: step(everything), seconds)
        writer.stop()
    writer.close()
    remove_rest(place)
    return times


def timed(step: Any, seconds: float) -> Sample:
    """The median time of a step in microseconds, after a warm-up of a quarter of the time."""
    end = clock() + seconds / 4
    while clock() < end:
        step()
    end, found = clock() + seconds, [step()]
    while clock() < end:
        found.append(step())
    found.sort()
    return {"value": statistics.median(found) * 1e6, "n": len(found), "p99": found[int(0.99 * (len(found) - 1))] * 1e6}


@contextlib.contextmanager
def others(work: Any, arguments: list[Any], place: str) -> "Iterator[list[tuple[Any, Connection[Any, Any]]]]":
    """Processes that do some work, once all of them are ready. They are not there any more at the end."""
    context = mp.get_context("spawn")
    started: list[Any] = []
    try:
        for args in arguments:
            here, there = context.Pipe()
            process = context.Process(target=child, args=(work, there, *args), daemon=True)
            process.start()
            there.close()
            started.append((process, here))
        for _, here in started:
            here.recv()
        yield started
        for process, _ in started:
            process.join(5)
    finally:
        for process, here in started:
            process.kill()
            process.join()
            here.close()


def child(work: Any, ready: "Connection[Any, Any]", *args: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who measures ends it
    with contextlib.suppress(EOFError, BrokenPipeError):
        work(ready, *args)


# ---- a crowd: a service for each consumer, and every producer publishes to all of them in turn


def producer(ready: "Connection[Any, Any]", place: str, size: int, producers: int, consumers: int) -> None:
    ends, source = Ends(place), source_of(size)
    unread = max(1, UNREAD // consumers)
    targets = []
    for k in range(consumers):
        publisher = ends.publisher(ends.service(f"arrays {k}", producers, 1, unread), size)
        targets.append((publisher, ends.event(f"there {k}").notifier_builder().create()))
    ready.send(None)
    end = ready.recv()
    while clock() < end:
        for publisher, notifier in targets:
            sample = publisher.loan_slice_uninit(size)
            np.copyto(bytes_of(sample), source)
            sample.assume_init().send()  # waits while there are too many unread
            notifier.notify()
    ready.send(None)
    ready.recv()  # unread samples go with their publisher


def consumer(ready: "Connection[Any, Any]", place: str, number: int, producers: int, consumers: int) -> None:
    """Counts the samples that it reads in the time that is told."""
    ends = Ends(place)
    subscriber = ends.service(f"arrays {number}", producers, 1, max(1, UNREAD // consumers)).subscriber_builder().create()
    there = ends.event(f"there {number}").listener_builder().create()
    ready.send(None)
    begin, end = ready.recv()
    count = 0
    while STOP not in wait(there):
        while (sample := subscriber.receive()) is not None:
            sum_of(bytes_of(sample))
            sample.delete()
            count += begin <= clock() < end
    ready.send(count)


def crowd(place: str, seconds: float, producers: int, consumers: int, size: int) -> float:
    ends = Ends(place)
    stops = [ends.event(f"there {k}").notifier_builder().create() for k in range(consumers)]
    with (
        others(consumer, [(place, k, producers, consumers) for k in range(consumers)], place) as reading,
        others(producer, [(place, size, producers, consumers)] * producers, place) as writing,
    ):
        begin = clock() + seconds / 4
        for _, link in reading:
            link.send((begin, begin + seconds))
        for _, link in writing:
            link.send(begin + seconds)
        for _, link in writing:
            link.recv()
        for stop in stops:
            stop.notify_with_custom_event_id(iox.EventId.new(STOP))
        count = sum(link.recv() for _, link in reading)
        for _, link in writing:
            link.send(None)
    del stops, ends
    remove_rest(place)
    return count / seconds


# ---- making, attaching, dying


def opening(place: str, seconds: float, what: str) -> Sample:
    """Create: node, service and a publisher of a GiB. Attach: another node, the service, and a subscriber."""

    def create() -> Any:
        ends = Ends(place)
        service = ends.service()
        return ends, service, ends.publisher(service, GIB)

    def attach() -> Any:
        ends = Ends(place)
        service = ends.service()
        return ends, service, service.subscriber_builder().create()

    step, kept = (create, None) if what == "create" else (attach, create())
    found = []
    end = clock() + 1.25 * seconds
    while clock() < end or len(found) < 3:
        begin = clock()
        made = step()
        found.append(clock() - begin)
        del made
    del kept
    remove_rest(place)
    return {"value": statistics.median(found[len(found) // 5 :]) * 1e6, "n": len(found)}


def holder(ready: "Connection[Any, Any]", place: str, holds: int) -> None:
    """Loans samples and keeps them until it is killed."""
    ends = Ends(place)
    publisher, samples = ends.publisher(ends.service(), 64, holds), []
    end = clock() + SETUP
    for n in range(holds):
        samples.append(publisher.loan_slice_uninit(64))
        bytes_of(samples[-1])[:] = 1
        if n % 1024 == 0 and clock() > end:
            break
    ready.send(len(samples))
    ready.recv()


def recovery(place: str, holds: int) -> float:
    """Milliseconds from the death of a process until another node has cleaned up after it: its memory is gone."""
    ends = Ends(place)
    service = ends.service()
    with others(holder, [(place, holds)], place) as (one,):
        segments = [path for path in mine(place) if path.endswith(".data")]
        if not segments:
            raise RuntimeError("the memory of the other process was not found")
        begin = clock()
        os.kill(one[0].pid, signal.SIGKILL)
        while any(map(os.path.exists, segments)):
            ends.node.try_cleanup_dead_nodes()
            if clock() - begin > 20:
                raise Cannot("not cleaned up 20 s after the death")
        took = clock() - begin
    del service, ends
    remove_rest(place)
    return took * 1e3


def mine(place: str) -> list[str]:
    return glob.glob(f"/dev/shm/{prefix(place)}*")


def remove_rest(place: str) -> None:
    """What it leaves on purpose: empty directories, and sixteen bytes that all nodes share."""
    for path in mine(place):
        if path.endswith(".global_mgmt"):
            os.unlink(path)
    shutil.rmtree(root(place), ignore_errors=True)


PEER = Iceoryx2
