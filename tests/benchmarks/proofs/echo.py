"""An engine that answers at once with a number of its request, and a workload for it: what is left is the harness."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Backend, Session, Setting, Tensor
from bakeoff.measure.engine_room import Order
from bakeoff.workloads.prepared import MANIFEST, Prepared
from bakeoff.workloads.writing import write_holdout, write_manifest, write_references, write_requests

INPUTS = (Tensor("x", "float32", (None, 4)),)
REQUESTS, ROWS = 64, 4


class Echo(Backend):
    """Answers each row's first number."""

    name = "echo"
    formats = ("onnx",)
    instances = "threads"

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        return EchoSession()


class EchoSession(Session):
    def infer(self, inputs: Arrays) -> Arrays:
        return {"y": inputs["x"][:, 0].copy()}


def echo_order(folder: Path, **changes: Any) -> Order:
    """An order for it; `folder` takes its workload and its log. Children must find this folder on PYTHONPATH."""
    prepared = _workload(folder / "prepared")
    allowed = sorted(os.sched_getaffinity(0))
    order = Order(
        target="proofs.echo:Echo",
        artifact=Artifact(prepared.folder / MANIFEST, "fp32", INPUTS, ("y",)),
        setting=Setting("1x1"),
        device="cpu",
        instances="threads",
        cpus=tuple(allowed[-1:]),
        memory_bytes=None,
        prepared=prepared.folder,
        log=folder / "echo.log",
        generator_cpu=allowed[0] if len(allowed) > 1 else None,
    )
    return replace(order, **changes)


def _workload(folder: Path) -> Prepared:
    x = np.random.default_rng(1).normal(size=(REQUESTS * ROWS, 4)).astype(np.float32)
    rows = np.full(REQUESTS, ROWS)
    write_requests(folder / "requests", INPUTS, {"x": x}, rows)
    write_references(folder / "requests", ["y"], [{"y": part} for part in x[:, 0].reshape(REQUESTS, ROWS)])
    write_holdout(folder / "holdout", INPUTS, {"x": x}, rows, x[:, 0], {})
    prepared = Prepared(
        folder=folder,
        key="echo",
        name="echo",
        data="generated",
        licence="CC0",
        citation="made for a proof",
        inputs=INPUTS,
        outputs=("y",),
        variants={},
        metrics=(),
        judged="y",
        kind="rows",
        facts={},
    )
    write_manifest(prepared)
    return prepared
