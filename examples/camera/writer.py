"""Publishes the frames of a camera as a stream. viewer.py shows them, and so does the Go program in view/.

OpenCV writes each frame straight into the pool, so that nothing is copied. Viewers take the newest frame when they like, and
keep it as long as they like; none of them can hold this program up. Without a camera it plays a video, which it makes.

Wants OpenCV: pip install opencv-python, or opencv-python-headless. Several writers cannot share a stream: give each a
--stream of its own. If this one is killed the viewers are told, and the next one goes on.
"""

import argparse
import signal
import sys
import time

import numpy as np

import ndpool


def publish(writer, source, args):
    """Publishes frames until the time is over, or there are no more. Returns how many, and how many of them were copied."""
    shape, copied = source.shape, 0
    end = time.monotonic() + args.seconds if args.seconds else float("inf")
    for n in range(args.frames or sys.maxsize):
        if time.monotonic() >= end:
            return n, copied
        out = writer.empty(shape, np.uint8)
        frame = source.read(out)
        if frame is None:
            return n, copied
        if not np.may_share_memory(frame, out):  # it has another size than expected, and OpenCV made memory of its own
            copied, shape = copied + 1, frame.shape
            out = writer.empty(shape, np.uint8)
            out[...] = frame
        writer.publish(out, attributes={"source": source.name, "seconds": round(source.seconds, 3)})
    return args.frames, copied


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="ndpool-camera", help="name of the pool (ndpool-camera)")
    parser.add_argument("--dir", help="directory of its file (/dev/shm)")
    parser.add_argument("--stream", default="camera", help="name of the stream in it (camera)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--device", type=int, metavar="N", help="number of the camera (0, if there is one)")
    where.add_argument("--video", metavar="FILE", help="play a file")
    where.add_argument("--generate", action="store_true", help="play a video that is made here, also if there is a camera")
    parser.add_argument("--fps", type=float, default=0, help="frames a second of a video (its own)")
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="end after N frames")
    parser.add_argument("--seconds", type=float, default=0, help="end after that time (0: until Ctrl-C)")
    args = parser.parse_args()
    if not 0 <= args.fps <= 1000 or args.seconds < 0 or args.frames < 0:
        parser.error("want a rate of up to 1000, and no negative numbers")
    try:
        from source import open_source
    except ImportError:
        print(f"{parser.prog}: wants OpenCV: pip install opencv-python", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ndpool.Pool(args.pool, dir=args.dir) as pool, pool.writer(args.stream) as writer:
            with open_source(args.device, args.video, args.generate, args.fps) as source:
                height, width = source.shape[:2]
                print(f"{source.name}, {width} x {height}: {args.stream} in {pool.path}", flush=True)
                published, copied = publish(writer, source, args)
    except (ndpool.NdpoolError, OSError) as e:
        print(f"{parser.prog}: {e}", file=sys.stderr)
        return 1
    print(f"published {published} frames, {published - copied} of them written straight into the pool")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
