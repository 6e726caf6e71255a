"""What a run found, and on which machine: collected, and written as one JSON file for each workload."""

import datetime
import json
import os
import statistics
import subprocess
from typing import Any

from plan import WORKLOADS, Entry, Parameters
from taken import SHM

Point = tuple[str, str, str]  # peer, workload, parameters as JSON


class Results:
    """Samples of each round, and the reasons for what has none."""

    def __init__(self) -> None:
        self.found: dict[Point, list[dict[str, Any]]] = {}
        self.reasons: dict[Point, str] = {}
        self.versions: dict[str, str] = {}
        self.load: list[float] = []

    def add(self, peer: str, workload: str, parameters: Parameters, lines: list[dict[str, Any]]) -> None:
        """The samples of one round: their median counts, and whatever else the last of them says."""
        values = [line["value"] for line in lines if line["value"] is not None]
        value = statistics.median(values) if values else None
        self.found.setdefault(point(peer, workload, parameters), []).append({**lines[-1], "value": value})

    def left_behind(self, peer: str, workload: str, parameters: Parameters, size: int) -> None:
        """Adds to the last round of what does not recover how many bytes are still taken."""
        lines = self.found.get(point(peer, workload, parameters), [])
        if lines and lines[-1]["value"] is None:
            lines[-1]["left_bytes"] = size

    def absent(self, peer: str, workload: str, parameters: Parameters, reason: str) -> None:
        self.reasons[point(peer, workload, parameters)] = " ".join(reason.split())

    def is_absent(self, peer: str, workload: str, parameters: Parameters) -> bool:
        return point(peer, workload, parameters) in self.reasons

    def write(self, out: str, workload: str, entries: list[Entry], about: dict[str, Any]) -> None:
        w = WORKLOADS[workload]
        data = {
            "workload": workload,
            "what": w.what,
            "unit": w.unit,
            "better": w.better,
            **about,
            "load": self.load,
            "peers": [self.peer(e) for e in entries],
            "rows": [row for e in entries for p in w.parameters if (row := self.row(e.name, workload, p))],
            "absent": [gap for e in entries for gap in self.gaps(e.name, workload)],
        }
        path = os.path.join(out, workload + ".json")
        with open(path + ".new", "w") as f:
            json.dump(data, f, indent=1)
            f.write("\n")
        os.replace(path + ".new", path)

    def peer(self, entry: Entry) -> dict[str, str]:
        version = self.versions.get(entry.name, "")
        return {"peer": entry.name, "kind": entry.kind, "language": entry.language, "version": version}

    def row(self, peer: str, workload: str, parameters: Parameters) -> dict[str, Any] | None:
        if not (lines := self.found.get(point(peer, workload, parameters))):
            return None
        samples = [rounded(line["value"]) for line in lines if line["value"] is not None]
        return {
            "peer": peer,
            "parameters": parameters,
            "samples": samples,
            "median": rounded(statistics.median(samples)) if samples else None,
            "low": min(samples, default=None),
            "high": max(samples, default=None),
            "extra": {key: rounded(value) for key, value in lines[-1].items() if key != "value"},
        }

    def gaps(self, peer: str, workload: str) -> list[dict[str, Any]]:
        """What was not measured: one entry without parameters where the reason is the same for all."""
        all_parameters = WORKLOADS[workload].parameters
        gaps = [(p, r) for p in all_parameters if (r := self.reasons.get(point(peer, workload, p)))]
        if len(gaps) == len(all_parameters) and len({reason for _, reason in gaps}) == 1:
            gaps = [(None, gaps[0][1])]  # type: ignore[list-item]
        return [{"peer": peer, "parameters": parameters, "reason": reason} for parameters, reason in gaps]


def point(peer: str, workload: str, parameters: Parameters) -> Point:
    return peer, workload, json.dumps(parameters, sort_keys=True)


def rounded(value: Any) -> Any:
    """Four digits are more than a measurement has."""
    if not isinstance(value, float):
        return value
    return int(value) if value >= 1e15 else float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def machine() -> dict[str, Any]:
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), os.uname().machine)
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"Linux {os.uname().release}",
        "shm": filesystem(SHM),
        "huge_pages": chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "huge_pages_shm": chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
    }


def filesystem(path: str) -> str:
    with open("/proc/self/mounts") as f:
        found = [line.split()[2] for line in f if line.split()[1] == path]
    return found[-1] if found else "not a mount"


def chosen(path: str) -> str:
    """The word in brackets, of a file of choices."""
    try:
        with open(path) as f:
            return f.read().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        return "unknown"


def commit() -> str:
    got = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True)
    return got.stdout.strip() or "unknown"


def today() -> str:
    return datetime.date.today().isoformat()
