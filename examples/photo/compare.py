"""The job of photo in Python alone: multiprocessing with arrays in a pool, and with plain ones, side by side.

The same worker processes sharpen the same tiles, sent through the same queues. Once the picture lies in a pool, and
tiles and results go by reference; once it is a plain numpy array, and they are pickled as always. The rounds
take turns. All results are compared bit by bit. Exits with 1 if any differs or anything leaked.
"""

import argparse
import gc
import json
import math
import multiprocessing
import signal
import statistics
import sys
import time

import numpy as np
from worker import sharpen, sharpen_into

import ndpool


def weights_of(sigma):
    """Returns the weights of a Gaussian blur as worker.py wants them; their sum on both sides is 4096."""
    radius = math.ceil(2 * sigma)
    gauss = np.exp(-((np.arange(-radius, radius + 1) / sigma) ** 2) / 2)
    half = (gauss / gauss.sum() * 4096).astype(np.uint32)[: radius + 1]
    half[radius] = 4096 - 2 * half[:radius].sum()
    return half


def picture(height, width):
    """Returns a plain array: some light, and some noise."""
    y, x = np.ogrid[0 : 20 : height * 1j, 0 : 30 : width * 1j]
    light = 100 + 100 * np.sin(x, dtype=np.float32) * np.cos(y, dtype=np.float32)
    noise = np.random.default_rng(1).integers(0, 50, (height, width, 4), np.uint8)
    return light.astype(np.uint8)[..., np.newaxis] + noise


def serve(pool, jobs, results):
    """A worker process. What comes by reference is answered by reference."""
    results.put(None)
    while (job := jobs.get()) is not None:
        number, tile, area, weights, amount = job
        shape = (area[3] - area[1], area[2] - area[0], 4)
        out = pool.empty(shape, np.uint8) if ndpool.is_shared(tile) else np.empty(shape, np.uint8)
        sharpen_into(out, tile, area, weights, amount)
        results.put((number, out))
        del job, tile, out


def cut(height, width, size, radius):
    """Returns tiles: where each is in the picture, where it is with all that must be seen for it, and where it is in
    that, as (x0, y0, x1, y1)."""
    tiles = []
    for y in range(0, height, size):
        for x in range(0, width, size):
            y1, x1 = min(y + size, height), min(x + size, width)
            top, left = max(y - radius, 0), max(x - radius, 0)
            halo = slice(top, min(y1 + radius, height)), slice(left, min(x1 + radius, width))
            tiles.append(((slice(y, y1), slice(x, x1)), halo, (x - left, y - top, x1 - left, y1 - top)))
    return tiles


def through_workers(result, photo, tiles, work, jobs, results):
    """Does the job once, into an array that is there."""
    for number, (_, halo, area) in enumerate(tiles):
        jobs.put((number, photo[halo], area, *work))
    for _ in tiles:
        number, pixels = results.get()
        result[tiles[number][0]] = pixels


def alone(result, photo, tiles, work):
    """Does it in this process."""
    for place, halo, area in tiles:
        result[place] = sharpen(photo[halo], area, *work)


