"""The interface of cute-shm, on ndpool: a program written for it works with the import changed.

    from ndpool.compat import cute_shm

A project is a group in the catalog of one pool of the user. It is published in one change: others see all of it or
nothing, also if the loader is killed in the middle. The pool is made when it is first needed, and goes with its last
project and process. Its capacity is the size of the file system, so that whatever fits there fits into it; the file is
sparse, and its tables take 0.3 % of that. configure() and the environment choose another: NDPOOL_CUTE_SHM_POOL,
NDPOOL_CUTE_SHM_CAPACITY, NDPOOL_CUTE_SHM_DIR. As with the original, projects of one Project2Toml.root and prefix are
apart from those of another: each pair has a pool of its own. `python -m ndpool ls` shows the pools, `names` with the
name of one what is in it.

The path that is returned is a TOML index of the project, as the original writes it, for programs and people that look for
it or into it. It is a courtesy: written after the project is there, whole or not at all, removed with it, and never
read. What is left of it by killed processes deceives nobody here, since the catalog alone tells what there is, and goes
when projects are listed next. If it cannot be written, a warning is logged and the project is there all the same.

What differs, because it was a defect there:

- Arrays outlive meta["shm"], which only leads to the same memory. It takes no file, no descriptor and no mapping of its own,
  and multiprocessing.shared_memory cannot open meta["shm_name"]; SharedMemory of this module can.
- A lack of memory raises FullError or NoMemoryError, which are MemoryErrors and have the numbers; nothing is left then.
- Two loaders of one project: one of them gets FileExistsError. overwrite=True replaces a project in one change, and
  who reads the old one keeps it; only if there is no room for both is the old one removed first, as the original does always.
- The context managers unlink what they have made, and not what made them fail.
- persistent=False: the project goes with the process that made it, also if that is killed, and with its index. For readers
  persistent makes no difference: no reader removes anything by ending.
- 0-d arrays, arrays of no elements, structured types, and all keys work. Elements that are pointers (object, HDF5's
  strings of variable length) are refused by name.
- Attributes are what JSON has; numpy scalars and arrays become numbers and lists, bytes become text.
- root is /tmp/cute-shm-UID, so that users do not get in each other's way.

The commands are those of `python -m ndpool.compat.cute_shm`: hdf5, unlink, list, evaluate. For their old names:

    alias cute-shm-hdf5='python -m ndpool.compat.cute_shm hdf5'     # and so on

Functions may be called from any thread, and by forked children. Errors are those of ndpool.errors; a project that does
not exist is a FileNotFoundError.
"""

from ... import __version__
from ._arrays import arrays_to_shm, shm_to_arrays, unlinked_arrays_to_shm
from ._hdf5 import hdf5_size, hdf5_to_shm, unlinked_hdf5_to_shm
from ._memory import SharedMemory
from ._progress import ShmProgress
from ._projects import Project2Toml, configure, unlink
from ._types import (
    ArrayDict,
    MetaArrayDict,
    SharedArray,
    SharedArrayDict,
    SharedArrayMeta,
    bytes_to_human,
)

__all__ = [
    "ArrayDict",
    "MetaArrayDict",
    "Project2Toml",
    "SharedArray",
    "SharedArrayDict",
    "SharedArrayMeta",
    "SharedMemory",
    "ShmProgress",
    "__version__",
    "arrays_to_shm",
    "bytes_to_human",
    "configure",
    "hdf5_size",
    "hdf5_to_shm",
    "shm_to_arrays",
    "unlink",
    "unlinked_arrays_to_shm",
    "unlinked_hdf5_to_shm",
]
