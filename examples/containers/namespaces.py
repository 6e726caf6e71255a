"""A stream between containers, without a container runtime: what README.md says of them, done by unshare.

Each "container" has its own mount, PID and IPC namespace, and its own /dev/shm of 64 MB, and the directory that they share
is mounted in it as /dev/shm/ndpool. In one of them a reader waits; a writer in another one publishes, is killed, and the next
one, in a third, goes on. All of them have the process id 1. Wants root, or user namespaces that anybody may make.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

import ndpool

POOL, STREAM, INSIDE = "shared", "camera", "/dev/shm/ndpool"
FRAMES = 50  # that the reader wants of each writer

# Runs as root of the new namespaces, with the shared directory, an empty one, and the program to become. Without a /proc
# of its own, which a container may refuse to make, it sees the outer one; that is as well.
SETUP = """
set -e
mount -t tmpfs -o size=64m shm "$2"
mkdir "$2/ndpool"
mount --bind "$1" "$2/ndpool"
mount --rbind "$2" /dev/shm
mount -t proc proc /proc 2>/dev/null || true
shift 2
exec "$@"
"""


def container(*command):
    """Returns a command that runs another one in namespaces of its own. The arguments are a shell's after the setup."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", *command]


# ---- inside


def tell(**event):
    print(json.dumps(event), flush=True)


def write():
    """Publishes frames until somebody ends this."""
    with ndpool.Pool(POOL, dir=INSIDE, capacity="32M") as pool, pool.writer(STREAM) as writer:
        tell(pid=os.getpid())
        for n in range(sys.maxsize):
            frame = writer.empty((100 + n % 5, 1000), np.uint32)
            frame[...] = n
            writer.publish(frame, attributes={"n": n})
            time.sleep(0.002)


def read():
    """Reads frames of one writer, until that is killed, and then of the next."""
    tell(pid=os.getpid())
    with ndpool.Pool(POOL, dir=INSIDE, capacity="32M") as pool, pool.reader(STREAM) as reader:
        for _ in range(2):
            first = last = None
            whole = True
            with contextlib.suppress(ndpool.errors.StreamEnded):
                for count in range(1, sys.maxsize):
                    with reader.latest(timeout=60) as frame:
                        first, last = first or frame.sequence, frame.sequence
                        whole = whole and bool((frame.array == frame.attributes["n"]).all())
                        if count == FRAMES:
                            tell(first=first, whole=whole)
            tell(last=last, whole=whole, died=True)
    tell(left=True)


def fill():
    """Asks for more than this container's own /dev/shm has, and is told so."""
    tell(pid=os.getpid())
    arrays = []
    with ndpool.Pool("large", capacity="1G") as pool:
        try:
            while True:
                arrays.append(pool.zeros(8 << 20, np.uint8))
        except ndpool.errors.NoMemoryError as e:
            tell(arrays=len(arrays), error=str(e))
        finally:
            arrays.clear()


# ---- outside


class Container:
    """A process in namespaces of its own, which tells what happens a line at a time."""

    def __init__(self, role, shared, scratch):
        program = [sys.executable, os.path.abspath(__file__), "--inside", role]
        command = container(SETUP, "sh", shared, scratch, *program)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self.await_event("pid")["pid"]

    def await_event(self, key):
        """Returns the next event that has a key."""
        for line in self.process.stdout:
            event = json.loads(line)
            if key in event:
                return event
        raise OSError(f"a container ended early, with {self.process.wait()}")

    def kill(self):
        """Kills unshare, which waits outside, and with it by SIGKILL the process inside."""
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.process.stdout.close()


def refused():
    """Returns why there can be no namespaces here, None if there can."""
    try:
        mount = 'mount -t tmpfs shm "$0"'
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run(container(mount, scratch), capture_output=True, text=True, timeout=60)
    except OSError as e:
        return f"unshare: {e}"
    return done.stderr.strip() or f"unshare: {done.returncode}" if done.returncode else None


def play(shared, scratch, say):
    """Plays the story, and returns what happened."""
    story = {}
    with contextlib.ExitStack() as stack:

        def begin(role):
            made = Container(role, shared, scratch)
            stack.callback(made.close)
            return made

        reader = begin("read")
        say(f"a reader waits in a container, where it is process {reader.pid}")
        first = begin("write")
        begun = reader.await_event("first")
        say(f"a writer publishes in another one, where it is process {first.pid} too: frame {begun['first']} and so on arrived")
        first.kill()
        told = reader.await_event("died")
        say(f"the writer was killed, which the reader was told after frame {told['last']}")
        second = begin("write")
        again = reader.await_event("first")
        say(f"a writer in a third container goes on with frame {again['first']}")
        with ndpool.Pool.open(POOL, dir=shared) as pool:
            story["processes"] = [p.pid for p in pool.processes() if not p.self]
            report = pool.verify()
            story["clean"] = report.clean
        second.kill()
        reader.await_event("left")
        story["pids"] = [reader.pid, first.pid, second.pid]
        story["whole"] = begun["whole"] and told["whole"] and again["whole"]
        story["goes_on"] = told["last"] < again["first"]
        full = begin("fill").await_event("error")
        say(f"more than a container's own /dev/shm of 64 MB: {full['arrays']} arrays of 8 MiB, then: {full['error']}")
        story["fitted"], story["error"] = full["arrays"], full["error"]
    with ndpool.Pool(POOL, dir=shared) as pool:  # both writers were killed: somebody sweeps what they held
        pool.reap()
    story["left_over"] = os.listdir(shared)
    return story


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--inside", choices=["read", "write", "fill"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        {"read": read, "write": write, "fill": fill}[args.inside]()
        return 0
    if why := refused():
        print(f"{parser.prog}: there can be no namespaces here: {why}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    say = (lambda text: None) if args.json else lambda text: print(text, flush=True)
    with tempfile.TemporaryDirectory(prefix="ndpool-containers-", dir="/dev/shm") as shared:
        with tempfile.TemporaryDirectory() as scratch:
            story = play(shared, scratch, say)
    if args.json:
        print(json.dumps(story))
    else:
        print("frames whole: {whole}; the pool is clean: {clean}; left over: {left_over}".format(**story))
    return not (story["whole"] and story["goes_on"] and story["clean"] and not story["left_over"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
