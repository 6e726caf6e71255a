"""Loading an HDF5 file of 1 GiB: by h5py alone into private memory, into a pool, and by cute-shm into shared memory.

scripts/bench-load runs it. Each measurement is a process of its own, which has imported all it needs and made an empty
pool before the clock starts; ways take turns, and the median of each counts. The file is in the page cache. The last way
loads again what is there already, so that the memory was touched before; h5py alone reads into the same arrays again.
"""

import json
import os
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py is not installed: loading is not measured")

MIB = 1 << 20
SMALL = 800  #: datasets; cute-shm keeps a file open for each, and 1024 is a usual limit
ROUNDS = int(os.environ.get("ROUNDS", "5"))

PRIVATE = """
    import h5py, numpy as np
    def read(f, to):
        def take(name, item):
            if isinstance(item, h5py.Dataset):
                if name not in to:
                    to[name] = np.empty(item.shape, item.dtype)
                item.read_direct(to[name])
        f.visititems(take)
    def load(to):
        with h5py.File(path, "r") as f:
            read(f, to)
        return to
"""
POOL = """
    import ndpool
    from ndpool import hdf5
    pool = ndpool.Pool.create(f"bench-load-{os.getpid()}", capacity="1200M", arrays=20000)
    def load(**options):
        hdf5.load(pool, path, "x", progress=False, **options)
"""
WAYS = {
    "h5py, private memory": PRIVATE + "    with clock: kept = load({})\n    total(kept.values())",
    "h5py, private memory, again": PRIVATE + "    kept = load({})\n    with clock: load(kept)\n    total(kept.values())",
    "ndpool.hdf5.load": POOL + "    with clock: load()\n    total(pool[name] for name in pool)\n    pool.close()",
    "ndpool.hdf5.load, again": POOL
    + "    load()\n    pool.remove('x', tree=True)\n    with clock: load()\n"
    + "    total(pool[name] for name in pool)\n    pool.close()",
}
if find_spec("cute_shm"):
    WAYS["cute_shm.hdf5_to_shm"] = """
    from pathlib import Path
    from cute_shm import hdf5_to_shm, shm_to_arrays, unlink
    project = f"bench-load-{os.getpid()}"
    with clock: hdf5_to_shm(Path(path), project)
    def leaves(tree):
        for v in tree.values():
            yield from [v["data"]] if "data" in v else leaves(v)
    found = shm_to_arrays(project, True)
    total(leaves(found))
    unlink(project)
    os._exit(0)  # its arrays and their memory cannot be let go in any order
"""

FRAME = """
    import os, sys, time, zlib
    path = sys.argv[1]
    class clock:
        def __enter__(self): self.begin = time.perf_counter(), time.process_time()
        def __exit__(self, *args):
            self.took, self.busy = time.perf_counter() - self.begin[0], time.process_time() - self.begin[1]
    clock = clock()
    def total(arrays):
        import json, numpy as np
        n = count = 0
        for a in arrays:
            n, count = n + int(a.reshape(-1).view("u1")[::997].sum(dtype="i8")), count + 1
        print(json.dumps([clock.took, clock.busy, n, count]), flush=True)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """1 GiB: four large datasets, one that is packed, and many small ones."""
    path = tmp_path_factory.mktemp("load") / "load.h5"
    random = np.random.default_rng(1)
    with h5py.File(path, "w") as f:
        for k in range(4):
            f[f"large/{k}"] = random.random((192, 512, 512), "f4")
        packed = random.integers(0, 64, (64, 1024, 1024), "u2")
        f.create_dataset("packed", data=packed, chunks=(1, 256, 1024), compression="gzip", compression_opts=4)
        for k in range(SMALL):
            f[f"small/{k % 32}/{k}"] = random.random((128 * MIB // SMALL // 8,))
    yield path
    path.unlink()


def measure(way: str, file: Path) -> list[float]:
    """Returns seconds, seconds of the processor, a sum over what was read, and the number of arrays."""
    program = textwrap.dedent(FRAME) + textwrap.dedent(WAYS[way])
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_load(file: Path) -> None:
    file.read_bytes()  # into the page cache
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    busy: dict[str, list[float]] = {way: [] for way in WAYS}
    checks = set()
    for _ in range(ROUNDS):
        for way in WAYS:
            seconds, cpu, *check = measure(way, file)
            took[way].append(seconds)
            busy[way].append(cpu)
            checks.add(tuple(check))
    assert len(checks) == 1, checks  # all have read the same
    print(f"\nfile: {file.stat().st_size / MIB:.0f} MiB for 1024 MiB of data, {int(check[1])} datasets, {ROUNDS} rounds")
    for way, all_ in took.items():
        m = statistics.median(all_)
        cpu = statistics.median(busy[way])
        print(f"{way:<28} {m:6.3f} s {1024 / m:6.0f} MiB/s ({min(all_):.3f} to {max(all_):.3f}), processor {cpu:.3f} s")
