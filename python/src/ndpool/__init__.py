"""Arrays between processes, without a copy.

ndpool keeps numpy arrays in one shared-memory segment that many processes map at once:

    import multiprocessing, ndpool

    a = ndpool.zeros((1080, 1920, 3), "u1")      # a plain numpy.ndarray, in shared memory
    queue.put(a)                                 # by reference: the receiver has the same memory

    w = ndpool.writer("camera")                  # a stream: readers take the newest frame, and wait for the next
    w.publish(image)                             # a copy, unless it is an array that w.empty() made
    ndpool.reader("camera").latest().array       # in any process

    q = ndpool.Queue()                           # where a multiprocessing.Queue fits

An array ends with its last reference in the last process, also when processes are killed. Arrays lie in pools: the
functions here use the default pool, which is made when it is first used and is shared by a tree of processes; Pool
opens pools by name, also those of programs in Go and C.

Every function may be called from any thread, and by forked children. Errors are in ndpool.errors; ndpool.hdf5,
ndpool.npy and ndpool.zarr load files into a pool, and save them.
"""

import importlib as _importlib
import logging as _logging
import typing as _typing
from types import ModuleType as _ModuleType

from . import _attach, _core, _dtype, _exit, _pickle, errors
from ._arrays import check_hash, handle, is_private, is_sealed, is_shared, seal, send
from ._attrs import Attributes
from ._core import VERSION as __version__
from ._core import Block, NameLock
from ._default import configure, default_pool
from ._frame import Frame
from ._functions import (
    adopt,
    arange,
    array,
    asarray,
    ascontiguousarray,
    asfortranarray,
    copy,
    empty,
    empty_like,
    full,
    full_like,
    ones,
    ones_like,
    queue,
    reader,
    recall,
    retain,
    writer,
    zeros,
    zeros_like,
)
from ._info import ArrayInfo, Fault, NameInfo, ProcessInfo, Reaped, Report, RingInfo, Stats, TransferInfo
from ._names import Published
from ._options import Options
from ._pickle import install, make_transferable, uninstall
from ._pool import Pool, reap, unlink
from ._queue import Queue
from ._streams import StreamReader, StreamWriter
from ._trees import Group, Item
from .errors import NdpoolError

if _typing.TYPE_CHECKING:
    from . import hdf5 as hdf5
    from . import npy as npy
    from . import zarr as zarr
else:

    def __getattr__(name: str) -> _ModuleType:
        """Imports what few programs need when it is first asked for."""
        if name in ("hdf5", "npy", "zarr"):
            return _importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ArrayInfo",
    "Attributes",
    "Block",
    "Fault",
    "Frame",
    "Group",
    "Item",
    "NameInfo",
    "NameLock",
    "NdpoolError",
    "Options",
    "Pool",
    "ProcessInfo",
    "Published",
    "Queue",
    "Reaped",
    "Report",
    "RingInfo",
    "Stats",
    "StreamReader",
    "StreamWriter",
    "TransferInfo",
    "__version__",
    "adopt",
    "arange",
    "array",
    "asarray",
    "ascontiguousarray",
    "asfortranarray",
    "check_hash",
    "configure",
    "copy",
    "default_pool",
    "empty",
    "empty_like",
    "errors",
    "full",
    "full_like",
    "handle",
    "install",
    "is_private",
    "is_sealed",
    "is_shared",
    "make_transferable",
    "ones",
    "ones_like",
    "queue",
    "reader",
    "reap",
    "recall",
    "retain",
    "seal",
    "send",
    "uninstall",
    "unlink",
    "writer",
    "zeros",
    "zeros_like",
]

_logging.getLogger("ndpool").addHandler(_logging.NullHandler())
_core.set_hooks(error=errors.make_error, attach=_attach.attach, encode=_dtype.encode, decode=_dtype.decode)
_pickle.setup()
_exit.setup()
