"""Every frame of a stream, from one process to another: python frames.py write, and python frames.py read, in any order.

examples/frames in Go and frames.c speak of the same stream, so that each can read what another one writes. Frames change
their shape all the time. The stream is lossless: the writer waits for readers of every frame, from the moment on that they
have found it; with --latest a reader takes the newest one, and nobody waits for it.
"""

import argparse
import sys

import numpy as np

import ndpool

COLUMNS = 640


def write(pool, args):
    with pool.writer(args.stream, frames=4, lossless=True) as writer:
        for n in range(1, args.frames + 1):
            frame = writer.empty((400 + n % 7, COLUMNS), np.uint32)
            frame[...] = n
            sequence = writer.publish(frame, attributes={"n": n})
    print(f"wrote {args.frames} frames, the last one is {sequence}")
    return 0


def read(pool, args):
    """Reads until the writer ends, and checks that all elements of a frame are the number that its attributes have."""
    count = skipped = mixed = last = 0
    with pool.reader(args.stream, every=not args.latest) as reader:
        print(f"waiting for {args.stream} in {pool.path}", flush=True)
        try:
            while True:
                with reader.latest() if args.latest else reader.next() as frame:
                    count, skipped, last = count + 1, skipped + frame.skipped, frame.sequence
                    mixed += not (frame.array == frame.attributes["n"]).all()
        except ndpool.errors.WriterDied:
            how = "was killed"
        except ndpool.errors.StreamEnded:
            how = "ended"
    print(f"read {count} frames, skipped {skipped}, mixed {mixed}, the last one is {last}; the writer {how}")
    return mixed > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["write", "read"])
    parser.add_argument("--pool", default="ndpool-frames", help="name of the pool (ndpool-frames)")
    parser.add_argument("--stream", default="frames", help="name of the stream in it (frames)")
    parser.add_argument("--frames", type=int, default=1000, metavar="N", help="how many to write (1000)")
    parser.add_argument("--latest", action="store_true", help="read the newest frame, not every one")
    args = parser.parse_args()
    if args.frames < 1:
        parser.error("want frames")
    try:
        with ndpool.Pool(args.pool) as pool:
            return {"write": write, "read": read}[args.role](pool, args)
    except ndpool.NdpoolError as e:
        print(f"{parser.prog}: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
