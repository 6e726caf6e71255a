"""Queues of arrays and of other objects, in a pool."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import numpy as np

from . import _core, _items
from ._items import Left
from .errors import ClosedError, FullError, KindError, NdpoolError, ShutDown, TableFullError, WaitTimeoutError

if TYPE_CHECKING:
    from ._pool import Pool

__all__ = ["Queue", "reduce_queue"]

BATCH: Final = 64  #: items that put_many makes ready before it puts them


class Queue:
    """A queue in a pool, for any number of processes that put and get. It fits where multiprocessing.Queue does.

    An array of the pool goes by reference, a part of one too, and all other arrays are copied into the pool once;
    get() returns an array in the pool, the getter's own to write to. Who puts an array of the pool and goes on
    writing to it changes what the getter sees. Bytes are bytes again. All else is pickled, and must be something
    that multiprocessing can pickle; the arrays within it go by reference too, or are copied if they have 1 KiB or
    more. A part of an array is an item of two entries, which C and Go see as a pickle; if the queue has one entry
    only it is copied.

    What was put is there until a get returns it, whoever dies, and never expires. Without a path the queue lives as long
    as a process has it, or it is on its way to one. With a path it has a name of the pool's catalog: who opens that gets
    the same queue; it stays until the name is removed, or, unless it is persistent, the pool goes.

    maxsize is the number of entries: each item takes one, and one more for each array that belongs to it. Unlike that of
    multiprocessing a queue always has a limit; 0 is 16384. put() also waits for room in the pool.

    Items are unpickled by get(): the processes of a pool must trust each other. With pickles=False this end of the queue does
    not, whatever others put: put() takes bytes and arrays alone, and copies a part of an array of the pool, and get() of a
    pickle raises KindError and leaves it where it is. That is no option of the queue itself: other ends have their own.

    Any thread may use it, and any number at once. A forked child has its parent's queues. One is pickled by
    multiprocessing, as an argument of a process or an object of its pipes and queues; each such pickle can be read once.
    One with a path can be pickled by anything. Either is then as this one is as to pickles.
    """

    __slots__ = ("__weakref__", "_core", "_held", "_limit", "_path", "_pickles")

    def __init__(
        self,
        maxsize: int = 0,
        *,
        path: str | None = None,
        pool: Pool | None = None,
        persistent: bool = False,
        pickles: bool = True,
    ) -> None:
        """Opens a queue, or makes one, in the default pool or another one.

        Raises OptionsError if there is one with another maxsize than asked for, KindError if the name is no queue's."""
        if pool is None:
            from ._default import default_pool

            pool = default_pool()
        self._start(pool._core.queue(path, max(int(maxsize), 0), persistent), path, pickles)

    def _start(self, core: _core.Queue, path: str | None, pickles: bool) -> None:
        self._core = core
        self._path = path
        self._pickles = bool(pickles)
        self._limit = core.look()[2]
        self._held: dict[int, list[tuple[Any, ...]]] = {}  # items by process; see _return

    @classmethod
    def _of(cls, core: _core.Queue, path: str | None, pickles: bool = True) -> Self:
        made = cls.__new__(cls)
        made._start(core, path, pickles)
        return made

    # ---- in

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Puts an object. Waits for room, in the queue and in the pool: timeout seconds; None: for ever.

        Raises queue.Full if there is none, at once unless block; what pickling the object raises, and with pickles=False
        TypeError, also as DTypeError, for what would be pickled; ShutDown, which
        from Python 3.13 on is a queue.ShutDown; TooLongError if there are more arrays of the pool in it than the queue has
        entries; FullError if the pool could never have room for it; ValueError after close()."""
        left = _clock(block, timeout)
        done = None
        if type(obj) is np.ndarray:
            done = self._core.put((obj,), b"\1", left())
        if done is None:
            done = self._core.put(*self._encode(obj, left), left())
        if not done:
            raise queue.Full

    def put_nowait(self, obj: Any) -> None:
        """Puts an object, or raises queue.Full at once."""
        self.put(obj, False)

    def put_many(self, objs: Iterable[Any], block: bool = True, timeout: float | None = None) -> int:
        """Puts objects in their order, in as few steps as there is room for, and returns how many it put in time.

        Raises queue.Full if it put none, and else as put(): what it put before stays in the queue."""
        left, count = _clock(block, timeout), 0
        try:
            for ready in self._encode_all(objs, left):
                done = self._put_all(ready, left())
                count += done
                if done < len(ready):
                    raise queue.Full
                ready.clear()  # or this process would hold what is in the queue
        except queue.Full:
            if not count:
                raise
        return count

    def _encode_all(self, objs: Iterable[Any], left: Left) -> Iterator[list[_items.Entries]]:
        """Gives items that are ready to be put, some at a time, and fewer if the pool has no room for more."""
        ready = list[_items.Entries]()
        for obj in objs:
            try:
                item = self._encode(obj, _now)
            except queue.Full:
                if ready:
                    yield ready
                    ready = []
                item = self._encode(obj, left)
            ready.append(item)
            del item
            if len(ready) == BATCH:
                yield ready
                ready = []
        if ready:
            yield ready

    def _encode(self, obj: Any, left: Left) -> _items.Entries:
        try:
            return _items.encode(self._core.pool, obj, self._limit, left, self._pickles)
        except (FullError, TableFullError, WaitTimeoutError) as e:
            if (e.asked or 0) > (e.capacity or e.asked or 0):
                raise
            raise queue.Full from e

    def _put_all(self, ready: list[_items.Entries], wait: float | None) -> int:
        """Puts items, and returns how many were put."""
        done = self._core.put(tuple(e for item in ready for e in item.entries), b"".join(item.kinds for item in ready), wait)
        assert done is not None
        for count, item in enumerate(ready):
            if done < len(item.kinds):
                return count
            done -= len(item.kinds)
        return len(ready)

    # ---- out

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the oldest item and returns the object. Waits for one: timeout seconds; None: for ever.

        Raises queue.Empty if there is none, at once unless block; ShutDown if the queue was shut down and is empty;
        ValueError after close(). An item that cannot be unpickled raises what that raises, and is spent. With pickles=False
        KindError if it is a pickle, which is put back before all others; if others have filled the queue meanwhile, this
        object keeps it, and puts it back when there is room at a get() or close()."""
        items = self._fetch(1, (timeout if timeout is None or timeout > 0 else 0.0) if block else 0.0)
        if not self._pickles and _items.is_pickle(items[0]):
            self._refuse(items)
        return _items.decode(items[0])

    def _fetch(self, n: int, wait: float | None) -> list[tuple[Any, ...]]:
        """Returns the item that this object has kept, or else the oldest ones of the queue. Raises queue.Empty."""
        if self._held and (item := self._unhold()):
            return [item]
        items = self._core.get(n, wait)
        if items is None:
            raise queue.Empty
        return items

    def get_nowait(self) -> Any:
        """Takes the oldest item, or raises queue.Empty at once."""
        return self.get(False)

    def get_many(self, n: int, block: bool = True, timeout: float | None = None) -> list[Any]:
        """Takes as many items as there are, at most n, and returns the objects. Waits for the first as get() does.

        If one cannot be unpickled, or may not be, those before it are returned, and the next get() raises what it raised."""
        if n < 1:
            raise ValueError(f"get_many: got {n} (at least 1)")
        items = self._fetch(n, _clock(block, timeout)())
        objs = list[Any]()
        for k, item in enumerate(items):
            if not self._pickles and _items.is_pickle(item):
                if not k:
                    self._refuse(items)
                self._return(items[k:])
                break
            try:
                objs.append(_items.decode(item))
            except BaseException:
                self._return(items[k if k else 1 :])
                if not k:
                    raise
                break
        return objs

    def _refuse(self, items: list[tuple[Any, ...]]) -> NoReturn:
        """Puts items back of which the first is a pickle, and says so."""
        kept = self._return(items)
        items.clear()  # or whoever keeps the error would hold what is in the queue
        where = "stays in the queue" if not kept else "is kept until there is room in the queue"
        if kept and self._core.closed:
            self._held.clear()
            where = "is lost, because the queue was closed meanwhile"
        name = "" if self._path is None else f" {self._path!r}"
        raise KindError(f"get from queue{name}: the oldest item is a pickle, and this end has pickles=False: it {where}")

    def _return(self, items: list[tuple[Any, ...]]) -> int:
        """Puts items back that were got. Those that find no room any more are this object's, for its next get: how many."""
        items = [*items, *iter(self._unhold, None)]  # those are behind the others
        for k in range(len(items), 0, -1):
            item = items[k - 1]
            if not item[0] or not self._put_back(item):
                self._held.setdefault(self._core.pool.process, [])[:0] = items[:k]  # another thread may hold some
                return k
        return 0

    def _put_back(self, item: tuple[Any, ...]) -> bool:
        try:
            return bool(self._core.put_back(item[1:], bytes((item[0],)) + bytes(len(item) - 2), 0.0))
        except NdpoolError:  # closed meanwhile, or the lock is kept: not lost yet
            return False

    def _unhold(self) -> tuple[Any, ...] | None:
        """Returns an item that _return could not put back. A forked child has none."""
        try:
            return self._held[self._core.pool.process].pop(0)
        except LookupError:
            return None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Returns get(), until the queue was shut down and is empty."""
        try:
            return self.get()
        except ShutDown:
            raise StopIteration from None

    # ---- what there is

    def qsize(self) -> int:
        """Returns how many items are in the queue."""
        return self._core.look()[0]

    def empty(self) -> bool:
        """Tells whether there is no item."""
        return self._core.look()[0] == 0

    def full(self) -> bool:
        """Tells whether there is no room for another item."""
        look = self._core.look()
        return look[1] >= look[2]

    @property
    def maxsize(self) -> int:
        """How many entries the queue has room for."""
        return self._limit

    @property
    def path(self) -> str | None:
        """The name of the queue in its pool, None if it has none."""
        return self._path

    @property
    def pickles(self) -> bool:
        """Tells whether this end of the queue pickles and unpickles."""
        return self._pickles

    @property
    def closed(self) -> bool:
        """Tells whether close was called."""
        return self._core.closed

    # ---- ends

    def shutdown(self, immediate: bool = False) -> None:
        """Ends the queue for all processes: put() raises ShutDown, and so does get() when the queue is empty.

        With immediate it is emptied. Those who wait are woken."""
        self._core.shut()
        while immediate:
            try:
                immediate = self._core.get(1000, 0.0) is not None
            except ShutDown:
                break

    def close(self) -> None:
        """Lets go of the queue: in this process it cannot be used any more. What was put stays. Twice is harmless.

        A thread that waits in it gets ClosedError, a ValueError."""
        if self._held:
            self._return([])
            self._held.clear()
        self._core.close()

    def join_thread(self) -> None:
        """Does nothing: what was put is in the queue already. For code that has a multiprocessing.Queue."""

    def cancel_join_thread(self) -> None:
        """Does nothing: what was put is in the queue already. For code that has a multiprocessing.Queue."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        name = "" if self._path is None else f" {self._path!r}"
        try:
            return f"<ndpool.Queue{name} {self.qsize()} items>"
        except ClosedError:
            return f"<ndpool.Queue{name} closed>"

    # ---- copies

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("an ndpool.Queue without a path is pickled by multiprocessing only: by reference, to be read once")
        return open_queue, (*_address(self), self._path, self._pickles)


