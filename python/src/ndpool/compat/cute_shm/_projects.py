"""Projects: groups of a pool, where that pool is, and the files that tell of them."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from multiprocessing import util
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from ... import _core
from ..._options import Options, core_options, parse_size
from ..._pool import Pool
from ..._trees import Group, Item
from ...errors import (
    FullError,
    GroupError,
    NameTakenError,
    NoMemoryError,
    NoNameError,
    NotExistError,
    OptionsError,
    TableFullError,
    VersionError,
)
from . import _toml
from ._trees import to_key, to_keys, to_name
from ._types import SharedArrayMeta, log

__all__ = ["Made", "Project2Toml", "configure", "find_pool", "make", "meta_of", "read", "remove", "unlink", "unlinked"]

POOL: Final = "NDPOOL_CUTE_SHM_POOL"
CAPACITY: Final = "NDPOOL_CUTE_SHM_CAPACITY"
DIR: Final = "NDPOOL_CUTE_SHM_DIR"

NAMES: Final = 1 << 18  #: entries of the catalog; those that are not used cost no memory
ARRAYS: Final = 1 << 16  #: at least, for small file systems and many small arrays
LARGEST: Final = 1 << 41  #: bytes that a pool can have
TRIES: Final = 100  #: to open or create a pool that others make and remove meanwhile


def configure(
    pool: str | None = None,
    capacity: float | str | None = None,
    dir: str | os.PathLike[str] | None = None,
) -> None:
    """Says which pool holds the projects, its capacity if it is yet to be made, and the directory of its file.

    None leaves a setting as it is. The settings are kept in the environment, where child processes find them.
    With a pool that is chosen, root and prefix of Project2Toml tell only where the indexes are. Raises ValueError for a
    capacity that is none."""
    if capacity is not None:
        os.environ[CAPACITY] = str(parse_size(capacity))
    if pool is not None:
        os.environ[POOL] = pool
    if dir is not None:
        os.environ[DIR] = os.path.abspath(os.fspath(dir))


# ---- where


_ROOT: Final = Path(f"/tmp/cute-shm-{os.getuid()}")
_PREFIX: Final = "cute-shm."


class Project2Toml:
    """Where the indexes of projects are. Change root, or prefix, before the first project is made or read."""

    root: Path = _ROOT
    prefix: str = _PREFIX

    @classmethod
    def get_path(cls, project: str) -> Path:
        """Returns the path of a project's index, whether or not there is such a project. Makes the directory."""
        Path(cls.root).mkdir(mode=0o700, parents=True, exist_ok=True)
        return _path(project)

    @classmethod
    def list(cls) -> dict[str, Path]:
        """Returns the projects that there are, and the paths of their indexes. Indexes of projects that ended go."""
        seen = {path: _toml.mark_of(path) for path in Path(cls.root).glob(f"{cls.prefix}*.toml")}  # before the catalog
        found = {project: _path(project) for project in _projects()}
        for path in seen.keys() - found.values():
            if _is_ours(path):
                _toml.remove(path, seen[path])
        return found


def _path(project: str) -> Path:
    return Path(Project2Toml.root) / f"{Project2Toml.prefix}{project}.toml"


def _is_ours(path: Path) -> bool:
    """Tells an index of this module from a file of somebody else."""
    start = _toml.HEADER.partition("{")[0].encode()
    try:
        with open(path, "rb") as f:
            return f.read(len(start)) == start
    except OSError:
        return False


def _place() -> tuple[str, str]:
    """Returns name and directory of the pool that holds the projects now."""
    where = os.environ.get(DIR) or "/dev/shm"
    if name := os.environ.get(POOL):
        return name, where
    name, place = f"cute-shm-{os.getuid()}", os.path.join(os.path.abspath(Project2Toml.root), Project2Toml.prefix)
    if place == os.path.join(_ROOT, _PREFIX):
        return name, where
    return f"{name}-{blake2b(os.fsencode(place), digest_size=6).hexdigest()}", where


def _options(where: str) -> dict[str, Any]:
    """What a pool is created with: all memory that its file system has. The file is sparse."""
    found = os.statvfs(where)
    size = found.f_blocks * found.f_frsize or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if text := os.environ.get(CAPACITY):
        size = parse_size(text)
    size = min(size, LARGEST)
    return {"dir": where, "capacity": size, "names": NAMES, "arrays": max(ARRAYS, size >> 14)}


# ---- the pool


class _State:
    """What this process has opened and written. Guarded by the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.pools: dict[str, tuple[Pool, int]] = {}  # by path, with the inode
        self.indexes: dict[Path, _toml.Mark] = {}  # of projects that go with this process

    def after_fork(self) -> None:
        """The lock may have been held by a thread that the child does not have, and the projects are the parent's."""
        self.lock = threading.RLock()
        self.indexes = {}


_state: Final = _State()
os.register_at_fork(after_in_child=_state.after_fork)


def find_pool() -> Pool:
    """Returns the pool that holds the projects. Raises NotExistError if there is none."""
    name, where = _place()
    path = os.path.join(where, name)
    with _state.lock:
        pool, inode = _state.pools.get(path, (None, 0))
        try:
            there = os.stat(path).st_ino
        except FileNotFoundError:
            there = -1
        if pool is not None and not pool.closed and there == inode:
            pool.reap()  # attaching does it, too: projects of the dead are gone
            return pool
        if pool is not None:
            pool.close()  # somebody removed its file: what is in use stays valid, but nobody finds it there
        return _keep(path, _open(name, "open", {"dir": where}))


