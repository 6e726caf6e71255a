"""The frame exchange over a semaphore: its interface, and the defects of the original, each as a test that passes here."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool.compat import frames
from ndpool.compat.frames import SharedMemoryFrameReader, SharedMemoryFrameWriter
from ndpool.errors import DTypeError, StreamEnded, WaitTimeoutError, WriterDied, WriterError

START = """
import os, signal, sys, time
import numpy as np
from ndpool.compat.frames import *
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory, and so a pool, of the test's own. Nothing may be left at the end."""
    monkeypatch.setenv("NDPOOL_DIR", str(tmp_path))
    yield tmp_path
    held = frames._pools.pop(os.path.join(tmp_path, f"frames-{os.getuid()}"), None)
    if held is not None:
        report = held.verify(content=True)
        assert report.clean, [str(f) for f in report.faults]
        held.close()
    assert os.listdir(tmp_path) == []


def start(program: str, *args: object) -> subprocess.Popen[str]:
    """Starts a program that has the test's directory."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL_") or k == "NDPOOL_DIR"}
    return subprocess.Popen(
        [sys.executable, "-c", START + textwrap.dedent(program), *map(str, args)],
        env={**env, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(child: subprocess.Popen[str], code: int = 0) -> str:
    """Returns what a program printed, which may be nothing to stderr."""
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (code, ""), f"{child.returncode}\n{out}\n{err}"
    return out.strip()


def await_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate(timeout=60)


# A writer that is always in the middle of adding a frame.
BUSY = """
writer = SharedMemoryFrameWriter("camera")
n = 0
while True:
    n += 1
    writer.add(np.full((200 + n % 3, 1000), n, "u4"))
    if n == 10:
        print("begun", flush=True)
