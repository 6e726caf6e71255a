"""Pools for tests, and checks that nothing of them is left."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ndpool

# A shell that runs this in the background has Ctrl-C ignored, which children and Python take over; the tests want it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PREFIX = f"ndpytest-{os.getpid()}-"


def leftovers() -> list[str]:
    """Returns files in /dev/shm that this session has made."""
    return [n for n in os.listdir("/dev/shm") if n.startswith((PREFIX, f"ndpool-{os.getpid()}-"))]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name that no pool has, and that none has at the end."""
    unique = f"{PREFIX}{abs(hash(request.node.nodeid)):x}"
    yield unique
    try:
        ndpool.unlink(unique)
    except ndpool.errors.NotExistError:
        pass


@pytest.fixture
def pool(name: str) -> Iterator[ndpool.Pool]:
    """A pool of 64 MiB, which is checked, closed and removed at the end."""
    p = ndpool.Pool.create(name, capacity="64M")
    yield p
    if not p.closed:
        report = p.verify(content=True)
        assert report.clean, [str(f) for f in report.faults]
        p.close()


@pytest.fixture
def run() -> Callable[..., str]:
    """Runs a program in a process of its own, and returns what it printed."""

    def run(program: str, *args: str, code: int = 0, **env: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("NDPOOL_")}
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), *args],
            env={**clean, "PYTHONPATH": str(Path(ndpool.__file__).parent.parent), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr or code, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Fails the session if a file of its pools is left."""
    yield
    from ndpool import _default

    _default.forget()
    assert leftovers() == []