def make_pool() -> Pool:
    """Returns the pool that holds the projects, made if there is none."""
    name, where = _place()
    with _state.lock:
        for _ in range(TRIES):
            try:
                return find_pool()
            except NotExistError:
                pass
            try:
                return _keep(os.path.join(where, name), _open(name, "open_or_create", _options(where)))
            except OptionsError:
                continue  # somebody was faster, with a capacity of his own
        raise NotExistError(f"open pool {name}: it comes and goes")


def _open(name: str, how: str, options: dict[str, Any]) -> Pool:
    return Pool._of(_core.Pool(name, how, **core_options(cast(Options, options))), warn=False)


def _keep(path: str, pool: Pool) -> Pool:
    descriptor = pool._core.fileno_dup()
    try:
        _state.pools[path] = pool, os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    return pool


# ---- projects


def missing(project: str) -> FileNotFoundError:
    """What says that there is no such project."""
    return FileNotFoundError(errno.ENOENT, f"no project {project!r}", str(_path(project)))


def _taken(project: str) -> FileExistsError:
    text = f"project {project!r} is there already (overwrite=True replaces it)"
    return FileExistsError(errno.EEXIST, text, str(_path(project)))


def _projects() -> list[str]:
    try:
        entries = find_pool().entries()
    except NotExistError:
        return []
    return [to_key(e.path) for e in entries if e.group and "/" not in e.path]


class Made(NamedTuple):
    """A project that was made."""

    project: str
    pool: Pool
    version: int
    path: Path  #: of the index
    mark: _toml.Mark | None


def make(project: str, publish: Callable[[Pool, str], int], persistent: bool, overwrite: bool) -> Made:
    """Makes a project by publish, which gets the pool and the name, and returns the version.

    Raises FileExistsError if there is such a project and overwrite is not set: before anything is loaded, or if somebody
    was faster after. If there is no room for the old project and the new one, the old one goes first, if it may."""
    pool, name = make_pool(), to_name(project)
    there = name in pool
    if there and not overwrite:
        raise _taken(project)
    try:
        try:
            version = publish(pool, name)
        except (FullError, NoMemoryError, TableFullError) as e:
            if not there:
                raise
            log.warning("no room for the old and the new project %s, the old one goes first: %s", project, e)
            remove(pool, project)
            version = publish(pool, name)
    except NameTakenError:
        raise _taken(project) from None
    log.debug("project %s is in %s, version %d", project, pool.path, version)
    return Made(project, pool, version, *_write_index(project, pool, persistent))


@contextmanager
def unlinked(made: Made) -> Iterator[Path]:
    """Unlinks a project at the end, unless it is gone or somebody has replaced it. A forked child unlinks nothing."""
    process = made.pool.process
    try:
        yield made.path
    finally:
        if made.pool.process == process and remove(made.pool, made.project, made.version):
            _toml.remove(made.path, made.mark)


def read(project: str, leaf: Callable[[Item, str], Any]) -> dict[str, Any]:
    """Returns a project as nested dicts with what leaf makes of each array and its name in the pool, all of one moment.

    Raises FileNotFoundError if there is no such project."""
    name = to_name(project)
    try:
        pool = find_pool()
        tree = cast(Group, pool.tree(name, attrs=True))
    except (NoNameError, GroupError, NotExistError):
        raise missing(project) from None
    log.debug("read project %s from %s, version %d", project, pool.path, tree.version)
    return to_keys(tree, lambda item, path: leaf(item, f"{pool.name}/{name}/{path}@{item.version}"))


def meta_of(item: Item, name: str) -> SharedArrayMeta:
    """Returns the metadata of an array, which has that name."""
    return SharedArrayMeta(
        shm_name=name,
        shm_private_name=f"/{name}",
        shape=item.array.shape,
        dtype=str(item.array.dtype),
        attrs=dict(item.attrs),
    )


def unlink(project: str) -> None:
    """Removes a project, and its index. Arrays that somebody has stay valid, and their memory goes with the last of them.

    Raises FileNotFoundError if there is no such project."""
    path = _path(project)
    mark = _toml.mark_of(path)  # before the names go: whoever comes next writes another one
    try:
        pool = find_pool()
    except NotExistError:
        raise missing(project) from None
    if not remove(pool, project):
        raise missing(project)
    _toml.remove(path, mark)


def remove(pool: Pool, project: str, version: int = 0) -> bool:
    """Removes a project, of that version unless it is 0, in one change, and gives its memory back to the system.

    False if there is no such project."""
    try:
        count = pool._core.remove(to_name(project), True, version)
    except (NoNameError, VersionError):
        return False
    log.debug("unlinked project %s: %d names", project, count)
    pool.trim()
    return True


# ---- indexes


def _write_index(project: str, pool: Pool, persistent: bool) -> tuple[Path, _toml.Mark | None]:
    """Writes a project's index. It goes with this process if the project does."""
    path = _path(project)
    try:
        mark = _toml.write(path, pool.name, read(project, meta_of))
    except FileNotFoundError:  # somebody has unlinked it already
        return path, None
    with _state.lock:
        _state.indexes.pop(path, None)
        if mark is not None and not persistent:
            if not _state.indexes:
                util.Finalize(None, _remove_indexes, exitpriority=-1)  # after children were waited for
            _state.indexes[path] = mark
    return path, mark


def _remove_indexes() -> None:
    """At the end of the process that wrote them."""
    for path, mark in _state.indexes.items():
        _toml.remove(path, mark)
