"""A Python program that makes a mosaic of a photograph, with worker processes in Go.

The photograph lies in a pool. Workers get tiles of it, as messages of about 100 bytes on their standard input, and
answer with 16 bytes, the transfer of a new array; no pixel goes through a pipe. One worker is killed with SIGKILL when
it has tiles in hand: its transfers are taken back, and a new worker does its tiles. The result is compared with
numpy's, bit by bit, and the pool is looked through for leaks. Exits with 1 if anything was lost, differs or leaked.

    main.py     flags, the order of events, the report
    picture.py  the picture, and what must come out
    job.py      the parent's side of the work
    main.go     the worker
"""

import argparse
import gc
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from job import Job, Worker, work
from picture import BLOCK, mosaic, picture

import ndpool


def check(pool, job, report, codes):
    """Adds what the pool looks like when all is done, and what is not as it must be. The photograph is gone."""
    pool.trim()
    found, stats = pool.verify(), pool.stats()
    report |= {"arrays": stats.arrays, "transfers": stats.transfers, "sweeps": stats.sweeps, "clean": found.clean}
    wrong = [str(fault) for fault in found.faults]
    if any(codes):
        wrong.append(f"workers ended with {codes}")
    if not report["identical"]:
        wrong.append("the result differs from numpy's")
    left = stats.arrays, stats.transfers, stats.capacity - stats.free, stats.processes - 1, stats.expired - job.refused
    if any(left) or not found.quiet:
        wrong.append("left: {} arrays, {} transfers, {} bytes, {} processes; {} transfers expired".format(*left))
    if not len(report["kills"]) == report["to_kill"] == job.deaths == stats.sweeps:
        wrong.append(f"{report['to_kill']} workers were to be killed, {job.deaths} died, {stats.sweeps} were swept")
    if any(not kill["redone"] for kill in report["kills"]):
        wrong.append("the killed worker had nothing in hand")
    report["wrong"] = wrong


def main_job(args, pool):
    photo = picture(pool, args.megapixels, args.tile)
    job = Job(pool, photo, args.tile, args.worker)
    workers, codes = [], []
    try:
        for _ in range(args.workers):
            workers.append(Worker(pool, args.worker))
        seconds, kills = work(job, workers, args.kill)
    except BaseException:
        for worker in workers:
            worker.process.kill()
        raise
    finally:
        codes += [worker.close() for worker in workers]
    report = {
        "width": photo.shape[1], "height": photo.shape[0], "tiles": len(job.tiles), "workers": args.workers,
        "tile_pixels": args.tile, "seconds": seconds, "to_kill": int(args.kill), "kills": kills,
        "identical": bool(np.array_equal(job.result, mosaic(photo))),
    }  # fmt: skip
    job.photo = photo = None
    gc.collect()
    check(pool, job, report, codes)
    return report


def show(report):
    def line(what, text):
        print(f"{what:15}  {text}")

    line("picture", "{width} x {height}; {tiles} tiles of {tile_pixels} x {tile_pixels}".format(**report))
    line("workers", f"{report['workers']} in Go, for a parent in Python")
    for kill in report["kills"]:
        text = "worker {pid} by SIGKILL when {done} tiles were done; it held {arrays} arrays; done again: {redone}"
        line("killed", text.format(**kill))
    line("took", f"{report['seconds']:.3f} s")
    line("compared", f"with numpy's own, bit by bit: {'identical' if report['identical'] else 'DIFFERENT'}")
    line("pool", "verified, clean: {clean}; {arrays} arrays, {transfers} transfers left".format(**report))
    for wrong in report["wrong"]:
        line("WRONG", wrong)
    if not report["wrong"]:
        line("verdict", "identical, nothing lost, nothing leaked")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary = Path(__file__).resolve().parents[2] / "bin" / "mosaic"
    parser.add_argument("--worker", default=str(binary), help="go build -o bin/mosaic ./examples/mosaic makes it")
    parser.add_argument("--workers", type=int, default=4, help="how many (4)")
    parser.add_argument("--megapixels", type=float, default=24, help="of the picture, about (24)")
    parser.add_argument("--tile", type=int, default=512, help="width and height of a tile, a multiple of 16 (512)")
    parser.add_argument("--kill", action=argparse.BooleanOptionalAction, default=True, help="kill a worker on the way")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    args = parser.parse_args()
    if not 1 <= args.workers <= 64 or not 0 < args.megapixels <= 1000 or args.tile not in range(BLOCK, 4097, BLOCK):
        parser.error("want 1 to 64 workers, up to 1000 megapixels, and tiles of 16 to 4096 pixels in steps of 16")
    if not os.access(args.worker, os.X_OK):
        parser.error(f"no {args.worker}: go build -o bin/mosaic ./examples/mosaic")
    return args


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: all is ended on the way out
    args = parse()
    # The pool has no name that a killed parent could leave behind, and needs no room in /dev/shm.
    room = args.megapixels * 3e6 * 1.1 + 3 * args.tile**2 * (4 * args.workers + 4) + (32 << 20)
    with ndpool.Pool.anonymous(capacity=room) as pool:
        report = main_job(args, pool)
    print(json.dumps(report, indent=2)) if args.json else show(report)
    return bool(report["wrong"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("mosaic: interrupted", file=sys.stderr)
        sys.exit(130)
