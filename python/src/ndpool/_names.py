"""Names: arrays that processes find by path, and trees of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from . import _attrs, _core
from ._attrs import Attributes
from ._core import NameLock
from ._create import Array, Creators
from ._info import NameInfo, name_info, ring_kinds
from ._trees import Item, Leaf, check_path, flatten, join, nest
from .errors import GroupError, KindError, NameTakenError, NoNameError, PathError, VersionError

__all__ = ["Names", "Published"]


MAX_TRIES: Final = 100  #: of removing a name whose attributes others change meanwhile


class Published:
    """What a publish made. As a context manager it removes that at exit, also if it is persistent.

    A name that somebody has replaced meanwhile is somebody else's, and stays; other attributes make no difference.
    Without a with statement nothing is removed but by remove(). A forked child that leaves the with block removes
    nothing."""

    __slots__ = ("_core", "_leaves", "_process", "_version")

    def __init__(self, core: _core.Pool, leaves: Mapping[str, int], version: int) -> None:
        self._core = core
        self._leaves = leaves  # by path: handle of the array, 0 for a group
        self._process = core.process
        self._version = version

    @property
    def version(self) -> int:
        """The version of all names that were published."""
        return self._version

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays' names, sorted."""
        return tuple(sorted(name for name, handle in self._leaves.items() if handle))

    def remove(self) -> int:
        """Removes the names that are still what was published. Returns how many; a second time that is 0."""
        # What is in a group goes before it.
        return sum(self._remove(name, self._leaves[name]) for name in sorted(self._leaves, reverse=True))

    def _remove(self, name: str, handle: int) -> int:
        version = self._version
        try:
            for _ in range(MAX_TRIES):
                try:
                    return self._core.remove(name, False, version)
                except VersionError:
                    now = self._core.names(name)[0]
                if now["handle"] != handle or (not handle and now["owner"] != self._process):
                    break  # somebody else's
                version = now["version"]  # of other attributes
        except (NoNameError, GroupError):
            pass  # gone, or a group that others put something into
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._core.process != self._process or self._core.closed:
            return
        try:
            self.remove()
        except KeyboardInterrupt:
            self.remove()  # what is left of it: persistent names would stay for ever
            raise

    def __repr__(self) -> str:
        return f"<ndpool.Published version={self._version} names={list(self.names)}>"