def _now() -> float:
    return 0.0


def _clock(block: bool, timeout: float | None) -> Left:
    """Returns a function that says how long there is still to wait; None: for ever."""
    if not block:
        return _now
    if timeout is None:
        return lambda: None
    end = monotonic() + timeout
    return lambda: max(end - monotonic(), 0.0)


# ---- pickling


def _address(q: Queue) -> tuple[bytes, str]:
    from ._attach import address_of

    core = q._core.pool
    return core.segment, address_of(core)


def reduce_queue(q: Queue) -> tuple[Any, ...]:
    """Says how multiprocessing is to send a queue: by a transfer, or by its name. Each call opens one."""
    return q.__reduce__() if q.path is not None else (adopt_queue, (*_address(q), q._core.send(), q.pickles))


def adopt_queue(segment: bytes, address: str, transfer: bytes, pickles: bool) -> Queue:
    """Returns the queue that another process has sent."""
    from ._attach import reopen

    return Queue._of(reopen(segment, address)._core.adopt_queue(transfer), None, pickles)


def open_queue(segment: bytes, address: str, path: str, pickles: bool) -> Queue:
    """Returns the queue of a name."""
    from ._attach import reopen

    return Queue._of(reopen(segment, address)._core.queue(path, 0, False), path, pickles)
