"""The examples in Python, as programs. Also runs without pytest: python test_examples.py.

Those that need Go have their tests in Go, beside them."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

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


def test_trees() -> None:
    """Workers find a tree by its name, and it is gone at the end."""
    found = check("trees.py", "--samples", "50")
    assert found["right"] and found["left_over"] == []
    names = {row["name"]: row for row in found["arrays"]}
    assert set(names) == {f"run7/{n}" for n in ("positions", "mask", "camera/left", "camera/right", "events", "count")}
    assert names["run7/positions"]["attrs"] == {"unit": "mm"} and names["run7/count"]["mean"] == 50
    assert names["run7/camera/left"]["attrs"] == {"gain": 1.5, "roi": [0, 0, 640, 480]}


def test_hdf5_tree() -> None:
    """Workers have what is in a file."""
    try:
        import h5py  # noqa: F401
    except ImportError:
        child = start("hdf5_tree.py")
        _, err = child.communicate(timeout=100)
        assert child.returncode == 1 and "pip install" in err and "Traceback" not in err
        return
    found = check("hdf5_tree.py", "--megabytes", "0.5")
    names = {row["name"]: row for row in found["arrays"]}
    assert found["left_over"] == found["skipped"] == [] and "data/scalar" in names
    assert names["data/compound"]["shape"] == [2] and names["data/image"]["shape"] == [250, 250]
    assert found["attrs"]["data/image"] == {"unit": "counts", "offset": 0.25} and found["bytes"] > 500_000


def test_persist() -> None:
    """What one process has put there another reads, until a third removes it."""
    pool = f"ndpytest-{os.getpid()}-persist"
    place = f"/dev/shm/{pool}"
    assert failed("persist/read.py", "--pool", pool) and failed("persist/clean.py", "--pool", pool)
    assert "version 1" in run("persist/transfer.py", "--pool", pool, "--size", "20")
    rows = json.loads(run("persist/read.py", "--pool", pool, "--json"))
    assert [row["name"] for row in rows] == ["labels/test", "labels/train", "weights"]
    assert [row["shape"] for row in rows] == [[2], [20], [20, 20]] and rows[2]["attrs"] == {"model": "example", "layer": 1}
    assert failed("persist/transfer.py", "--pool", pool, "--keep")
    assert run("persist/read.py", "--pool", pool).count("version 1") == 3
    assert "version 2" in run("persist/transfer.py", "--pool", pool, "--size", "20") and os.path.exists(place)
    assert "removed 3 names" in run("persist/clean.py", "--pool", pool) and not os.path.exists(place)
    for program in ("transfer", "read", "clean"):
        assert "usage:" in run(f"persist/{program}.py", "--help")


def failed(program: str, *args: str) -> bool:
    """Tells whether an example has said what is wrong, and ended with code 1."""
    child = start(program, *args)
    _, err = child.communicate(timeout=100)
    return child.returncode == 1 and err.count("\n") == 1


def test_lock() -> None:
    """Clients see whole arrays only, and are told of a server that was killed within an update."""
    pool = f"ndpytest-{os.getpid()}-lock"
    assert failed("lock/client.py", "--pool", pool)
    server = start("lock/server.py", "--pool", pool, "--rate", "50")
    assert server.stdout is not None and server.stdout.readline() == "update 1\n"
    lines = run("lock/client.py", "--pool", pool, "--reads", "20", "--rate", "100").splitlines()
    assert len(lines) == 20 and all(line.endswith("] whole") for line in lines) and len(set(lines)) > 1
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=30)
    assert server.returncode == 130 and not os.path.exists(f"/dev/shm/{pool}")
    server = start("lock/server.py", "--pool", pool, "--rate", "50", "--crash-at", "2")
    server.communicate(timeout=30)
    assert server.returncode == -signal.SIGKILL
    seen = run("lock/client.py", "--pool", pool, "--reads", "2")
    assert seen.count("torn: a writer died") == 2 and seen.startswith("[2 2 2 2 2 1 1 1 1 1]")
    told = run("lock/server.py", "--pool", pool, "--rate", "50", "--updates", "2")
    assert "the last writer died at [2 2 2 2 2 1 1 1 1 1]: repairing\nupdate 3\nupdate 4" in told
    assert told.count("repairing") == 1 and not os.path.exists(f"/dev/shm/{pool}")
    for program in ("server", "client"):
        assert "usage:" in run(f"lock/{program}.py", "--help")


def test_a_client_ends_with_its_server() -> None:
    pool = f"ndpytest-{os.getpid()}-lock"
    server = start("lock/server.py", "--pool", pool, "--rate", "50")
    assert server.stdout is not None and server.stdout.readline() == "update 1\n"
    client = start("lock/client.py", "--pool", pool, "--rate", "50")
    assert client.stdout is not None and client.stdout.readline().endswith("whole\n")
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=30)
    out, err = client.communicate(timeout=30)
    assert (client.returncode, err) == (0, "") and out.endswith("the server has ended\n")
    assert not os.path.exists(f"/dev/shm/{pool}")


def test_queue_workers() -> None:
    """Another Queue is imported, and the results are the same."""
    found = check("queue_workers.py", "--images", "6", "--megapixels", "0.2")
    assert found["equal"] and found["results_shared"]


def test_frames() -> None:
    """Every frame arrives, or is counted as skipped. A writer that is killed is told of, and the next one goes on."""
    pool = f"ndpytest-{os.getpid()}-frames"
    reader = start("frames.py", "read", "--pool", pool)
    assert reader.stdout is not None and "waiting for frames" in reader.stdout.readline()
    assert run("frames.py", "write", "--pool", pool, "--frames", "50") == "wrote 50 frames, the last one is 50\n"
    assert counts(reader) == (50, "ended")
    with ndpool.Pool(pool):
        reader = start("frames.py", "read", "--latest", "--pool", pool)
        assert reader.stdout is not None and "waiting for frames" in reader.stdout.readline()
        writer = start("frames.py", "write", "--pool", pool, "--frames", "1000000")
        await_begin(writer)
        writer.kill()
        writer.communicate(timeout=30)
        last, how = counts(reader)
        assert last > 0 and how == "was killed"
        assert run("frames.py", "write", "--pool", pool, "--frames", "5") == f"wrote 5 frames, the last one is {last + 5}\n"
    assert not os.path.exists(f"/dev/shm/{pool}")


def counts(reader: subprocess.Popen[str]) -> tuple[int, str]:
    """Returns the last frame that a reader has seen, and what became of the writer. Nothing may have been lost or mixed."""
    out, err = reader.communicate(timeout=100)
    assert (reader.returncode, err) == (0, ""), f"{reader.returncode}\n{out}\n{err}"
    words = out.replace(",", "").replace(";", "").split()
    read, skipped, mixed, last = (int(word) for word in words if word.isdigit())
    assert read + skipped == last and mixed == 0, out
    return last, out.strip().partition("the writer ")[2]


def test_frames_in_c() -> None:
    """What C writes Python reads, and the other way."""
    cc = shutil.which("cc")
    if cc is None or shutil.which("make") is None:
        skipped("the example in C needs make and cc (Debian packages make and gcc)")
        return
    root, pool = EXAMPLES.parent, f"ndpytest-{os.getpid()}-frames-c"
    subprocess.run(["make", "-s", "-C", str(root / "python/csrc"), "lib"], check=True, capture_output=True, timeout=300)
    built = root / "build/c/plain"
    with tempfile.TemporaryDirectory() as scratch:
        program = f"{scratch}/frames"
        options = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-I", str(built), "-L", str(built), f"-Wl,-rpath,{built}"]
        subprocess.run([cc, *options, str(EXAMPLES / "frames.c"), "-lndpool", "-o", program], check=True, timeout=100)
        reader = start("frames.py", "read", "--pool", pool)
        assert reader.stdout is not None and "waiting for frames" in reader.stdout.readline()
        done = subprocess.run([program, "write", pool, "frames", "50"], capture_output=True, text=True, timeout=100)
        assert (done.stdout, done.stderr) == ("wrote 50 frames, the last one is 50\n", "")
        assert counts(reader) == (50, "ended")
        pipe = subprocess.PIPE
        reader = subprocess.Popen([program, "read", pool, "frames"], stdout=pipe, stderr=pipe, text=True)
        assert reader.stdout is not None and "waiting for frames" in reader.stdout.readline()
        writer = start("frames.py", "write", "--pool", pool, "--frames", "1000000")
        await_begin(writer)
        writer.kill()
        writer.communicate(timeout=30)
        last, how = counts(reader)
        assert last > 0 and how == "was killed"
        assert subprocess.run([program, "write", pool], capture_output=True, timeout=100).returncode == 2
    assert not os.path.exists(f"/dev/shm/{pool}")


def skipped(why: str) -> None:
    """Says loudly that something was not tested. Under CI that fails."""
    assert not os.environ.get("CI"), f"under CI every test must run: {why}"
    warnings.warn(f"SKIPPED: {why}", stacklevel=2)


def test_camera() -> None:
    """A viewer sees whole frames, and goes on with another writer. scripts/venv says so if there is no OpenCV."""
    pool = f"ndpytest-{os.getpid()}-camera"
    if importlib.util.find_spec("cv2") is None:
        child = start("camera/writer.py", "--pool", pool)
        _, err = child.communicate(timeout=100)
        assert child.returncode == 1 and "pip install" in err and "Traceback" not in err
        return
    with tempfile.TemporaryDirectory() as scratch:
        pictures = f"{scratch}/png"
        args = ["--frames", "150", "--png", pictures, "--every", "25", "--json"]
        viewer = start("camera/viewer.py", "--pool", pool, *args)
        assert viewer.stderr is not None and "waiting for camera" in viewer.stderr.readline()
        writer = start("camera/writer.py", "--pool", pool, "--generate", "--fps", "200")
        assert "480 x 640 x 3 uint8" in viewer.stderr.readline()
        writer.kill()
        writer.communicate(timeout=30)
        while (told := viewer.stderr.readline()).startswith("frame "):
            pass
        assert told == "the writer was killed: waiting for another\n", told
        published = run("camera/writer.py", "--pool", pool, "--generate", "--fps", "300", "--frames", "600")
        assert "published 600 frames, 600 of them written straight into the pool" in published
        out, err = viewer.communicate(timeout=100)
        assert viewer.returncode == 0 and "Traceback" not in err, err
        found = json.loads(out)
        assert found["frames"] == 150 and found["died"] == 1 and found["ended"] == 0
        assert [os.path.join(pictures, n) for n in sorted(os.listdir(pictures))] == found["pictures"]
        check_pictures(found["pictures"], 6)
    for program in ("writer", "viewer"):
        assert "usage:" in run(f"camera/{program}.py", "--help")
    assert not os.path.exists(f"/dev/shm/{pool}")


def check_pictures(paths: list[str], count: int) -> None:
    """Asserts that each picture is of one frame: it has its number at the top and at the bottom."""
    import cv2

    source = module("camera/source.py")
    numbers = [source.read_numbers(cv2.imread(path)) for path in paths]
    assert len(numbers) == count and all(top == bottom for top, bottom in numbers), numbers
    assert len({top for top, _ in numbers}) > 1, numbers


def module(program: str) -> Any:
    """Returns an example as a module."""
    spec = importlib.util.spec_from_file_location(Path(program).stem, EXAMPLES / program)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


class OtherSource:
    """A camera that says one size and has another."""

    shape, name, seconds = (5, 5, 3), "other", 0.0

    def read(self, out: Any) -> Any:
        frame = out if out.shape == (6, 7, 3) else np.empty((6, 7, 3), np.uint8)
        frame[...] = 9
        return frame


def test_a_camera_of_another_size_than_it_says() -> None:
    """The first frame is copied, and then no more."""
    pool = f"ndpytest-{os.getpid()}-other"
    with ndpool.Pool(pool) as p, p.writer("camera") as w, p.reader("camera") as r:
        settings = argparse.Namespace(frames=4, seconds=0)
        assert module("camera/writer.py").publish(w, OtherSource(), settings) == (4, 1)
        with r.latest(timeout=10) as frame:
            assert frame.array.shape == (6, 7, 3) and (frame.array == 9).all()
    assert not os.path.exists(f"/dev/shm/{pool}")


def test_a_video_of_another_size() -> None:
    """A file is played, its last frames again and again, and who wants a window is told that there is none."""
    if importlib.util.find_spec("cv2") is None:
        return
    import cv2

    pool = f"ndpytest-{os.getpid()}-video"
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/short.avi"
        video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, (160, 120))
        for n in range(7):
            video.write(np.full((120, 160, 3), 20 * n, np.uint8))
        video.release()
        told = run("camera/writer.py", "--pool", pool, "--video", path, "--fps", "500", "--frames", "20")
        assert "short.avi, 160 x 120" in told and "20 frames, 20 of them" in told
        assert failed("camera/writer.py", "--pool", pool, "--video", f"{scratch}/none.avi")


def test_containers() -> None:
    """A stream between mount, PID and IPC namespaces: the docs' story of containers."""
    child = start("containers/namespaces.py", "--json")
    out, err = child.communicate(timeout=100)
    if child.returncode == os.EX_UNAVAILABLE:
        skipped(err.strip())
        return
    assert child.returncode == 0 and "Traceback" not in err, f"{child.returncode}\n{out}\n{err}"
    found = json.loads(out)
    assert found["pids"] == [1, 1, 1] and found["whole"] and found["goes_on"] and found["clean"]
    assert 0 < found["fitted"] < 8 and "large" in found["error"] and found["left_over"] == []


