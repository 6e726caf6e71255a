"""Writes vectors.json: what numpy saves, for the tests of package npy.

Usage: python npy/testdata/generate.py, with numpy 2 installed. The types are those of dtype/testdata/vectors.json. The
elements are bytes that follow from their place, so that the file need not tell them.
"""

import base64
import json
import pathlib
import tempfile
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).parent
TYPES = HERE / "../../dtype/testdata/vectors.json"
MAX_SIZE = 4096  # bytes of an element; larger ones would make large files


def dtype_of(text: Any) -> np.dtype:
    """The type that a text or a record of package dtype tells."""
    if isinstance(text, str) and text.startswith("{"):
        text = json.loads(text)
    if isinstance(text, str):
        return np.dtype(text)
    fields = text["fields"]
    return np.dtype(
        {
            "names": [f[0] for f in fields],
            "formats": [(dtype_of(f[1]), tuple(f[3])) if len(f) > 3 else dtype_of(f[1]) for f in fields],
            "offsets": [f[2] for f in fields],
            "itemsize": text["itemsize"],
        }
    )


def array(text: str, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """An array whose n-th byte in memory is 7 n + 3."""
    dtype = dtype_of(text)
    a = np.zeros(shape, dtype, order)
    raw = (np.arange(a.nbytes) * 7 + 3).astype(np.uint8).tobytes()
    if raw:
        a = np.frombuffer(raw, dtype).reshape(shape, order=order)
    return a


def saved(a: np.ndarray, version: tuple[int, int] | None) -> bytes:
    """What numpy writes into a file. It must be a real one: for others numpy does not keep the gaps between fields."""
    with tempfile.TemporaryFile() as f:
        np.lib.format.write_array(f, a, version, allow_pickle=True)
        f.seek(0)
        return f.read()


def vector(text: str, a: np.ndarray, **more: Any) -> dict[str, Any]:
    version = more.get("version")
    file = saved(a, tuple(version) if version else None)
    fortran = a.flags.f_contiguous and not a.flags.c_contiguous
    return {"dtype": text, "shape": a.shape, "fortran": fortran, **more, "file": base64.b64encode(file).decode()}


def vectors() -> list[dict[str, Any]]:
    made = []
    for t in json.loads(TYPES.read_text())["types"]:
        if t["text"] in ("|S0", "<U0"):
            continue  # numpy makes arrays of S1 and U1 of them
        if t["size"] <= MAX_SIZE:
            try:
                made.append(vector(t["text"], array(t["text"], (2, 3))))
            except ValueError:
                made.append({"dtype": t["text"], "shape": [2, 3], "fortran": False, "unwritable": True})
    for shape in [(), (0,), (1,), (5,), (1, 5), (5, 1), (2, 3, 4), (0, 3), (2, 0, 3), (1, 2) * 6]:
        made += [vector("<f4", array("<f4", shape, order)) for order in "CF"]
    made += [vector("<i2", array("<i2", (2, 3)), version=v) for v in ([1, 0], [2, 0], [3, 0])]
    latin = '{"itemsize":4,"fields":[["caf\u00e9 \u00ff","<f4",0]]}'
    made += [vector(latin, array(latin, (2,))), vector(latin, array(latin, (2,)), version=[3, 0])]
    base = array("<u2", (4, 6))
    for view in [[[0, 4, 2], [0, 6, 1]], [[1, 3, 1], [5, None, -2]], [[0, 4, 1], [2, 3, 1]], [[0, 0, 1], [0, 6, 3]]]:
        made.append(vector("<u2", base[tuple(slice(*r) for r in view)], base=base.shape, view=view))
    return made


def refused() -> list[dict[str, str]]:
    """Files of numpy's that no pool can hold."""
    pickled = np.array([{"a": 1}, None], dtype=object)
    titled = np.zeros(2, dtype=[(("title", "name"), "<f4")])
    inside = np.zeros(2, dtype=[("x", "<f4"), ("y", "O")])
    files = {"objects": pickled, "titles": titled, "objects in a field": inside, "long double": np.zeros(2, np.longdouble)}
    return [{"what": what, "file": base64.b64encode(saved(a, None)).decode()} for what, a in files.items()]


def archives() -> list[str]:
    """The same tree by savez and by savez_compressed."""
    made = []
    for save in (np.savez, np.savez_compressed):
        with tempfile.TemporaryFile() as f:
            save(f, **{"x": np.arange(6, dtype="<i2").reshape(2, 3), "g/y": np.arange(1000, dtype="<i2")})
            f.seek(0)
            made.append(base64.b64encode(f.read()).decode())
    return made


if __name__ == "__main__":
    text = json.dumps({"vectors": vectors(), "refused": refused(), "archives": archives()}, indent=1, ensure_ascii=True)
    (HERE / "vectors.json").write_text(text + "\n")
