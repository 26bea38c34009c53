"""A candidate's artifact behind a real server: KServe with one worker, on the CPUs that its engine had alone."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bakeoff.backends import Artifact, registered
from bakeoff.contest.plan import Entry
from bakeoff.measure import environments
from deciding.asked import REPOSITORY

EXPORTING = frozenset(
    {"ai-edge-quantizer", "litert-torch", "nncf", "onnx", "onnx-ir", "onnxscript", "torch", "torchao"}
)
"""What makes artifacts out of models, which a server is given; but where it is the engine itself."""
SERVERS = REPOSITORY / "tests" / "endpoints" / "real_servers.py"
Served = Mapping[str, Any]
"""A server as `candidates.endpoints` names it."""


@contextmanager
def kserve(entry: Entry, artifact: Artifact, cpus: Sequence[int], folder: Path) -> Iterator[Served]:
    """The server while it runs; its environment, with the engine in the version that is here, is made at the first use,
    by uv."""
    point = registered()[entry.candidate.backend]
    needed = {canonicalize_name(Requirement(each).name) for each in environments.needed(point)}
    loading = needed - (EXPORTING - environments.engines(point))
    engine = [f"{name}=={version(name)}" for name in sorted(loading)]
    order = folder / "served.json"
    given = {"target": entry.target, "artifact": asdict(artifact), "setting": asdict(entry.candidate.setting)}
    order.write_text(json.dumps(given | {"cpus": list(cpus)}, default=str), encoding="utf-8")
    with runpy.run_path(str(SERVERS))["started"]("plugin", order, folder, engine) as ports:
        yield {"url": f"http://127.0.0.1:{ports.http}", "protocol": "v2-binary", "model": "ranker"}


@contextmanager
def only(cpus: Sequence[int]) -> Iterator[None]:
    """This process, and what it starts, on these CPUs alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
