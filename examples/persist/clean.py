"""Removes what transfer.py has put into shared memory. The pool goes with it, unless there is more in it."""

import argparse
import sys

import ndpool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", default="ndpool-persist", help="name of the pool (ndpool-persist)")
    parser.add_argument("--name", default="example", help="of the group in it (example)")
    args = parser.parse_args()
    try:
        with ndpool.Pool.open(args.pool) as pool:
            print(f"removed {pool.remove(args.name, tree=True)} names")
    except (ndpool.errors.NotExistError, ndpool.errors.NoNameError):
        print(f"{parser.prog}: no {args.name} in pool {args.pool}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
