"""Shows the newest frame of a stream that writer.py publishes, or anybody else. Any number of viewers may.

It may be started before the writer. It waits without polling; a frame that it looks at is the writer's memory, and stays
whole while the writer goes on. When the writer ends, or is killed, the viewer says so and waits for the next one.

--png and --window want OpenCV; windows want opencv-python, not opencv-python-headless.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time

import ndpool


class Report:
    """What a viewer has seen."""

    def __init__(self):
        self.frames, self.skipped, self.last, self.ended, self.died = 0, 0, 0, 0, 0
        self.latencies, self.pictures = [], []
        self.told = time.monotonic()

    def count(self, frame):
        """Counts a frame, and tells about it once a second."""
        now = time.monotonic()
        self.frames, self.skipped, self.last = self.frames + 1, self.skipped + frame.skipped, frame.sequence
        self.latencies = [*self.latencies[-99:], (time.monotonic_ns() - frame.monotonic) / 1e6]
        if self.frames == 1 or now >= self.told + 1:
            self.told = now
            shape = " x ".join(map(str, frame.array.shape))
            print(f"frame {frame.sequence}: {shape} {frame.array.dtype}, {self}, {frame.attributes}", file=sys.stderr)

    def __str__(self):
        return f"{self.latency():.3f} ms old, {self.skipped} skipped"

    def latency(self):
        """Returns the median of the last ones, in milliseconds."""
        return statistics.median(self.latencies or [0])


def view(reader, report, args, show):
    """Looks at frames until there were enough, or the time is over."""
    end = time.monotonic() + args.seconds if args.seconds else float("inf")
    while not args.frames or report.frames < args.frames:
        try:
            with reader.latest(max(0, min(0.05 if args.window else 10, end - time.monotonic()))) as frame:
                report.count(frame)
                if show(frame, report):
                    return
        except ndpool.errors.WaitTimeoutError:
            if time.monotonic() >= end or show(None, report):
                return
        except ndpool.errors.StreamEnded as e:
            died = isinstance(e, ndpool.errors.WriterDied)
            report.ended, report.died = report.ended + (not died), report.died + died
            print(f"the writer {'was killed' if died else 'has ended'}: waiting for another", file=sys.stderr)
            if args.until_end:
                return


def shower(args):
    """Returns what shows frames: it takes a frame, or None to look after the window, and tells whether to end."""
    if not args.png and not args.window:
        return lambda frame, report: False
    import cv2

    def show(frame, report):
        if args.png and frame is not None and (report.frames - 1) % args.every == 0:
            path = os.path.join(args.png, f"frame-{frame.sequence:06}.png")
            if not cv2.imwrite(path, frame.array):
                raise OSError(f"{path} cannot be written")
            report.pictures.append(path)
        if args.window and frame is not None:
            cv2.imshow(args.stream, frame.array)
        return args.window and cv2.waitKey(1) & 0xFF == ord("q")

    if args.png:
        os.makedirs(args.png, exist_ok=True)
    if args.window:
        try:
            cv2.namedWindow(args.stream)
        except cv2.error:
            raise OSError("this OpenCV has no windows, or there is no display: use --png") from None
    return show


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="ndpool-camera", help="name of the pool (ndpool-camera)")
    parser.add_argument("--dir", help="directory of its file (/dev/shm)")
    parser.add_argument("--stream", default="camera", help="name of the stream in it (camera)")
    parser.add_argument("--png", metavar="DIR", help="write frames as PNG files")
    parser.add_argument("--every", type=int, default=30, metavar="N", help="write every Nth of those seen (30)")
    parser.add_argument("--window", action="store_true", help="show frames in a window; q ends")
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="end after N frames")
    parser.add_argument("--seconds", type=float, default=0, help="end after that time (0: until Ctrl-C)")
    parser.add_argument("--until-end", action="store_true", help="end with the writer")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if args.frames < 0 or args.seconds < 0 or args.every < 1:
        parser.error("want no negative numbers")
    if args.window and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        parser.error("there is no display: use --png")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = Report()
    try:
        show = shower(args)
        with ndpool.Pool(args.pool, dir=args.dir) as pool, pool.reader(args.stream) as reader:
            print(f"waiting for {args.stream} in {pool.path}", file=sys.stderr)
            try:
                view(reader, report, args, show)
            finally:
                tell(report, args.json)
    except ImportError:
        print(f"{parser.prog}: --png and --window want OpenCV: pip install opencv-python", file=sys.stderr)
        return 1
    except (ndpool.NdpoolError, OSError) as e:
        print(f"{parser.prog}: {e}", file=sys.stderr)
        return 1
    return 0


def tell(report, as_json):
    if as_json:
        keys = ("frames", "skipped", "last", "ended", "died", "pictures")
        print(json.dumps({**{key: getattr(report, key) for key in keys}, "latency_ms": report.latency()}))
    else:
        print(f"{report.frames} frames, the last one is {report.last}; {report}; {len(report.pictures)} written")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
