"""Tests that report.py says what the results say, and that --check fails when it must: python3 bench/peers/report_test.py."""

import contextlib
import importlib.util
import io
import json
import pathlib
import tempfile
import unittest
from typing import Any

import findings
import report
import tables

PEERS = [
    {"peer": "ndpool, C", "kind": "ndpool", "language": "C", "version": "1"},
    {"peer": "other", "kind": "peer", "language": "C++", "version": "2"},
    {"peer": "malloc", "kind": "floor", "language": "C", "version": "3"},
]
ABOUT = {
    "machine": {"cpu": "some", "cores": 2, "memory_bytes": 1 << 30, "kernel": "Linux 6", "shm": "tmpfs"},
    **{"date": "2000-01-01", "commit": "0", "command": "make peers", "rounds": 3, "load": [0.5]},
}


def row(peer: str, size: int, low: float, median: float, high: float) -> dict[str, Any]:
    return {"peer": peer, "parameters": {"size": size}, "samples": [], "median": median, "low": low, "high": high, "extra": {}}


def pair() -> dict[str, Any]:
    """ndpool is ahead at 64 B, level at 4 KiB, behind at 64 KiB, and within twice its floor but there."""
    rows = [row("ndpool, C", 64, 9, 10, 11), row("other", 64, 19, 20, 21), row("malloc", 64, 6, 7, 8)]
    rows += [row("ndpool, C", 4096, 9, 10, 12), row("other", 4096, 10, 11, 13), row("malloc", 4096, 6, 7, 8)]
    rows += [row("ndpool, C", 65536, 29, 30, 31), row("other", 65536, 9, 10, 11), row("malloc", 65536, 6, 7, 8)]
    return {
        "workload": "pair",
        "what": "A pair.",
        "unit": "ns",
        "better": "lower",
        **ABOUT,
        "peers": PEERS,
        "rows": rows,
        "absent": [],
    }


