"""Hello, world: multiprocessing.Pool.map over arrays that nobody copies.

Images lie in shared memory. Each goes to a worker by reference, is brightened in place, and its histogram comes back,
which the worker has allocated: also by reference. What the workers stored is seen here, since the memory is the same.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import time

import numpy as np

import ndpool


def brighten(image):
    """Runs in a worker. Both arrays are plain numpy arrays, in shared memory."""
    np.minimum(image, 205, out=image)
    image += 50
    histogram = ndpool.zeros(256, np.int64)
    histogram += np.bincount(image.reshape(-1), minlength=256)
    return histogram


def run(count, megapixels):
    """Returns what was done, and whether it is right."""
    side = int((megapixels * 1e6) ** 0.5)
    images = [ndpool.full((side, side), n, np.uint8) for n in range(count)]
    # Ctrl-C goes to all processes of a terminal; this one decides what it means.
    with multiprocessing.Pool(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as workers:
        workers.map(len, ["warm up"])
        start = time.perf_counter()
        histograms = workers.map(brighten, images)
        seconds = time.perf_counter() - start
        workers.close()
        workers.join()
    return {
        "images": count,
        "bytes": sum(image.nbytes for image in images),
        "seconds": seconds,
        "brightened_in_place": all((image == min(n, 205) + 50).all() for n, image in enumerate(images)),
        "counted": all(h[min(n, 205) + 50] == side * side == h.sum() for n, h in enumerate(histograms)),
        "results_shared": all(ndpool.is_shared(h) for h in histograms),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8, help="how many (8)")
    parser.add_argument("--megapixels", type=float, default=2, help="of each (2)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if not 1 <= args.images <= 256 or not 0 < args.megapixels <= 100:
        parser.error("want 1 to 256 images of up to 100 megapixels")
    ndpool.configure(capacity=args.images * args.megapixels * 1.1e6 + (64 << 20))
    done = run(args.images, args.megapixels)
    if args.json:
        print(json.dumps(done))
    else:
        print("{images} images, {bytes} bytes, in {seconds:.3f} s".format(**done))
        print("brightened in place: {brightened_in_place}; histograms right: {counted}".format(**done))
    return not (done["brightened_in_place"] and done["counted"] and done["results_shared"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
