"""Arrays that stay: 1. transfer.py puts them there and ends, 2. read.py reads them, 3. clean.py removes them.

Names that are persistent keep their arrays, and the pool, until somebody removes them. `python -m ndpool names POOL` shows
them meanwhile. Transferring again replaces the arrays in one change: who reads meanwhile has the old ones or the new ones.
"""

import argparse
import sys

import numpy as np

import ndpool


def make(size):
    """Returns what is to stay."""
    random = np.random.default_rng()
    return {
        "weights": (random.normal(size=(size, size)), {"model": "example", "layer": 1}),
        "labels": {"train": random.integers(0, 10, size), "test": random.integers(0, 10, size // 10)},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="ndpool-persist", help="name of the pool (ndpool-persist)")
    parser.add_argument("--name", default="example", help="of the group in it (example)")
    parser.add_argument("--size", type=int, default=500, help="rows and columns of one of the arrays (500)")
    parser.add_argument("--keep", action="store_true", help="refuse to replace what is there")
    args = parser.parse_args()
    if not 10 <= args.size <= 5000:
        parser.error("want a size of 10 to 5000")
    try:
        with ndpool.Pool(args.pool) as pool:
            published = pool.publish(make(args.size), args.name, overwrite=not args.keep, persistent=True)
            print(f"{pool.path}: {', '.join(published.names)}, version {published.version}")
    except (ndpool.NdpoolError, ValueError) as e:
        print(f"{parser.prog}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
