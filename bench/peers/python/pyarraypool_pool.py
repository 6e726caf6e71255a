"""pyarraypool: a pool of slots in one segment, with one count of references for each; arrays are proxies that can be pickled.

It was last published for CPython 3.10 and numpy 1. make_transferable() copies an array in; for memory alone there is only
what it is made of: the pool's add_object(), and the proxy around it.

An array's identity is hash(id(array), pid) there: while one is in the pool, its source must live, or the next array at that
address is taken for it. So a fresh view of the source is made each time and kept with the item.
"""

import itertools
import os
import weakref
from importlib.metadata import version

import numpy as np
import pyarraypool
from peer import Peer
from pyarraypool import ShmObjectPool, ndarrayproxy


class Item:
    def __init__(self, proxy: ndarrayproxy, source: "np.ndarray | None" = None) -> None:
        self.proxy, self.source = proxy, source


class Pool(Peer):
    name = "pyarraypool"
    pooled = True
    leaves = ("shmem_*",)

    @staticmethod
    def version() -> str:
        return version("pyarraypool")

    def __init__(self, place: str, capacity: int = 1 << 20, arrays: int = 0, first: bool = True) -> None:
        self.place, self.first = place, first
        self.numbers = map((os.getpid() << 32).__add__, itertools.count(1))
        self.second = None
        link = f"{place}/pyarraypool.seg"
        if pyarraypool._GLOBAL_POOL is not None:  # one a process: a second is made for the measurement of how long it takes
            self.second = ShmObjectPool(path=link, data_size=capacity)
            return
        # Holes take slots as well: twice as many are enough for any order of frees. Its default is 10,000.
        pyarraypool.configure_global_pool(link_path=link, slot_count=max(10_000, 2 * arrays), data_size=capacity)
        pyarraypool.start_pool()
        self.pool = pyarraypool.get_reusable_pool()

    def pass_on(self) -> str:
        return self.place

    @classmethod
    def attach(cls, passed: str) -> "Pool":
        return cls(passed, first=False)

    def alloc(self, size: int) -> Item:
        number = next(self.numbers)
        proxy = ndarrayproxy((size,), dtype=np.uint8, buffer=self.pool.add_object(number, size))
        proxy.python_id = number
        self.pool.set_object_releasable(number)  # what transfer_required=False does
        weakref.finalize(proxy, self.pool.detach_object, number)
        return Item(proxy)

    def put(self, source: np.ndarray) -> Item:
        view = source.view()
        return Item(pyarraypool.make_transferable(view, transfer_required=False), view)

    def array(self, item: Item) -> np.ndarray:
        return np.asarray(item.proxy)

    def free(self, item: Item) -> None:
        del item.proxy

    def give(self, item: Item) -> ndarrayproxy:
        return item.proxy

    def take(self, token: ndarrayproxy) -> Item:
        return Item(token)

    def drop(self, item: Item) -> None:
        del item.proxy

    def close(self) -> None:
        if self.second is not None:
            self.second = None
            return
        del self.pool
        pyarraypool.stop_pool()
        if self.first:
            pyarraypool.cleanup_shm()


PEER = Pool