def compare(pool, args, jobs, results):
    """Runs the rounds. Returns the report. The first round warms all memory and is not counted."""
    height = max(16, math.isqrt(int(args.megapixels * 1e6 * 2 / 3)))
    plain = picture(height, height * 3 // 2)
    shared, result = pool.array(plain), np.empty_like(plain)
    work = weights_of(1.0), np.int32(round(1.5 * 256))
    tiles = cut(*plain.shape[:2], args.tile, len(work[0]) - 1)
    expected = sharpen(plain, (0, 0, plain.shape[1], plain.shape[0]), *work)
    ways = {
        "by_handle": lambda: through_workers(result, shared, tiles, work, jobs, results),
        "pickled": lambda: through_workers(result, plain, tiles, work, jobs, results),
        "alone": lambda: alone(result, plain, tiles, work),
    }
    times, wrong = {how: [] for how in ways}, []
    for _ in range(args.workers):
        results.get()  # that it has started
    for n in range(args.rounds + 1):
        for how, do in ways.items():
            result[:] = 0  # what another round has left must not count
            start = time.perf_counter()
            do()
            times[how] += [time.perf_counter() - start] if n else []
            if not np.array_equal(result, expected):
                wrong.append(f"round {n}, {how}: pixels differ")
    return {
        "width": plain.shape[1], "height": height, "tiles": len(tiles), "tile_pixels": args.tile,
        "workers": args.workers, "rounds": args.rounds, "compared": 3 * args.rounds + 3, "seconds": times,
        "medians": {how: statistics.median(seconds) for how, seconds in times.items()},
        "pickled_bytes": sum(plain[halo].nbytes for _, halo, _ in tiles) + plain.nbytes, "wrong": wrong,
    }  # fmt: skip


def run(args, pool):
    """Starts and ends the workers around the work, and looks what is left."""
    mp = multiprocessing.get_context("spawn")
    jobs, results = mp.Queue(), mp.Queue()
    workers = [mp.Process(target=serve, args=(pool, jobs, results), daemon=True) for _ in range(args.workers)]
    # Ctrl-C goes to all processes of a terminal; the parent decides. Children inherit that the signal is blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for worker in workers:
        worker.start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        report = compare(pool, args, jobs, results)
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()
    except BaseException:
        jobs.cancel_join_thread()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
        raise
    codes = [worker.exitcode for worker in workers]
    if any(codes):
        report["wrong"].append(f"workers ended with {codes}")
    gc.collect()
    pool.reap()
    pool.trim()
    found, stats = pool.verify(), pool.stats()
    report |= {"clean": found.clean, "arrays": stats.arrays, "transfers": stats.transfers}
    report["wrong"] += [str(fault) for fault in found.faults]
    if stats.arrays or stats.transfers or stats.free != stats.capacity:
        report["wrong"].append("left: {arrays} arrays, {transfers} transfers, not all bytes are free".format(**report))
    return report


def show(r):
    def line(what, text):
        print(f"{what:15}  {text}")

    handle, pickled, alone = r["medians"].values()
    moved = r["pickled_bytes"] / 1e6
    line("picture", "{width} x {height}; {tiles} tiles of {tile_pixels} x {tile_pixels}; photo's filter".format(**r))
    line("workers", f"{r['workers']} in Python, by multiprocessing; medians of {r['rounds']} rounds by turns")
    line("  by handle", f"{handle:.3f} s, arrays in a pool")
    line("  pickled", f"{pickled:.3f} s, plain arrays, {moved:.1f} MB through pipes")
    line("  so pickling", f"takes {pickled / handle:.2f} times the time")
    line("  for scale", f"{alone:.3f} s: the filter alone, in one process, on one core")
    line("compared", f"{r['compared']} results with the picture filtered in one piece, bit by bit")
    line("pool", "verified, clean: {clean}; {arrays} arrays, {transfers} transfers left".format(**r))
    for wrong in r["wrong"]:
        line("WRONG", wrong)
    if not r["wrong"]:
        line("verdict", "all identical, nothing leaked")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4, help="how many (4)")
    parser.add_argument("--megapixels", type=float, default=24, help="of the picture, about (24)")
    parser.add_argument("--tile", type=int, default=512, help="width and height of a tile (512)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each way (3)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    args = parser.parse_args()
    if not 1 <= args.workers <= 64 or not 0 < args.megapixels <= 1000 or not 16 <= args.tile <= 4096 or args.rounds < 1:
        parser.error("want 1 to 64 workers, up to 1000 megapixels, tiles of 16 to 4096 pixels, 1 round or more")
    return args


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: all is ended on the way out
    args = parse()
    # The picture, and results: all that are in the queue at the worst, with what rounding takes.
    room = args.megapixels * 4e6 * 2.5 + 8 * args.tile**2 * args.workers + (64 << 20)
    with ndpool.Pool.anonymous(capacity=room) as pool:
        report = run(args, pool)
    print(json.dumps(report, indent=2)) if args.json else show(report)
    return bool(report["wrong"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("compare: interrupted", file=sys.stderr)
        sys.exit(130)