"""


# ---- the interface


def test_names() -> None:
    for n in frames.__all__:
        assert hasattr(frames, n)
    assert frames.ShmWrite is SharedMemoryFrameWriter and frames.ShmRead is SharedMemoryFrameReader


def test_a_frame_goes_over() -> None:
    writer, reader = SharedMemoryFrameWriter("camera"), SharedMemoryFrameReader("camera")
    given = np.arange(480 * 640 * 3, dtype="u4").astype("u1").reshape(480, 640, 3)
    writer.add(given)
    got = reader.get()
    assert (got == given).all() and got.dtype == given.dtype and ndpool.is_shared(got)
    given[...] = 7  # the caller's memory is his
    assert (reader.get() == got).all() and not (got == 7).all()
    for x in (writer, reader):
        x.release()
        x.release()
    assert got[0, 0, 1] == 1


def test_a_process_of_its_own() -> None:
    reader = SharedMemoryFrameReader("/camera")
    with SharedMemoryFrameWriter("camera") as writer:
        writer.add(np.arange(5))
        child = start("print(SharedMemoryFrameReader('camera').get())")
        assert end(child) == "[0 1 2 3 4]" and list(reader.get()) == [0, 1, 2, 3, 4]
    reader.release()


def test_several_names() -> None:
    writers = [SharedMemoryFrameWriter(name) for name in ("left", "right", "top/middle")]
    for n, writer in enumerate(writers):
        writer.add(np.full(3, n))
    with SharedMemoryFrameReader("right") as right, SharedMemoryFrameReader("top/middle") as top:
        assert right.get()[0] == 1 and top.get()[0] == 2
    for writer in writers:
        writer.release()


def test_a_pool_that_is_given(pool: ndpool.Pool) -> None:
    """Programs of other languages find the stream by its name there."""
    with SharedMemoryFrameWriter("camera", pool=pool) as writer, SharedMemoryFrameReader("camera", pool=pool) as reader:
        writer.add(np.ones(3))
        assert reader.get().sum() == 3
        with pool.reader("frames/camera") as plain, plain.latest(timeout=10) as frame:
            assert frame.sequence == writer.count == 1


# ---- the defects of the original


def test_frames_are_whole() -> None:
    """There: the reader has the memory that the writer writes to."""
    child = start(BUSY)
    assert await_line(child) == "begun"
    with SharedMemoryFrameReader("camera") as reader:
        kept = []
        for _ in range(100):
            frame = reader.get()
            first = int(frame[0, 0])
            assert (frame == first).all() and frame.shape == (200 + first % 3, 1000)
            kept = [*kept[-9:], (first, frame)]
        assert all((frame == first).all() for first, frame in kept)
        kill(child)
        assert all((frame == first).all() for first, frame in kept)


def test_any_shape_and_dtype() -> None:
    """There: three dimensions of uint8."""
    given: list[Any] = [
        np.zeros((480, 640, 3), "u1"),
        np.arange(12, dtype="f4").reshape(3, 4),
        np.arange(24, dtype=">i2").reshape(2, 3, 4, 1),
        np.float64(2.5),
        np.zeros((0, 5), "c8"),
        np.array([(1, 2.5)], [("id", "i4"), ("value", "f8")]),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(20)[::-3],
        np.array([True, False]),
    ]
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        for frame in given:
            writer.add(frame)
            got = reader.get()
            assert got.dtype == frame.dtype and got.shape == frame.shape and (got == frame).all()


def test_a_frame_of_another_size() -> None:
    """There: an error while the semaphore is held, and both sides hang."""
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        for side in (10, 500, 1, 300):
            given = np.full((side, side, 3), side % 256, "u1")
            writer.add(given)
            assert (reader.get() == given).all() and reader.get().shape == given.shape


def test_what_cannot_be_a_frame_stops_nobody() -> None:
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        writer.add(np.ones(3))
        with pytest.raises(DTypeError):
            writer.add(np.array([None, "a"]))
        assert reader.get().sum() == 3
        writer.add(np.ones(4))
        assert reader.get().sum() == 4


def test_a_killed_writer_blocks_nobody() -> None:
    """There: the semaphore stays at 0 for ever. Here readers are told, and the next writer goes on."""
    with SharedMemoryFrameReader("camera") as reader:
        for _ in range(3):
            child = start(BUSY)
            assert await_line(child) == "begun"
            reader.get()
            kill(child)
            with pytest.raises(WriterDied):
                while True:
                    reader.get(new=True, timeout=30)
            last = reader.get()
            assert (last == last[0, 0]).all()
        with SharedMemoryFrameWriter("camera") as writer:
            writer.add(np.ones(3))
            assert reader.get(new=True, timeout=30).sum() == 3 and reader.count == writer.count > 30


def test_a_killed_reader_blocks_nobody() -> None:
    with SharedMemoryFrameWriter("camera") as writer:
        writer.add(np.ones(3))
        child = start("r = SharedMemoryFrameReader('camera'); f = r.get(); print('got', flush=True); time.sleep(60)")
        assert await_line(child) == "got"
        kill(child)
        for n in range(100):
            writer.add(np.full(1000, n))
        held = frames._find_pool()
        held.reap()
        assert held.stats().arrays <= 4  # the newest frame, its stream, and what the allocator says of caches


def test_a_reader_before_the_writer() -> None:
    """There: it looks once a second. Here it waits, and has the frame at once."""
    child = start(
        """
        reader = SharedMemoryFrameReader("camera")
        print("waiting", flush=True)
        frame = reader.get()
        print(time.monotonic() - frame[0], frame.shape)
        """
    )
    assert await_line(child) == "waiting"
    time.sleep(0.2)
    with SharedMemoryFrameWriter("camera") as writer:
        writer.add(np.full(3, time.monotonic()))
        seconds, shape = end(child).split(maxsplit=1)
    assert shape == "(3,)" and 0 <= float(seconds) < 0.9


def test_a_new_frame_is_known_from_one_that_was_seen() -> None:
    """There: a count that nobody reads."""
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        with pytest.raises(WaitTimeoutError):
            reader.get(timeout=0.01)
        writer.add(np.full(3, 1))
        assert reader.get()[0] == reader.get()[0] == reader.count == 1 and reader.skipped == 0
        with pytest.raises(WaitTimeoutError):
            reader.get(new=True, timeout=0.01)
        for n in (2, 3, 4):
            writer.add(np.full(3, n))
        assert reader.get(new=True, timeout=10)[0] == reader.count == 4 and reader.skipped == 2
        later = threading.Timer(0.1, lambda: writer.add(np.full(3, 5)))
        later.start()
        assert reader.get(new=True, timeout=10)[0] == 5 and reader.skipped == 2
        later.join()


def test_a_writer_that_ends_is_told() -> None:
    with SharedMemoryFrameReader("camera") as reader:
        with SharedMemoryFrameWriter("camera") as writer:
            writer.add(np.full(3, 1))
        assert reader.get()[0] == 1
        with pytest.raises(StreamEnded) as e:
            reader.get(new=True, timeout=10)
        assert not isinstance(e.value, WriterDied)
        assert reader.get()[0] == 1


def test_one_writer() -> None:
    """There: the second one takes the semaphore away from the first, and both write."""
    with SharedMemoryFrameWriter("camera"):
        child = start("SharedMemoryFrameWriter('camera')")
        _, err = child.communicate(timeout=60)
        assert child.returncode == 1 and "WriterError" in err
        with pytest.raises(WriterError):
            SharedMemoryFrameWriter("camera")
    with SharedMemoryFrameWriter("camera"):
        pass


def test_nothing_is_left(place: Path) -> None:
    """There: the semaphore. Nor does the resource tracker say anything, or take away what is in use."""
    end(start("w = SharedMemoryFrameWriter('camera'); w.add(np.ones(3)); w.release()"))
    assert os.listdir(place) == []
    end(start("w = SharedMemoryFrameWriter('camera'); w.add(np.ones(3))"))
    assert os.listdir(place) == []
    with SharedMemoryFrameWriter("camera") as writer:
        writer.add(np.ones(3))
        assert end(start("print(SharedMemoryFrameReader('camera').get().sum())")) == "3.0"
        with SharedMemoryFrameReader("camera") as reader:
            assert reader.get().sum() == 3


def test_frames_are_read_only() -> None:
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        writer.add(np.ones(3))
        with pytest.raises(ValueError, match="read-only"):
            reader.get()[0] = 2


def test_a_forked_child_has_readers_and_writers_of_its_own() -> None:
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        writer.add(np.ones(3))
        if (pid := os.fork()) == 0:
            try:
                with SharedMemoryFrameReader("camera") as mine, SharedMemoryFrameWriter("back") as answer:
                    answer.add(mine.get() + 1)
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        writer.add(np.ones(4))
        assert reader.get().shape == (4,)
        with SharedMemoryFrameReader("back") as back:
            assert list(back.get(timeout=10)) == [2, 2, 2]


def test_memory_is_bounded() -> None:
    """Frames that nobody looks at any more are free."""
    with SharedMemoryFrameWriter("camera") as writer, SharedMemoryFrameReader("camera") as reader:
        for n in range(300):
            writer.add(np.full((1 << 20,), n % 256, "u1"))
            assert reader.get()[0] == n % 256
        assert frames._find_pool().stats().held < 32 << 20
