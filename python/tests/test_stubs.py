"""The package's surface: what is public is complete, documented, annotated, and told to type checkers as it is."""

from __future__ import annotations

import importlib.resources
import importlib.util
import inspect
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ndpool
from ndpool import errors

MODULES = (
    "_arrays",
    "_attach",
    "_attrs",
    "_create",
    "_default",
    "_dtype",
    "_exit",
    "_frame",
    "_functions",
    "_info",
    "_items",
    "_names",
    "_options",
    "_pickle",
    "_pool",
    "_queue",
    "_streams",
    "_trees",
    "errors",
)


def public(of: Any) -> Iterator[tuple[str, Any]]:
    """The public members of a module or class, as they are written in it."""
    for name, value in vars(of).items():
        if not name.startswith("_") and not isinstance(value, types.ModuleType):
            yield name, value


def functions() -> Iterator[tuple[str, Any]]:
    """All public functions and methods of the package that are written in Python."""
    for name in ndpool.__all__:
        value = getattr(ndpool, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            yield from ((f"{name}.{n}", unwrapped(v)) for n, v in methods(value))


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class and of its bases in the package."""
    for base in cls.__mro__:
        if base.__module__.startswith("ndpool.") and base.__module__ != "ndpool._core":
            for name, value in public(base):
                if inspect.isfunction(unwrapped(value)):
                    yield name, value


def unwrapped(value: Any) -> Any:
    """The function within a property, class method or static method."""
    if isinstance(value, property):
        return value.fget
    return getattr(value, "__func__", value)


def test_all_is_sorted() -> None:
    """Lists of public names are sorted and name nothing twice."""
    for module in (ndpool, *(importlib.import_module(f"ndpool.{m}") for m in MODULES)):
        assert list(module.__all__) == sorted(set(module.__all__)), module.__name__
        assert all(hasattr(module, name) for name in module.__all__), module.__name__


def test_all_is_complete() -> None:
    """What the package shows without an underscore is in its list, and the other way round."""
    shown = {name for name, _ in public(ndpool) if name not in ("annotations",)}
    assert shown | {"__version__", "errors"} == set(ndpool.__all__)
    classes = {n for n, v in public(errors) if inspect.isclass(v) and issubclass(v, Exception)}
    assert classes == set(errors.__all__)


def test_modules_say_what_they_are() -> None:
    """Each module has a docstring."""
    for m in (ndpool, ndpool._core, *(importlib.import_module(f"ndpool.{m}") for m in MODULES)):
        assert m.__doc__ and m.__doc__.strip()[-1] in ".:", m.__name__


@pytest.mark.parametrize("name", [n for n in ndpool.__all__ if n not in ("__version__",)])
def test_public_names_have_docstrings(name: str) -> None:
    """Everything public says what it is."""
    value = getattr(ndpool, name)
    doc = value.__doc__
    assert doc and doc.strip() and not doc.startswith(f"{name}("), name


@pytest.mark.parametrize(("name", "function"), list(functions()), ids=lambda x: x if isinstance(x, str) else "")
def test_functions_have_docstrings_and_annotations(name: str, function: Any) -> None:
    """Every function, method and property says what it does, and what it takes and returns."""
    assert function.__doc__, name
    signature = inspect.signature(function)
    parameters = [p for k, p in signature.parameters.items() if k not in ("self", "cls")]
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters), name
    assert signature.return_annotation is not inspect.Signature.empty, name


def test_core_functions_have_docstrings_and_signatures() -> None:
    """The functions of the C core show their parameters to inspect."""
    core = ndpool._core
    for of in (core, core.Pool, core.NameLock, core.Writer, core.Reader, core.Queue):
        for name, value in public(of):
            assert value.__doc__, name
            if inspect.isroutine(value):
                assert inspect.signature(value) is not None, name


def test_errors_have_docstrings() -> None:
    """Each error has a sentence of its own."""
    docs = [getattr(errors, name).__doc__ for name in errors.__all__]
    assert all(docs) and len(set(docs)) == len(docs)


def test_version() -> None:
    """The version is the core's and that of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    assert ndpool.__version__ == ndpool._core.VERSION and ndpool.__version__.count(".") == 2
    try:
        assert version("ndpool") == ndpool.__version__
    except PackageNotFoundError:
        pytest.skip("not installed as a distribution")


def test_package_has_its_type_information() -> None:
    """The marker for type checkers and the stub of the core are in the package."""
    package = importlib.resources.files("ndpool")
    for name in ("py.typed", "_core.pyi"):
        assert package.joinpath(name).is_file(), name


def test_core_shows_nothing_but_its_init() -> None:
    """The extension module has one symbol of its own that others can see."""
    nm = subprocess.run(
        ["nm", "-D", "--defined-only", ndpool._core.__file__], capture_output=True, check=False, text=True, timeout=30
    )
    if nm.returncode != 0:
        pytest.skip("nm cannot read the module")
    assert [line.split()[-1] for line in nm.stdout.splitlines()] == ["PyInit__core"]


wants_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


@wants_mypy
@pytest.mark.timeout(180)
def test_stub_is_what_the_core_is(tmp_path: Path) -> None:
    """mypy's stubtest finds no difference between the stub and the module."""
    known = tmp_path / "known"  # __buffer__ shows from Python 3.12 on, and type checkers want it in all
    known.write_text(r"ndpool\._core\.Block\.__buffer__" if sys.version_info < (3, 12) else "")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "--allowlist", str(known), "ndpool._core"],
        capture_output=True,
        check=False,
        text=True,
        timeout=170,
        cwd=tmp_path,
        env={**os.environ, "MYPY_CACHE_DIR": "/dev/null"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


PROGRAM = """\
import numpy as np
import ndpool

with ndpool.Pool("name", capacity="1M", grace=3.0) as pool:
    a = pool.zeros((3, 4), "f4")
    b = ndpool.full(3, 1.5, dtype=np.float32, order="F")
    n: int = pool.stats().arrays
    t: bytes = pool.send(a[1:], to=pool.process)
    c = pool.adopt(t, readonly=True).sum() + pool.retain(ndpool.handle(b)).mean()
    k: int = pool.recall(older_than=3.0) + pool.recall(t)
    try:
        ndpool.seal(a, hash=True)
    except ndpool.errors.FullError as e:
        print(e.asked, e.free)
"""

WRONG = {
    'ndpool.Pool("name", size=3)': "call-arg",
    'ndpool.Pool("name", capacity=None)': "arg-type",
    'ndpool.zeros("three", order="X")': "arg-type",
    "ndpool.send(3)": "arg-type",
    "ndpool.default_pool().recall()": "call-overload",
    "ndpool.nothing()": "attr-defined",
}


@wants_mypy
@pytest.mark.timeout(180)
def test_type_checkers_see_the_package(tmp_path: Path) -> None:
    """A program that uses the package is checked: right ones pass strictly, and each wrong line is found."""
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text("import ndpool\n" + "".join(f"{line}\n" for line in WRONG))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=/dev/null", "right.py", "wrong.py"],
        capture_output=True,
        check=False,
        text=True,
        timeout=170,
        cwd=tmp_path,
    )
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    for k, (text, code) in enumerate(WRONG.items()):
        assert any(line.startswith(f"wrong.py:{k + 2}: ") and f"[{code}]" in line for line in lines), (
            text,
            done.stdout,
        )
    assert [line for line in lines if not line.startswith("wrong.py:")] == [], done.stdout + done.stderr
