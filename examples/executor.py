"""concurrent.futures with programs that know nothing of pools.

The function below takes and returns ordinary numpy arrays. After ndpool.install, in this process and in the workers,
large ones are copied into a pool when they are sent, and received without another copy: nothing is pickled. Without
it the same program pickles them. Both are timed.
"""

import argparse
import json
import signal
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import ndpool


def smooth(samples):
    """Runs in a worker, and has never heard of ndpool: returns the running mean of two samples."""
    return (samples[1:] + samples[:-1]) / 2


def start(shared):
    """Prepares a worker. Ctrl-C goes to all processes of a terminal; the parent decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if shared:
        ndpool.install()


def run(shared, signals, workers, rounds):
    """Returns the median of the seconds, and the last results."""
    if shared:
        ndpool.install()
    try:
        with ProcessPoolExecutor(workers, initializer=start, initargs=(shared,)) as executor:
            seconds = []
            for _ in range(rounds + 1):
                begin = time.perf_counter()
                results = list(executor.map(smooth, signals))
                seconds.append(time.perf_counter() - begin)
            return statistics.median(seconds[1:]), results  # the first one starts the workers
    finally:
        ndpool.uninstall()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=4, help="how many (4)")
    parser.add_argument("--samples", type=int, default=400_000, help="of each (400000)")
    parser.add_argument("--workers", type=int, default=2, help="how many (2)")
    parser.add_argument("--rounds", type=int, default=5, help="timed ones of each way (5)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if min(args.signals, args.samples - 1, args.workers, args.rounds) < 1 or args.signals * args.samples > 1 << 30:
        parser.error("want at least 1 signal of 2 samples, 1 worker and 1 round, and at most 2**30 samples in all")
    ndpool.configure(capacity=args.signals * args.samples * 8 * 4 + (64 << 20))
    signals = [np.sin(np.arange(args.samples) * (n + 1) / 100) for n in range(args.signals)]
    by_handle, shared = run(True, signals, args.workers, args.rounds)
    pickled, plain = run(False, signals, args.workers, args.rounds)
    done = {
        "by_handle": by_handle,
        "pickled": pickled,
        "results_shared": all(map(ndpool.is_shared, shared)) and not any(map(ndpool.is_shared, plain)),
        "identical": all(np.array_equal(a, b) for a, b in zip(shared, plain, strict=True)),
    }
    if args.json:
        print(json.dumps(done))
    else:
        print(f"{args.signals} signals of {args.samples} samples, medians of {args.rounds} rounds")
        print("through a pool {by_handle:.3f} s, pickled {pickled:.3f} s; identical: {identical}".format(**done))
    return not (done["results_shared"] and done["identical"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