class Case(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.results = pathlib.Path(temporary.name)
        self.readme = self.results / "README.md"
        names = tables.blocks({}, self.results, self.results)
        text = "".join(f"<!-- begin: {name} -->\n<!-- end: {name} -->\n" for name in names)
        self.readme.write_text(f"# Page\n{text}<!-- why: pair -->\nBecause.\n")

    def put(self, data: dict[str, Any]) -> None:
        (self.results / f"{data['workload']}.json").write_text(json.dumps(data))

    def run_report(self, *flags: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = report.main(["--results", str(self.results), "--readme", str(self.readme), *flags])
        return code, said.getvalue()

    def pretend_figures(self) -> None:
        """Files that carry what figures carry, so that this needs no matplotlib."""
        found = findings.load(self.results)
        for figure in findings.figures(found):
            for ending in ("svg", "png"):
                (self.results / f"{figure.name}.{ending}").write_text(tables.mark(found[figure.workload]))

    def made(self) -> None:
        self.put(pair())
        self.assertEqual(self.run_report("--no-plots")[0], 0)
        self.pretend_figures()
        self.assertEqual(self.run_report("--check"), (0, ""))

    def assert_refused(self, words: str) -> None:
        code, said = self.run_report("--check")
        self.assertEqual(code, 1)
        self.assertIn(words, said)


class Tables(Case):
    def test_says_who_is_ahead(self) -> None:
        self.made()
        page = self.readme.read_text()
        self.assertIn("| ahead 1 of 3, 2.0 times; level 1; **behind 1**, 3.0 times |", page)
        self.assertIn("| allocate and free | 64 KiB | ndpool, C | 30.0 ns | other | 10.0 ns | **3.0 times** |", page)
        self.assertIn("| 64 B: 1.4, 4 KiB: 1.4, 64 KiB: **4.3** |", page)
        self.assertIn("| other (C++) | 20.0 ns (2.0) | 11.0 ns (1.1) | 10.0 ns (0.33) |", page)

    def test_higher_is_better(self) -> None:
        data = pair() | {"better": "higher"}
        self.put(data)
        self.run_report("--no-plots")
        self.assertIn("| ahead 1 of 3, 3.0 times; level 1; **behind 1**, 2.0 times |", self.readme.read_text())

    def test_nothing_measured(self) -> None:
        self.assertEqual(self.run_report("--no-plots")[0], 0)
        self.assertEqual(self.run_report("--check"), (0, ""))

    def test_stopped_early_does_not_compete(self) -> None:
        data = pair() | {"workload": "many", "unit": "bytes"}
        full, short = row("ndpool, C", 100, 400, 400, 400), row("other", 100, 300, 300, 300)
        full["extra"], short["extra"] = {"reached": 100_000}, {"reached": 1_020, "why": "too many"}
        self.put(data | {"rows": [full, short]})
        self.run_report("--no-plots")
        self.assertIn("| no peer can |", self.readme.read_text())
        self.assertIn("**1,020**", self.readme.read_text())


class Check(Case):
    def test_a_changed_figure_in_a_table(self) -> None:
        self.made()
        self.readme.write_text(self.readme.read_text().replace("30.0 ns", "3.0 ns"))
        self.assert_refused("the table 'behind' is not what the results say")

    def test_changed_results(self) -> None:
        self.made()
        data = pair()
        data["rows"][0] |= {"low": 1, "median": 1, "high": 1}
        self.put(data)
        self.assert_refused("the table 'pair' is not what the results say")
        self.assert_refused("pair.svg: drawn from other results")

    def test_a_lost_figure(self) -> None:
        self.made()
        (self.results / "pair.png").unlink()
        self.assert_refused("pair.png: missing")

    def test_a_stray_figure(self) -> None:
        self.made()
        (self.results / "churn.svg").write_text("")
        self.assert_refused("churn.svg: belongs to no results")

    def test_a_peer_left_out(self) -> None:
        data = pair()
        data["rows"] = [r for r in data["rows"] if (r["peer"], r["parameters"]["size"]) != ("other", 64)]
        self.put(data)
        self.assertEqual(self.run_report("--no-plots")[0], 1)
        self.assert_refused("pair: other has neither a figure nor a reason at 64 B")
        self.put(data | {"absent": [{"peer": "other", "parameters": {"size": 64}, "reason": "cannot"}]})
        self.assertEqual(self.run_report("--no-plots")[0], 0)

    def test_a_loss_without_a_reason(self) -> None:
        self.made()
        self.readme.write_text(self.readme.read_text().replace("<!-- why: pair -->\n", ""))
        self.assert_refused("pair: ndpool is behind a peer, and the page does not say <!-- why: pair -->")

    def test_a_lost_marker(self) -> None:
        self.made()
        self.readme.write_text(self.readme.read_text().replace("<!-- end: pair -->", ""))
        self.assert_refused("markers of the page: missing ['pair']")

    def test_results_that_are_none(self) -> None:
        self.put(pair() | {"unit": "ns", "better": "faster"})
        self.assert_refused("pair.json: KeyError")
        self.put(pair() | {"rows": [row("ndpool, C", 64, 5, 1, 6)]})
        self.assert_refused("is not in 5..6")
        self.put(pair() | {"rows": [row("ndpool, C", 64, 1, 1, 1)] * 2})
        self.assert_refused("two rows of ndpool, C")


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "no matplotlib here: figures are not tested")
class Figures(Case):
    def test_the_same_data_makes_the_same_bytes(self) -> None:
        self.put(pair())
        self.put(pair() | {"workload": "handover", "unit": "us"})
        (self.results / "crowd.svg").write_text("of results that are gone")
        drawn = []
        for _ in range(2):
            self.assertEqual(self.run_report()[0], 0)
            self.assertEqual(
                [line for line in self.run_report("--check")[1].splitlines() if "png" in line or "svg" in line], []
            )
            drawn.append({p.name: p.read_bytes() for ending in ("svg", "png") for p in self.results.glob(f"*.{ending}")})
        self.assertEqual(sorted(drawn[0]), ["handover-native.png", "handover-native.svg", "pair.png", "pair.svg"])
        self.assertEqual(drawn[0], drawn[1])


if __name__ == "__main__":
    unittest.main()