class Names(Creators):
    """The catalog of a pool: a tree of names, which keep their arrays alive.

    A name is a path, such as "camera/left", and stands for a whole array, or for a group of names. Publishing takes an
    array of this pool as it is, and copies all else into the pool first. Each change is made at once, or not at all,
    also when the process is killed: who looks a name up gets the old array or the new one, and may keep it when the
    name goes. A name goes with the process that published it; a persistent one stays until it is removed, and keeps
    the pool. The version of a name grows whenever it is published again, and never comes back.

    A stream or a queue has a name, too, and is no array: writer(), reader() and queue() open it, names() and tree() leave
    it out, and remove() removes it.

    Errors: NoNameError (a KeyError) for a name that is not there, GroupError for a group that should be an array and
    the other way round, KindError for a stream or queue that should be an array, PathError for what no name can be,
    TableFullError if there are too many, and what creating arrays raises. All may be called from any thread.
    """

    __slots__ = ()

    # ---- one name

    def __getitem__(self, name: str) -> Array:
        """Returns the array of a name. It stays valid when the name goes, or gets another array."""
        try:
            return self._core.lookup(name)
        except GroupError as e:
            raise _say_tree(e, name) from None
        except KindError as e:
            raise _say_ring(e, name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        """Gives a name an array, in place of the one that it has, if any.

        The name has no attributes then, and goes with this process, whatever it was before; put() has both."""
        self._publish({"": Leaf(value, None)}, check_path(name), "merge", persistent=False)

    def __delitem__(self, name: str) -> None:
        """Removes a name. Its array ends with its last reference."""
        self.remove(name)

    def __contains__(self, name: object) -> bool:
        """Tells whether the pool has that name, of an array, a stream or queue, or a group."""
        try:
            return isinstance(name, str) and self._core.has(name)
        except PathError:
            return False

    def __iter__(self) -> Iterator[str]:
        """Gives the names of all arrays, sorted."""
        return iter(self.names())

    def get(self, name: str, default: Any = None, *, readonly: bool = False) -> Any:
        """Returns the array of a name, or default if there is none.

        With readonly a store into it ends in a fault, as in a sealed array."""
        try:
            return self._core.lookup(name, readonly)
        except NoNameError:
            return default
        except GroupError as e:
            raise _say_tree(e, name) from None
        except KindError as e:
            raise _say_ring(e, name) from None

    def item(self, name: str, *, readonly: bool = False) -> Item:
        """Returns the array, attributes and version of a name, all of one moment. The array of a group is None."""
        try:
            array, text, version = self._core.lookup_item(name, readonly)
        except KindError as e:
            raise _say_ring(e, name) from None
        return Item(array, _attrs.decode(text), version)

    def put(
        self,
        name: str,
        array: Any,
        *,
        attrs: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        persistent: bool = False,
    ) -> int:
        """Publishes one array, and returns the version.

        Raises NameTakenError (a FileExistsError) if the name is there, unless overwrite, which replaces whatever it
        stands for, a whole group too."""
        leaf = Leaf(array, _attrs.encode(attrs))
        return self._publish({"": leaf}, check_path(name), "overwrite" if overwrite else "new", persistent).version

    def attrs(self, name: str) -> Attributes:
        """Returns the attributes of an array's name or a group's, as a mapping that reads and writes them."""
        self._core.name_attributes(name)  # it is there
        return Attributes(self._core, name)

    def remove(self, name: str, *, tree: bool = False) -> int:
        """Removes an array's name or an empty group; with tree also all that is in it. Returns how many names went.

        Arrays end with their last reference. Raises NoNameError, and GroupError for a group that is not empty."""
        return self._core.remove(name, tree)

    def lock(self, name: str) -> NameLock:
        """Returns the lock of a name, for data that is updated: for one writer, or by its .shared for readers.

        with pool.lock("camera/left") as lock:
            if lock.torn: ...  # a writer died before it let go: the data may be half-written
            pool["camera/left"][:] += 1
        """
        return self._core.lock(name)

    # ---- trees

    def names(self, prefix: str = "") -> list[str]:
        """Returns the names of the arrays in a group, or of all, sorted and of one moment."""
        return self._core.paths(prefix)

    def entries(self, prefix: str = "") -> list[NameInfo]:
        """Returns what is known of all names in a group, or of all, sorted and of one moment: also of groups, streams and
        queues."""
        found = self._core.names(prefix)
        ring_kinds(found, self._core.rings)
        return [name_info(d) for d in found]

    def publish(
        self,
        tree: Mapping[str, Any],
        prefix: str = "",
        *,
        attrs: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        merge: bool = False,
        persistent: bool = False,
    ) -> Published:
        """Publishes a tree of arrays at once, or nothing of it, also when killed in the middle.

        tree maps components, or paths, to arrays (or what numpy makes an array of), to Item(array, attrs), to
        pairs (array, attrs), or to mappings of these, which are groups. attrs are those of the prefix.

        What the tree is to be found by, prefix or else the first components of its keys, must not be there yet: else
        NameTakenError, a FileExistsError. overwrite replaces it wholly; merge adds to it, and gives names that are
        there the new arrays.

            with pool.publish({"run7": {"x": x, "y": (y, {"unit": "mm"})}}):
                ...  # removed at the end of this block
        """
        if overwrite and merge:
            raise ValueError("publish takes overwrite or merge")
        mode = "overwrite" if overwrite else "merge" if merge else "new"
        leaves = flatten(tree, attrs)
        if prefix:
            check_path(prefix)
        elif "" in leaves and leaves.pop("").text:
            raise PathError("publish tree: got attributes of the tree, but no prefix that could have them")
        return self._publish(leaves, prefix, mode, persistent)

    def tree(self, prefix: str = "", *, attrs: bool = False, readonly: bool = False) -> dict[str, Any]:
        """Returns what is in a group, or all, as nested dicts of arrays, all of one moment.

        With attrs the leaves are Items, and the dicts Groups, which have attrs, too. With readonly a store into an
        array ends in a fault. Streams and queues are left out. Raises GroupError for an array's name."""
        return nest(self._core.lookup_tree(prefix, readonly), attrs)

    # ---- how

    def _own(self, value: Any) -> Array:
        """Returns an array of this attachment that a name can stand for: the one given, if it is that, or a copy."""
        block = _core.block_of(value) if _core.is_whole(value) else None
        if block is not None and block.pool is self._core:
            return value  # type: ignore[no-any-return]
        if block is not None and block.pool.segment == self._core.segment:
            return self._core.retain(_core.handle(value))
        return self.array(value)

    def _publish(self, leaves: Mapping[str, Leaf], prefix: str, mode: str, persistent: bool) -> Published:
        """Makes all copies, and then one change. If something fails, or Ctrl-C comes, the copies go and nothing is
        published; with overwrite and merge, Ctrl-C may also come when all is."""
        if not leaves:
            return Published(self._core, {}, 0)
        targets = {prefix} if prefix else {path.partition("/")[0] for path in leaves}
        if mode == "new" and (taken := next((t for t in targets if self._core.has(t)), None)) is not None:
            raise NameTakenError(f"publish {taken!r}: the pool has that name already")
        items = [(path, None if leaf.group else self._own(leaf.value), leaf.text) for path, leaf in leaves.items()]
        done: list[int] = []
        made = {join(prefix, path): 0 if array is None else _core.handle(array) for path, array, _ in items}
        try:
            self._core.publish(prefix, items, mode, persistent, done)
            return Published(self._core, made, done[0])
        except BaseException:
            if done and mode == "new":
                Published(self._core, made, done[0]).remove()
            raise


def _say_tree(e: GroupError, name: str) -> GroupError:
    return GroupError(f"{e.message}: tree({name!r}) gives what is in it")


def _say_ring(e: KindError, name: str) -> KindError:
    return KindError(f"{e.message}: reader({name!r}) reads a stream, queue({name!r}) takes from a queue")
