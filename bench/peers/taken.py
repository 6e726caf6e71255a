"""What memory is taken: by files in shared memory, and by this process alone."""

import contextlib
import glob
import os
from dataclasses import dataclass

SHM = "/dev/shm"


@dataclass(frozen=True)
class Taken:
    shared: int
    private: int
    fds: int
    maps: int


def taken(place: str, leaves: tuple[str, ...]) -> Taken:
    return Taken(shared(place, leaves), private(), len(os.listdir("/proc/self/fd")), maps())


def shared(place: str, leaves: tuple[str, ...]) -> int:
    """Bytes of memory behind the files of place, those that match leaves, and those that this process has open."""
    found: dict[tuple[int, int], int] = {}
    memory = os.stat(SHM).st_dev
    for path in (*files(place, leaves), *(f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))):
        with contextlib.suppress(OSError):
            s = os.stat(path)
            if s.st_dev == memory or (s.st_nlink == 0 and s.st_blocks):  # a memfd has no name
                found[s.st_dev, s.st_ino] = s.st_blocks * 512
    return sum(found.values())


def files(place: str, leaves: tuple[str, ...]) -> list[str]:
    """Files of a place, with those that are named after it, and those that match leaves in shared memory."""
    inside = [os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names]
    beside = [path for pattern in (os.path.basename(place) + "?*", *leaves) for path in glob.glob(f"{SHM}/{pattern}")]
    return inside + beside


def unused(paths: set[str]) -> list[str]:
    """Those of the files in shared memory that no process has mapped, of all that we may ask.

    They are told by their numbers: a semaphore is mapped before it gets its name."""
    numbers = mapped() if paths else set()
    return sorted(path for path in paths if (n := number(path)) and n not in numbers)


def number(path: str) -> int:
    """A file's inode number, 0 if it is gone."""
    with contextlib.suppress(OSError):
        return os.stat(path).st_ino
    return 0


def mapped() -> set[int]:
    """The inode numbers of what any process has mapped from shared memory."""
    device = os.stat(SHM).st_dev
    here, found = f"{os.major(device):02x}:{os.minor(device):02x}", set()
    for path in glob.glob("/proc/[0-9]*/maps"):
        with contextlib.suppress(OSError), open(path) as f:
            found |= {int(words[4]) for line in f if (words := line.split(None, 5))[3] == here}
    return found


def private() -> int:
    """Bytes of memory that no other process has: not of files, and not of shared memory."""
    with open("/proc/self/smaps_rollup") as f:
        return sum(int(line.split()[1]) << 10 for line in f if line.startswith("Anonymous:"))


def maps() -> int:
    with open("/proc/self/maps", "rb") as f:
        return f.read().count(b"\n")
