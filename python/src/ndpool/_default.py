"""The default pool: the one of the functions at the top of the package.

It is made when it is first used, by one thread. Processes of one tree share it: a child finds its parent's by what
multiprocessing hands down to it, or by the environment; a forked one has it already. Without a name of its own it
gets one that no other tree has, and its file goes at the end of the process that made it if nobody else is attached
then.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from multiprocessing import process as _mp
from typing import Any, Final, NamedTuple, Unpack, cast

from . import _attach, _core
from ._options import Options, core_options
from ._pool import Pool
from .errors import NdpoolError, NotExistError, OptionsError

__all__ = ["configure", "default_pool"]

log: Final = logging.getLogger("ndpool")

NAME: Final = "NDPOOL_NAME"
DIR: Final = "NDPOOL_DIR"
MADE: Final = "NDPOOL_MADE"  #: the name, if a process of the tree put it there and not the user
DEFAULT_DIR: Final = "/dev/shm"
_KEY: Final = "ndpool"  #: in the configuration that multiprocessing copies to children

_NUMBERS: Final = {"arrays": int, "processes": int, "tickets": int, "names": int, "grace": float, "lock_wait": float}
_FLAGS: Final = ("persistent", "reserve", "huge_pages", "prefault")


class _State:
    """What is known of the default pool. Local to the process; guarded by the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.name: str | None = None
        self.options: Options = {}
        self.pool: Pool | None = None
        self.made_up = ""  # name that a process made up
        self.maker = 0  # pid of that process

    def after_fork(self) -> None:
        """The lock may have been held by a thread that the child does not have."""
        self.lock = threading.RLock()


state: Final = _State()


class _Place(NamedTuple):
    name: str
    dir: str
    inherited: bool  #: some process of the tree has made it, and its options hold


def configure(name: str | None = None, **options: Unpack[Options]) -> None:
    """Says what the default pool is to be: its name, and the options of ndpool.Pool. None and what is left out is kept.

    What is not said here comes from the environment: NDPOOL_NAME, NDPOOL_DIR, NDPOOL_CAPACITY, NDPOOL_ARRAYS,
    NDPOOL_PROCESSES, NDPOOL_TICKETS, NDPOOL_NAMES, NDPOOL_MODE (octal), NDPOOL_GRACE, NDPOOL_LOCK_WAIT,
    NDPOOL_PERSISTENT, NDPOOL_RESERVE, NDPOOL_HUGE_PAGES, NDPOOL_PREFAULT.
    Raises OptionsError once the default pool is in use."""
    core_options(options)
    with state.lock:
        if state.pool is not None and not state.pool.closed:
            raise OptionsError(f"configure default pool: it is in use already, as {state.pool.path}")
        state.name = name or state.name
        given = {key: value for key, value in options.items() if value is not None}
        state.options = cast(Options, {**state.options, **given})
        _attach.trusted = cast(Options, {key: given[key] for key in ("uids", "gids") if key in given})


def default_pool(name: str | None = None, **options: Unpack[Options]) -> Pool:
    """Returns the default pool, made or opened when it is first asked for. Arguments are those of configure.

    Raises OptionsError for arguments if it is in use already, and what Pool() raises."""
    pool = state.pool
    if pool is not None and not pool.closed and not name and not options:
        return pool
    with state.lock:
        if name or options:
            configure(name, **options)
        if state.pool is None or state.pool.closed:
            state.pool = _make()
        return state.pool


def _make() -> Pool:
    place = _place()
    if place is None:
        state.made_up, state.maker = f"ndpool-{os.getpid()}-{secrets.token_hex(6)}", os.getpid()
        place = _Place(state.made_up, directory(), False)
    pool = _attach.find(os.path.join(place.dir, place.name)) or _open(place)
    _tell_children(pool)
    log.debug("default pool is %s", pool.path)
    return pool


def _open(place: _Place) -> Pool:
    """Attaches. Of a pool that the tree has already only what this process was told by configure is asked for."""
    options: dict[str, Any] = {**state.options, "dir": place.dir}
    try:
        if place.inherited:
            return Pool._of(_core_pool(place.name, "open", options), warn=False)
    except NotExistError:
        log.debug("default pool %s/%s has ended, and is made anew", place.dir, place.name)
    return Pool._of(_core_pool(place.name, "open_or_create", {**_from_environment(), **options}), warn=False)


def _core_pool(name: str, how: str, options: dict[str, Any]) -> _core.Pool:
    return _core.Pool(name, how, **core_options(cast(Options, options)))


def is_inherited() -> bool:
    """Tells whether another process of the tree has made the pool that this one would use."""
    with state.lock:
        place = None if state.pool is not None and not state.pool.closed else _place()
        return place is not None and place.inherited


def directory() -> str:
    """Returns the directory of a default pool that is yet to be made."""
    given = state.options.get("dir")
    return os.path.abspath(os.fspath(given)) if given else os.environ.get(DIR) or DEFAULT_DIR


def _place() -> _Place | None:
    """Returns where the default pool is, None if it has no name yet."""
    if state.name:
        return _Place(state.name, directory(), False)
    told = _mp_config().get(_KEY)
    if isinstance(told, tuple) and len(told) == 2:
        return _Place(*told, inherited=True)
    name = os.environ.get(NAME)
    if not name:
        return None
    return _Place(name, os.environ.get(DIR) or directory(), os.environ.get(MADE) == name)


def _mp_config() -> dict[str, Any]:
    return getattr(_mp.current_process(), "_config", {})


def _tell_children(pool: Pool) -> None:
    """Leaves the pool's place where children look: those of multiprocessing, and those that are started by exec."""
    _mp_config()[_KEY] = (pool.name, pool.dir)
    os.environ[NAME] = pool.name
    os.environ[DIR] = pool.dir
    os.environ[MADE] = pool.name


def _from_environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    env = os.environ
    if text := env.get("NDPOOL_CAPACITY"):
        found["capacity"] = text
    if text := env.get("NDPOOL_MODE"):
        found["mode"] = int(text, 8)
    for key, kind in _NUMBERS.items():
        if text := env.get(f"NDPOOL_{key.upper()}"):
            found[key] = kind(text)
    for key in _FLAGS:
        if text := env.get(f"NDPOOL_{key.upper()}"):
            found[key] = text.lower() not in ("0", "no", "false", "off")
    return found


def remove_if_alone() -> None:
    """Removes the default pool's file if this process made up its name and nobody else is attached.

    For the end of the process: nobody could find what is still in flight there. Arrays stay valid."""
    with state.lock:
        pool = state.pool
        if pool is None or pool.closed or not _is_ours(pool):
            return
        try:
            if not any(p.alive and not p.self for p in pool.processes()):
                _core.unlink(pool.name, dir=pool.dir)
        except NdpoolError as e:
            log.debug("default pool %s was not removed: %s", pool.path, e)


def _is_ours(pool: Pool) -> bool:
    return state.maker == os.getpid() and state.made_up == pool.name


def forget() -> None:
    """Takes back what was told to children, and closes the pool; the next use makes another one."""
    with state.lock:
        remove_if_alone()
        if state.pool is not None:
            state.pool.close()
        state.pool, state.name, state.options = None, None, {}
        _mp_config().pop(_KEY, None)
        if os.environ.get(MADE):
            for key in (NAME, DIR, MADE):
                os.environ.pop(key, None)
