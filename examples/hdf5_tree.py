"""An HDF5 file in shared memory: read once, used by any number of processes.

Without FILE a small one is made. It is loaded straight into the pool: groups, datasets, attributes, in one change.
Workers then compute on the arrays without reading the file, and without a copy. Wants h5py: pip install 'ndpool[hdf5]'.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile

import numpy as np

import ndpool
import ndpool.hdf5

PREFIX = "data"


def generate(path, megabytes):
    """Writes a file with a bit of everything."""
    import h5py

    random = np.random.default_rng(1)
    side = int((megabytes * 1e6 / 8) ** 0.5)
    with h5py.File(path, "w") as f:
        f.attrs["made by"] = "example"
        f["simple/float32"] = random.random(10_000, dtype=np.float32)
        f["simple/int16"] = random.integers(-32768, 32767, (100, 100), dtype=np.int16)
        f["simple/complex64"] = random.random((20, 20, 20)).astype(np.complex64)
        f["compound"] = np.array([(1, 55.5, True), (2, 70.2, False)], dtype=[("id", "i4"), ("value", "f4"), ("flag", "?")])
        f["scalar"] = 42.0
        image = f.create_dataset("image", data=random.random((side, side)), chunks=True, compression="gzip")
        image.attrs["unit"] = "counts"
        image.attrs["offset"] = np.float32(0.25)


def summarize(name):
    """Runs in a worker."""
    a = ndpool.default_pool()[name]
    low = None if a.dtype.names else abs(a).min()
    return {
        "name": name,
        "shape": a.shape,
        "dtype": str(a.dtype),
        "bytes": a.nbytes,
        "least": None if low is None else float(low),
    }


def run(path):
    """Returns what was loaded, and what the workers say of it."""
    pool = ndpool.default_pool()
    report = ndpool.hdf5.load(pool, path, PREFIX, skip=True)
    # Ctrl-C goes to all processes of a terminal; this one decides what it means.
    with multiprocessing.Pool(2, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as workers:
        rows = workers.map(summarize, pool.names(PREFIX))
        workers.close()
        workers.join()
    attrs = {e.path: e.attrs for e in pool.entries(PREFIX) if e.attrs}
    pool.remove(PREFIX, tree=True)
    return {
        "file": report.file,
        "bytes": report.bytes,
        "seconds": report.seconds,
        "arrays": rows,
        "attrs": attrs,
        "skipped": [str(s) for s in report.skipped],
        "left_over": pool.names(),
    }


def tell(done):
    """Prints a result for people."""
    for row in done["arrays"]:
        print("{name}: {dtype} {shape}, {bytes} bytes, least absolute value {least}".format(**row))
    for path, attrs in done["attrs"].items():
        print(f"attributes of {path}: {attrs}")
    for skipped in done["skipped"]:
        print(f"left out: {skipped}")
    print("{file}: {bytes} bytes in {seconds:.3f} s".format(**done))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="HDF5 file")
    parser.add_argument("--megabytes", type=float, default=2, help="of the file that is made without FILE (2)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args()
    if not 0 < args.megabytes <= 10_000:
        parser.error("want up to 10000 megabytes")
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = args.file or os.path.join(folder, "example.h5")
            if not args.file:
                generate(path, args.megabytes)
            ndpool.configure(capacity=ndpool.hdf5.size(path).needs * 1.1 + (16 << 20))
            done = run(path)
    except ImportError:
        print(f"{parser.prog}: wants h5py: pip install 'ndpool[hdf5]'", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"{parser.prog}: {e}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(done))
    else:
        tell(done)
    return bool(done["left_over"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
