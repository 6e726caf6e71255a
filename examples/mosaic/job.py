"""One pass over all tiles with worker processes in Go, of which one may be killed."""

import collections
import os
import struct
import subprocess
import threading
import time

import numpy as np

import ndpool

HANDS = 2  # tiles that a worker has at a time, so that it never waits for the next one


class Worker:
    """A worker process, attached to the pool by a descriptor that it inherits."""

    def __init__(self, pool, program):
        fd = pool.fileno()
        env = {**os.environ, "NDPOOL_MOSAIC_POOL": str(fd), "NDPOOL_MOSAIC_PARENT": str(pool.process)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([program], stdin=pipe, stdout=pipe, bufsize=0, pass_fds=[fd], env=env)
        self.held = collections.deque()  # pairs of a tile and its message, oldest first
        try:
            self.id = struct.unpack("<Q", self.read(8))[0]
        except EOFError:
            raise SystemExit(f"mosaic: {program} did not start: it ended with {self.process.wait()}") from None

    def read(self, count):
        """Reads exactly so many bytes, and raises EOFError if they do not come."""
        data = b""
        while len(data) < count:
            more = self.process.stdout.read(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def close(self):
        """Closes the pipes, on which the worker leaves, and returns its exit code."""
        self.process.stdin.close()
        code = self.process.wait()
        self.process.stdout.close()
        return code


class Job:
    """One pass over all tiles. A tile is waiting in todo, held by a worker, or done."""

    def __init__(self, pool, photo, size, program):
        self.pool, self.photo, self.program = pool, photo, program
        self.result = np.empty_like(photo)
        height, width = photo.shape[:2]
        corners = [(y, x) for y in range(0, height, size) for x in range(0, width, size)]
        self.tiles = [(slice(y, min(y + size, height)), slice(x, min(x + size, width))) for y, x in corners]
        self.todo = collections.deque(range(len(self.tiles)))
        self.done = 0
        self.redone = []
        self.deaths = 0
        self.refused = 0  # transfers that dead workers had no time to tell about
        self.lock = threading.Lock()  # guards done, redone, deaths and refused
        self.stopped = False
        self.errors = []

    def serve(self, workers, place):
        """Keeps the worker in one place busy until there are no more tiles, and replaces it when it dies."""
        while not self.stopped:
            try:
                self.feed(workers[place])
                return
            except (EOFError, BrokenPipeError):
                if self.stopped:
                    return
                self.bury(workers[place])
                if self.deaths > 2 * len(workers):
                    raise SystemExit("mosaic: too many workers died") from None
                workers[place] = Worker(self.pool, self.program)

    def run(self, workers, place):
        """Is serve for a thread: an error ends the job."""
        try:
            self.serve(workers, place)
        except BaseException as e:
            self.errors.append(e)
            self.stopped = True

    def feed(self, worker):
        while not self.stopped:
            while len(worker.held) < HANDS and (n := self.next()) is not None:
                # The message is of a view. Its transfer keeps the photograph, whoever lives.
                worker.held.append((n, self.pool.send(self.photo[self.tiles[n]])))
                worker.process.stdin.write(worker.held[-1][1])
            if not worker.held:
                return
            result = self.pool.adopt(worker.read(16))
            n, _ = worker.held.popleft()
            self.result[self.tiles[n]] = result
            del result  # the last reference: its memory is free for the next tile
            with self.lock:
                self.done += 1

    def next(self):
        try:
            return self.todo.popleft()
        except IndexError:
            return None

    def bury(self, worker):
        """Ends what a worker has to do with the pool, and puts its tiles back."""
        worker.process.kill()
        worker.close()
        for n, message in worker.held:
            try:
                self.pool.recall(message)
            except ndpool.errors.SpentError:
                pass  # it had taken the tile; reap sweeps what it held
            self.todo.append(n)
        self.pool.reap()
        refused = self.pool.refuse(worker.id)  # what it sent and had no time to tell about
        with self.lock:
            self.refused += refused
            self.deaths += 1
            self.redone += [n for n, _ in worker.held]

    def kill(self, victim):
        """Kills a worker when a third of the tiles are done and the pool shows that it holds an array. Returns how it
        went, None if there was no such moment."""
        while self.done < len(self.tiles) and not self.stopped:
            if self.done >= max(1, len(self.tiles) // 3):
                held = [p.arrays for p in self.pool.processes() if p.id == victim.id]
                if held and held[0] > 0:
                    victim.process.kill()
                    return {"pid": victim.process.pid, "done": self.done, "arrays": held[0], "redone": self.redone}
            time.sleep(0.0001)
        return None


def work(job, workers, kill):
    """Runs the job, and returns the seconds and the kills."""
    start = time.perf_counter()
    threads = [threading.Thread(target=job.run, args=(workers, i)) for i in range(len(workers))]
    for thread in threads:
        thread.start()
    try:
        killed = job.kill(workers[-1]) if kill else None
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C: the threads end when their workers do
        job.stopped = True
        for worker in list(workers):
            worker.process.kill()
        for thread in threads:
            thread.join()
        raise
    if job.errors:
        raise job.errors[0]
    return time.perf_counter() - start, [killed] if killed else []
