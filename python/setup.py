"""Builds ndpool._core: the C core and the module over it, in one shared object that shows nothing but its init function.

One build serves all Pythons from 3.11 on, by the limited API; free-threaded Pythons have no such API and get their own.
"""

import pathlib
import shutil
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
# Folders of the library.
CORE = ("arena", "arena/layout", "alloc", "refcount", "catalog", "ring", "pool", "handle", "dtype", "internal")
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")


def files(*folders: str, ext: str = "c") -> list[str]:
    """Paths relative to this file, as setuptools wants them."""
    return sorted(str(p.relative_to(HERE)) for f in folders for p in (HERE / "csrc" / f).glob(f"*.{ext}"))


class BuildWithHeader(build_py):
    """Puts the header of the C core beside the package's modules, in ndpool/include."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            include = pathlib.Path(self.build_lib, "ndpool", "include")
            include.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HERE / "csrc" / "ndpool.h", include / "ndpool.h")


core = Extension(
    "ndpool._core",
    sources=files(*CORE, "py"),
    depends=[*files("", *CORE, "py", ext="h"), "csrc/py/core.map"],
    include_dirs=["csrc"],
    define_macros=[("_GNU_SOURCE", None)] + ([("Py_LIMITED_API", "0x030b0000")] if LIMITED else []),
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
    extra_link_args=["-pthread", "-Wl,--version-script=csrc/py/core.map"],
    py_limited_api=LIMITED,
)

setup(
    ext_modules=[core],
    cmdclass={"build_py": BuildWithHeader},
    options={
        "build_ext": {"force": True},  # a build folder that was copied along with the sources looks newer than they are
        **({"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {}),
    },
)
