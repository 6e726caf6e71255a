"""A tree of arrays under a name: other processes find it, whole or not at all.

The parent publishes nested dicts of numpy arrays, with attributes. Workers that are told nothing but a name look the
arrays up and see the same memory. At the end of the with block the names are gone, and the memory with them.
"""

import argparse
import json
import multiprocessing
import signal
import sys

import numpy as np

import ndpool

PREFIX = "run7"


def make(samples):
    """Returns what is to be shared. A pair is an array with its attributes."""
    random = np.random.default_rng(7)
    return {
        "positions": (random.random((samples, 3), dtype=np.float32), {"unit": "mm"}),
        "mask": random.random((100, 100)) < 0.5,
        "camera": {
            "left": (random.integers(0, 255, (480, 640), dtype=np.uint8), {"gain": np.float32(1.5), "roi": [0, 0, 640, 480]}),
            "right": random.integers(0, 255, (480, 640), dtype=np.uint8),
        },
        "events": np.array([(1, 0.5, "start"), (2, 1.5, "stop")], dtype=[("id", "i4"), ("at", "f8"), ("what", "U8")]),
        "count": np.array(samples),
    }


def describe(name):
    """Runs in a worker. The array is plain numpy, and nobody has copied it."""
    item = ndpool.default_pool().item(name)
    a = item.array
    mean = None if a.dtype.names else float(a.mean())
    return {"name": name, "shape": a.shape, "dtype": str(a.dtype), "bytes": a.nbytes, "mean": mean, "attrs": item.attrs}


def run(samples):
    """Returns what the workers found, and whether it is right."""
    pool = ndpool.default_pool()
    with pool.publish(make(samples), PREFIX, attrs={"operator": "example"}) as published:
        tree = pool.tree(PREFIX)  # nested dicts again, all of one moment
        # Ctrl-C goes to all processes of a terminal; this one decides what it means.
        with multiprocessing.Pool(2, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as workers:
            rows = workers.map(describe, published.names)
            workers.close()
            workers.join()
        right = rows[0]["mean"] == float(tree["camera"]["left"].mean()) and len(rows) == 6
    return {"arrays": rows, "right": right, "left_over": pool.names()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="rows of one of the arrays (1000)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if not 1 <= args.samples <= 10_000_000:
        parser.error("want 1 to 10000000 samples")
    ndpool.configure(capacity=args.samples * 12 + (64 << 20))
    done = run(args.samples)
    if args.json:
        print(json.dumps(done))
    else:
        for row in done["arrays"]:
            print("{name}: {dtype} {shape}, {bytes} bytes, mean {mean}, {attrs}".format(**row))
        print("names at the end:", done["left_over"] or "none")
    return not done["right"] or bool(done["left_over"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
