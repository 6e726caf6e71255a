"""An array that is updated in place, five times a second, under the lock of its name. client.py reads it meanwhile.

All elements of the array are to be equal. An update changes them one after the other, so who looks without the lock may
see a mixture; under the shared side of the lock nobody does.

With --crash-at N the server kills itself in the middle of its Nth update. The lock then tells everybody who gets it that
a writer died within: it is torn, and the data may be half-written. The next server is told, too, and repairs the data.
"""

import argparse
import itertools
import os
import signal
import sys
import time

import numpy as np

import ndpool

NAME = "board"


def update(board, value, crash):
    """Stores a value in all elements, slowly."""
    for k in range(board.size):
        if crash and k == board.size // 2:
            os.kill(os.getpid(), signal.SIGKILL)
        board[k] = value
        time.sleep(0.002)


def serve(pool, args):
    """Updates the array until it was done often enough, or Ctrl-C."""
    board = pool.get(NAME)
    if board is None:
        # To stay: else it would go with a server that is killed, and there would be nothing to repair.
        pool.put(NAME, np.zeros(10, np.int64), attrs={"rate": args.rate}, persistent=True)
        board = pool[NAME]
    for n in itertools.count(1):
        with pool.lock(NAME) as lock:
            if lock.torn:
                print(f"the last writer died at {board}: repairing", flush=True)
            update(board, board.max() + 1, crash=n == args.crash_at)
            value = int(board[0])
        print(f"update {value}", flush=True)
        if n == args.updates:
            return
        time.sleep(1 / args.rate)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="ndpool-lock", help="name of the pool (ndpool-lock)")
    parser.add_argument("--rate", type=float, default=5, help="updates per second (5)")
    parser.add_argument("--updates", type=int, default=0, help="how many (0: until Ctrl-C)")
    parser.add_argument("--crash-at", type=int, default=0, metavar="N", help="be killed within the Nth update (0: never)")
    args = parser.parse_args()
    if not 0 < args.rate <= 1000 or args.updates < 0 or args.crash_at < 0:
        parser.error("want a rate of up to 1000, and no negative numbers")
    with ndpool.Pool(args.pool, capacity="1M") as pool:
        try:
            serve(pool, args)
        finally:
            if NAME in pool:
                pool.remove(NAME)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
