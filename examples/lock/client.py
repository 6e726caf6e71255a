"""Reads the array that server.py updates, under the shared side of the lock of its name. Any number of clients may.

Ends when the server has removed the name, after Ctrl-C there.
"""

import argparse
import sys
import time

import ndpool

NAME = "board"


def read(pool, args):
    """Returns how many reads saw a mixture under a lock that is not torn: none."""
    mixed = 0
    for n in range(1, sys.maxsize):
        with pool.lock(NAME).shared as lock:
            seen, torn = pool[NAME].copy(), lock.torn
        whole = bool((seen == seen[0]).all())
        mixed += not whole and not torn
        note = "torn: a writer died within, do not trust it" if torn else "whole" if whole else "mixed"
        print(f"{seen} {note}", flush=True)
        if n == args.reads:
            break
        time.sleep(1 / args.rate)
    return mixed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="ndpool-lock", help="name of the pool (ndpool-lock)")
    parser.add_argument("--rate", type=float, default=10, help="reads per second (10)")
    parser.add_argument("--reads", type=int, default=0, help="how many (0: until Ctrl-C)")
    args = parser.parse_args()
    if not 0 < args.rate <= 1000 or args.reads < 0:
        parser.error("want a rate of up to 1000, and no negative number")
    try:
        with ndpool.Pool.open(args.pool) as pool:
            return read(pool, args) > 0
    except ndpool.errors.NotExistError:
        print(f"{parser.prog}: no pool {args.pool}: start server.py first", file=sys.stderr)
        return 1
    except ndpool.errors.NoNameError:
        print("the server has ended")
        return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