def await_begin(child: subprocess.Popen[str]) -> None:
    """Waits until an example has shared memory, and is at work."""
    deadline = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < deadline:
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        if "/dev/shm/" in maps or "/memfd:" in maps:
            break
        time.sleep(0.02)
    time.sleep(1)


def test_interrupted() -> None:
    """Ctrl-C ends an example and its workers, and leaves no pool."""
    pool = f"ndpytest-{os.getpid()}-lock"
    for program, args in {
        "lock/server.py": ["--pool", pool],
        "frames.py": ["read", "--pool", pool],
        "camera/viewer.py": ["--pool", pool],
        "queue_workers.py": ["--images", "256", "--megapixels", "4"],
        "pool_map.py": ["--images", "256", "--megapixels", "10"],
        "executor.py": ["--rounds", "1000"],
        "photo/compare.py": ["--rounds", "1000", "--megapixels", "2"],
    }.items():
        child = start(program, *args)
        await_begin(child)
        early = child.poll() is not None
        if not early:
            os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=30)  # its workers have these pipes too
        assert early or child.returncode == 130, (program, child.returncode, err)
        assert left_by(child) == [] and not os.path.exists(f"/dev/shm/{pool}")


if __name__ == "__main__":
    for test in (
        test_pool_map,
        test_executor,
        test_compare,
        test_trees,
        test_hdf5_tree,
        test_persist,
        test_lock,
        test_a_client_ends_with_its_server,
        test_queue_workers,
        test_frames,
        test_frames_in_c,
        test_camera,
        test_a_camera_of_another_size_than_it_says,
        test_a_video_of_another_size,
        test_containers,
        test_interrupted,
    ):
        test()
        print(f"{test.__name__}: ok")
