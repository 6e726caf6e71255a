"""Measures one peer in Python: workloads.py MODULE, jobs as JSON on stdin. measure.py runs it, by the peer's interpreter.

A job is {"workload", "parameters", "seconds", "place", "capacity", "arrays"}. Lines of JSON come on stdout: one about the peer,
then for each job in turn any number of samples {"value": 12.3, ...}, and {"end": true}, or {"absent": "why there are none"}.
"""

import importlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

import work_local
import work_memory
import work_others
from crew import Crew
from peer import Cannot, Peer, Sample
from scene import Scene

HERE = os.path.dirname(os.path.abspath(__file__))

ALL: dict[str, Callable[..., Iterator[Sample]]] = {
    "pair": work_local.pair,
    "churn": work_local.churn,
    "handover": work_others.handover,
    "pass": work_others.passing,
    "fanout": work_others.fanout,
    "crowd": work_others.crowd,
    "many": work_memory.many,
    "open": work_memory.opening,
    "touch": work_memory.touch,
    "recovery": work_memory.recovery,
    "memory": work_memory.memory,
}


def samples(crew: Crew, job: dict[str, Any]) -> Iterator[Sample]:
    workload, parameters = job["workload"], job["parameters"]
    if workload in crew.peer.lacks:
        raise Cannot("does not have this: " + crew.peer.lacks[workload])
    own = getattr(crew.peer, workload + "_" if workload == "pass" else workload, None)
    if own is not None:
        return own(job["place"], job["seconds"], **parameters)
    return ALL[workload](Scene(crew, job), **parameters)


def do(crew: Crew, job: dict[str, Any], say: Callable[[Sample], None]) -> None:
    try:
        for sample in samples(crew, job):
            say(sample)
    except Cannot as e:
        say({"absent": str(e)})
    except Exception as e:
        crew.forget()  # they may still wait for something
        say({"absent": f"cannot: {type(e).__name__}: {e}"})
    else:
        say({"end": True})


def main() -> None:
    module, jobs = sys.argv[1], json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")  # what libraries print is not a sample
    os.dup2(2, 1)

    def say(sample: Sample) -> None:
        print(json.dumps(sample), file=out, flush=True)

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.path.insert(0, os.path.join(HERE, "python"))
    try:
        kind: type[Peer] = importlib.import_module(module).PEER
        say({"peer": kind.name, "version": kind.version(), "leaves": kind.leaves, "lacks": kind.lacks})
    except Exception as e:
        say({"absent": f"cannot be imported: {type(e).__name__}: {e}"})
        return
    crew = Crew(module, kind)
    try:
        for job in jobs:
            do(crew, job, say)
    finally:
        crew.forget(patience=2)


if __name__ == "__main__":
    main()
