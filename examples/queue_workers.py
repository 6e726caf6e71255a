"""A worker pool over queues. One line makes the arrays go by reference: where Queue is imported from.

    from multiprocessing import Queue    # pickles arrays, and copies them through a pipe
    from ndpool import Queue             # holds them in the pool, whoever dies, until somebody gets them

The program runs with both, and compares the results. Images go to the workers, with small things beside them; what comes
back is an image of a quarter of the size, and its brightest point.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import time

import numpy as np

import ndpool


def work(todo, done):
    """Runs in a worker, until it gets None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent decides
    while (job := todo.get()) is not None:
        number, image = job
        half = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2).mean(axis=(1, 3), dtype=np.float32)
        done.put({"number": number, "image": half, "brightest": int(image.max())})


def run(Queue, images, count):
    """Returns the results by their number, and the seconds."""
    todo, done = Queue(maxsize=8), Queue()
    workers = [multiprocessing.Process(target=work, args=(todo, done), daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    results = []
    start = time.perf_counter()
    for job in enumerate(images):
        todo.put(job)
    for _ in workers:
        todo.put(None)
    while len(results) < len(images):
        results.append(done.get(timeout=60))
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.join()
    for queue in (todo, done):
        queue.close()
        queue.join_thread()
    return sorted(results, key=lambda result: result["number"]), seconds


def compare(args):
    side = 2 * int((args.megapixels * 1e6) ** 0.5 / 2)
    random = np.random.default_rng(1)
    images = [ndpool.array(random.integers(0, 200 + n % 50, (side, side), np.uint8)) for n in range(args.images)]
    plain, before = run(multiprocessing.Queue, [np.array(image) for image in images], args.workers)
    shared, seconds = run(ndpool.Queue, images, args.workers)
    return {
        "images": args.images,
        "bytes": sum(image.nbytes for image in images),
        "seconds": seconds,
        "seconds_multiprocessing": before,
        "equal": all(
            a["brightest"] == b["brightest"] and (a["image"] == b["image"]).all() for a, b in zip(plain, shared, strict=True)
        ),
        "results_shared": all(ndpool.is_shared(result["image"]) for result in shared),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40, help="how many (40)")
    parser.add_argument("--megapixels", type=float, default=2, help="of each (2)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if not 1 <= args.images <= 256 or not 0 < args.megapixels <= 100 or not 1 <= args.workers <= 64:
        parser.error("want 1 to 256 images of up to 100 megapixels, and up to 64 workers")
    ndpool.configure(capacity=args.images * args.megapixels * 3e6 + (64 << 20))
    done = compare(args)
    if args.json:
        print(json.dumps(done))
    else:
        print("{images} images, {bytes} bytes, in {seconds:.3f} s".format(**done))
        print("multiprocessing.Queue: {seconds_multiprocessing:.3f} s; results equal: {equal}".format(**done))
    return not (done["equal"] and done["results_shared"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
