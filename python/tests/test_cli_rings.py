"""python -m ndpool: rings, follow; and what the other verbs tell of streams and queues."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ndpool
from ndpool._cli import main


def ok(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(args) == 0, capsys.readouterr().err
    out = capsys.readouterr()
    assert out.err == ""
    return out.out


def ok_json(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    return json.loads(ok(capsys, "--json", *args))


def fails(capsys: pytest.CaptureFixture[str], code: int, *args: str) -> str:
    assert main(args) == code
    out = capsys.readouterr()
    assert "Traceback" not in out.err
    return out.err


def comm() -> str:
    with open("/proc/self/comm") as f:
        return f.read().strip()


# ---- rings


def test_rings(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    assert ok(capsys, "rings", pool.name) == f"no streams or queues in {pool.name}\n"
    assert ok_json(capsys, "rings", pool.name) == {"name": pool.name, "rings": []}
    with (
        pool.writer("live", frames=4, lossless=True) as w,
        pool.reader("live", every=True) as r,
        pool.queue("jobs", maxsize=8) as q,
        pool.queue(maxsize=8) as nameless,
    ):
        for n in range(3):
            w.publish(pool.zeros(256 * (n + 1), "f4"))
        r.next().release()
        q.put(pool.zeros(256, "f4"))
        lines = ok(capsys, "rings", pool.name).splitlines()
        assert lines[0].split() == "NAME KIND ITEMS LIMIT PUT WRITER READERS NEWEST BYTES FLAGS".split()
        assert re.fullmatch(r"jobs +queue +1 +8 +1  - +- +\S+ +1 KiB  -", lines[1])
        who = f"{os.getpid()} {re.escape(comm())}"
        assert re.fullmatch(rf"live +stream +3 +4 +3  {who} +1, 2 behind +\S+ +6 KiB  lossless", lines[2])
        assert re.fullmatch(r"[0-9a-f]{16}  queue +0 +8 +0  - +- +- +0 B  -", lines[3])
        jobs, live, _ = ok_json(capsys, "rings", pool.name)["rings"]
        assert live["writer"]["pid"] == os.getpid() and live["writer_state"] == "alive"
        assert (live["entries"], live["put"], live["behind"], live["readers"]) == (3, 3, 2, 1)
        assert (jobs["kind"], jobs["names"], jobs["items"], jobs["shut"]) == ("queue", ["jobs"], 1, False)
        assert 0 <= live["age_seconds"] < 60
        assert "1 stream, 2 queues (rings)" in ok(capsys, "stat", pool.name)
        del nameless
    assert re.search(r"\nlive .*  ended  ", ok(capsys, "rings", pool.name))


def test_rings_as_the_go_command_tells(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    cli = os.environ.get("NDPOOL_CLI")
    if not cli:
        pytest.skip("NDPOOL_CLI is not set")
    with pool.writer("live") as w, pool.queue("jobs") as q:
        w.publish(pool.zeros(10))
        q.put(pool.zeros(10))
        found = ok_json(capsys, "rings", pool.name)
        told = json.loads(subprocess.run([cli, "--json", "rings", pool.name], capture_output=True, check=True).stdout)
        names = ok_json(capsys, "names", pool.name)
        told_names = json.loads(
            subprocess.run([cli, "--json", "names", pool.name], capture_output=True, check=True).stdout
        )
    for r in (*found["rings"], *told["rings"]):
        del r["age_seconds"], r["newest"]
    assert found == told
    assert names == told_names


def test_they_are_no_arrays(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    pool["x"] = [1, 2]
    with pool.writer("live"), pool.queue("jobs"):
        lines = ok(capsys, "names", pool.name).splitlines()
        assert re.fullmatch(r"jobs  queue +\S+ [KM]iB +\d+  the pool", lines[1])
        assert re.fullmatch(r"live  stream +384 B +\d+  the pool", lines[2])
        assert re.fullmatch(rf"x     array +<i8 +\(2,\) +16 B +\d+  {os.getpid()}\(0\)", lines[3])
        table = ok(capsys, "ls", pool.name)
        assert re.search(r"\n[0-9a-f]{16}  stream +384 B +\d+\(0\) +0  named\n", table) and "|u1" not in table
        for a in ok_json(capsys, "ls", pool.name)["arrays"]:
            assert ("dtype" in a) == (a["kind"] == "array") == (a["shape"] is not None)
        assert ok(capsys, "rm", pool.name, "live", "jobs") == "live: 1 name removed\njobs: 1 name removed\n"


# ---- follow


def test_follow(capsys: pytest.CaptureFixture[str], pool: ndpool.Pool) -> None:
    with pool.writer("live", frames=3) as w:
        for n in range(4):
            w.publish(pool.zeros(n + 1, "f4"), attributes={"n": n, "evil\x1b": "\x1b[2J"})
        titles, line = ok(capsys, "follow", pool.name, "live", "-n", "1").splitlines()
        assert titles.split() == "SEQUENCE SKIPPED AGE DTYPE SHAPE BYTES ATTRIBUTES".split()
        assert re.fullmatch(r" +4 +2 +\S+  <f4 +\(4,\) +16 B  \{.*\}", line) and "\x1b" not in line
        out = ok(capsys, "follow", pool.name, "live", "-n", "3", "--every").splitlines()
        assert [row.split()[:2] for row in out[1:]] == [["2", "0"], ["3", "0"], ["4", "0"]]
        found = ok_json(capsys, "follow", pool.name, "live", "-n", "1")
        assert (found["sequence"], found["skipped"], found["dtype"], found["shape"]) == (4, 2, "<f4", [4])
        assert found["attributes"] == {"n": 3, "evil\x1b": "\x1b[2J"} and 0 <= found["age_seconds"] < 60
        assert "no frame came for 0.05 s" in fails(capsys, 1, "follow", pool.name, "live", "-n", "2", "-t", "0.05")
    assert "there is no stream not yet yet" in fails(capsys, 1, "follow", pool.name, "not yet", "-t", "0.05")
    assert fails(capsys, 2, "follow", pool.name, "live", "-n", "0")
    assert fails(capsys, 2, "follow", pool.name, "a//b")
    with pool.queue("jobs"):
        assert "(rings tells" in fails(capsys, 1, "follow", pool.name, "jobs")


def test_follow_across_writers(pool: ndpool.Pool, run: Callable[..., str]) -> None:
    command = [sys.executable, "-m", "ndpool", "--json", "follow", pool.name, "live", "--every"]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert follower.stdout and follower.stderr
    try:
        assert follower.stderr.readline() == "ndpool: there is no stream live yet\n"
        with pool.writer("live") as w:
            w.publish(np.zeros(3))
            assert json.loads(follower.stdout.readline())["sequence"] == 1
        assert "has ended; waiting" in follower.stderr.readline()
        program = """
            import os, signal, sys, ndpool
            pool = ndpool.Pool.open(sys.argv[1])
            w = pool.writer("live")
            w.publish(pool.zeros(3))
            os.kill(os.getpid(), signal.SIGKILL)
        """
        run(program, pool.name, code=-signal.SIGKILL)
        assert json.loads(follower.stdout.readline())["sequence"] == 2
        assert "died; waiting" in follower.stderr.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 0
    finally:
        follower.kill()
        follower.stdout.close()
        follower.stderr.close()
        follower.wait()
