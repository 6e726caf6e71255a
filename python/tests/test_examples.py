"""The examples in Python, as programs. Also runs without pytest: python test_examples.py.

Those that need Go have their tests in Go, beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ndpool

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def start(program: str, *args: str) -> subprocess.Popen[str]:
    """Starts an example with the package that this process has, and without a pool of somebody else."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NDPOOL")}
    env["PYTHONPATH"] = str(Path(ndpool.__file__).parent.parent)
    # Some versions of CPython say of their own executor that it should not fork.
    options = ["-X", "dev", "-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *options, str(EXAMPLES / program), *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=heed_ctrl_c
    )


def heed_ctrl_c() -> None:
    """What a shell has started in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(program: str, *args: str) -> str:
    """Runs an example that has nothing to complain about, and returns what it printed."""
    child = start(program, *args)
    out, err = child.communicate(timeout=100)
    told = f"{child.returncode}\n{out}\n{err}"
    assert child.returncode == 0 and "Traceback" not in err and "Warning" not in err, told
    assert left_by(child) == []
    return out


def left_by(child: subprocess.Popen[str]) -> list[str]:
    """Returns the default pools that a process left behind."""
    return [name for name in os.listdir("/dev/shm") if name.startswith(f"ndpool-{child.pid}-")]


def check(program: str, *args: str) -> dict[str, Any]:
    """Runs an example for people and for programs, and returns what it told the latter."""
    assert run(program, *args).strip()
    assert "usage:" in run(program, "--help")
    found: dict[str, Any] = json.loads(run(program, *args, "--json"))
    return found


def test_pool_map() -> None:
    """Workers change arrays in place, and answer with arrays of their own."""
    found = check("pool_map.py", "--images", "4", "--megapixels", "0.1")
    assert found["brightened_in_place"] and found["counted"] and found["results_shared"]


def test_executor() -> None:
    """A program that knows nothing of pools has the same results with one."""
    found = check("executor.py", "--signals", "3", "--samples", "50000", "--rounds", "2")
    assert found["identical"] and found["results_shared"]


def test_compare() -> None:
    """The photograph's job in Python alone."""
    found = check("photo/compare.py", "--megapixels", "0.3", "--tile", "100", "--rounds", "1", "--workers", "2")
    assert found["wrong"] == [] and found["clean"] and found["arrays"] == 0
    assert found["compared"] == 6 and found["tiles"] == 35


def test_interrupted() -> None:
    """Ctrl-C ends an example and its workers, and leaves no pool."""
    for program, args in {
        "pool_map.py": ["--images", "256", "--megapixels", "10"],
        "executor.py": ["--rounds", "1000"],
        "photo/compare.py": ["--rounds", "1000", "--megapixels", "2"],
    }.items():
        child = start(program, *args)
        time.sleep(1.5)
        early = child.poll() is not None
        if not early:
            os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=30)  # its workers have these pipes too
        assert early or child.returncode == 130, (program, child.returncode, err)
        assert left_by(child) == []


if __name__ == "__main__":
    for test in (test_pool_map, test_executor, test_compare, test_interrupted):
        test()
        print(f"{test.__name__}: ok")
