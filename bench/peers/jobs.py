"""Runs a measuring program: lines of JSON that it prints, within a time, and nothing of it is left afterwards."""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from taken import SHM, files, unused

LITTER = ("sem.mp-*", "sem.loky-*")  # semaphores of multiprocessing and joblib, which a killed process leaves
PR_SET_CHILD_SUBREAPER = 36
GRACE = 3  # seconds that helpers of a program that has ended, such as Python's resource tracker, have to end as well

stop = threading.Event()  # set by Ctrl-C: every program is ended


class Failed(Exception):
    """The program did not do it: why."""


class TimedOut(Exception):
    """The program said nothing for too long."""


def adopt_orphans() -> None:
    """Makes processes whose parent ends children of this one, so that they can be waited for, and ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def lines(command: list[str], given: str, limit: float) -> Iterator[dict[str, Any]]:
    """What a program prints. It may take limit seconds for each line. Raises TimedOut, or Failed with its last words."""
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as stdin:
        stdin.write(given.encode())
        stdin.seek(0)
        program = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=told, start_new_session=True)
        try:
            for text in texts(program.stdout, limit):
                yield parsed(text)
            code = program.wait(GRACE)
            if code != 0:
                raise Failed(f"exit code {code}: {last_words(told)}")
        except (subprocess.TimeoutExpired, TimedOut):
            raise Failed(f"nothing for {limit:.0f} s: {last_words(told)}") from None
        finally:
            end(program)


def words(command: list[str]) -> str:
    """What a program says of itself."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as e:
        raise Failed(f"{os.path.basename(command[0])} {command[1]}: {e}") from None


def texts(pipe: Any, limit: float) -> Iterator[bytes]:
    rest, deadline = b"", time.monotonic() + limit
    while True:
        if stop.is_set():
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            raise TimedOut
        if not select.select([pipe], [], [], 0.2)[0]:
            continue
        got = os.read(pipe.fileno(), 1 << 16)
        if not got:
            return
        *whole, rest = (rest + got).split(b"\n")
        yield from whole
        if whole:
            deadline = time.monotonic() + limit


def parsed(text: bytes) -> dict[str, Any]:
    try:
        got = json.loads(text)
    except ValueError:
        got = None
    if not isinstance(got, dict):
        raise Failed(f"prints what is no sample: {text[:80].decode(errors='replace')!r}")
    return got


def last_words(told: Any) -> str:
    told.seek(0)
    words = told.read().decode(errors="replace").strip().splitlines()
    return words[-1] if words else "says nothing"


def end(program: subprocess.Popen[bytes]) -> None:
    """Ends a program with all that it has started."""
    if program.poll() is None:
        signal_group(program.pid, signal.SIGKILL)
        program.wait()
    deadline = time.monotonic() + GRACE
    while group_lives(program.pid):
        if time.monotonic() > deadline:
            signal_group(program.pid, signal.SIGKILL)
        time.sleep(0.01)
    if program.stdout:
        program.stdout.close()


def group_lives(pid: int) -> bool:
    """Tells whether there are processes of the program's group, and takes the dead ones away."""
    with contextlib.suppress(ChildProcessError):
        while os.waitid(os.P_PGID, pid, os.WEXITED | os.WNOHANG):
            pass
    try:
        os.killpg(pid, 0)
    except OSError:
        return False
    return True


def signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def end_strangers() -> None:
    """Ends children that have left the group of the program that started them: daemons that it left behind."""
    for _ in range(100):
        with open(f"/proc/self/task/{os.getpid()}/children") as f:
            strangers = [int(pid) for pid in f.read().split()]
        if not strangers:
            return
        for pid in strangers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


class Place:
    """An empty directory on tmpfs, and what a program leaves there, beside it, and in files that match leaves."""

    def __init__(self, leaves: tuple[str, ...]) -> None:
        self.path, self.leaves = tempfile.mkdtemp(prefix="ndpool-peers-", dir=SHM), leaves
        self.before = set(files(self.path, leaves + LITTER))

    def left(self, leaves: tuple[str, ...]) -> list[str]:
        """Files that have come up and that no process uses: others on this machine may have such, too."""
        return unused(set(files(self.path, leaves)) - self.before)

    def left_bytes(self) -> int:
        return sum(os.stat(path).st_blocks * 512 for path in self.left(self.leaves))

    def remove(self) -> None:
        found = self.left(self.leaves + LITTER)
        if found:
            time.sleep(1)  # another program's file may be a moment old, and not mapped yet: it is looked at twice
        for name in unused(set(found)):
            with contextlib.suppress(OSError):
                os.unlink(name)
        shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def place(leaves: tuple[str, ...], keep: bool) -> Iterator[Place]:
    made = Place(leaves)
    try:
        yield made
    finally:
        if not keep:
            made.remove()
