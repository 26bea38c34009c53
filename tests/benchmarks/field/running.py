"""Running the field: each engine's candidates on each device, in processes of their own."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from proofs import children

from bakeoff.backends import Resources, Setting, registered, thread_environment
from bakeoff.contest.probing import ask_backend
from bakeoff.measure import gpu
from bakeoff.measure.engine_room import Probed
from bakeoff.scenario import from_dict
from bakeoff.workloads import prepare
from field.child import LARGEST_ERROR

ENGINES = ("torch", "torch-compile", "jax", "onnxruntime", "tensorrt")
CHILD_LIMIT_S = 1800
LOSSY_ERRORS = {"fp32": 1e-3}
"""The largest error against torch on the CPU, where it is not LARGEST_ERROR."""

Line = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one device reaches by itself: bytes/s of a copy, FLOP/s by precision, bytes/s from the host to it."""

    bytes: float
    flop: Mapping[str, float]
    host_to_gpu_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What a call of n items takes at least, each a line (fixed, by item): floating-point operations, and bytes."""

    flop: Line
    bytes: Line


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate on one workload: the median call in seconds by batch size, or why there is none."""

    workload: str
    device: str
    candidate: str
    precision: str
    seconds: Mapping[int, float] = field(default_factory=dict)
    refused: str = ""


class Field:
    """The candidates of the engines on some devices, each with `cpus` cores for its own share of the work."""

    def __init__(self, devices: Sequence[str], precisions: Sequence[str], cpus: int, scratch: Path) -> None:
        self._devices, self._precisions, self._cpus, self._scratch = devices, precisions, cpus, scratch
        self._model, self._expected = scratch / "model", scratch / "expected.npz"

    def ceilings(self) -> dict[str, Ceilings]:
        """What each device reaches, as far as torch can ask it."""
        found = {device: self._child("ceilings", device, {}) for device in self._devices}
        return {device: Ceilings(**each) for device, each in found.items() if "refused" not in each}

    def work(self, workload: str, batches: Sequence[int]) -> Work:
        """Prepare a workload, which trains it at the first time, and count what a call takes."""
        traffic = {"kind": "single_stream", "batch_size": 32}
        prepared = prepare(from_dict({"workload": workload, "traffic": traffic}), min_pool_bytes=0)
        model = replace(prepared.model(), batch_sizes=tuple(batches))
        self._model.write_bytes(pickle.dumps(model))
        found = self._child("expect", "cpu", {"batches": list(batches)})
        return Work(tuple(found["flop"]), tuple(found["bytes"]))

    def rows(
        self, workload: str, batches: Sequence[int], engines: Sequence[str], telling: Callable[[str], None]
    ) -> Iterator[Row]:
        """Each candidate's row, when it is there."""
        for device in self._devices:
            for name in engines:
                target = registered()[name].value
                probed = ask_backend(target, device, Resources(self._cpus, gpus=int(device == "cuda")))
                if not isinstance(probed, Probed):
                    yield Row(workload, device, name, "", refused="; ".join((probed.reason, probed.remedy)))
                    continue
                for precision in (each for each in probed.precisions if each in self._precisions):
                    for setting in _alone(probed):
                        candidate = f"{name}/{precision}/{setting.name}"
                        telling(f"{workload} on {device}: {candidate}")
                        found = self._measured(target, device, precision, setting, batches)
                        yield Row(workload, device, candidate, precision, **found)

    def _measured(
        self, target: str, device: str, precision: str, setting: Setting, batches: Sequence[int]
    ) -> dict[str, Any]:
        into = self._scratch / f"built-{len(list(self._scratch.glob('built-*')))}"
        order = {"target": target, "precision": precision, "setting": asdict(setting), "into": str(into)}
        for task in ("build", "serve"):
            found = self._child(task, device, order | {"batches": list(batches)})
            if "refused" in found:
                return {"refused": found["refused"]}
        if found["error"] > LOSSY_ERRORS.get(precision, LARGEST_ERROR):
            return {"refused": f"wrong answers: {found['error']:.2g} from torch's on the CPU"}
        return {"seconds": {int(items): each for items, each in found["seconds"].items()}}

    def _child(self, task: str, device: str, order: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"device": device, "model": str(self._model), "expected": str(self._expected), **order}
        try:
            done = subprocess.run(
                children.python("-W", "ignore", "-m", "field.child", task),
                env=children.environment() | thread_environment(self._cpus) | gpu.environment(device),
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                timeout=CHILD_LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return {"refused": f"{task}: no answer within {CHILD_LIMIT_S} s"}
        if done.returncode:
            return {"refused": f"{task}: {(done.stderr.strip().splitlines() or ['died without a word'])[-1][:200]}"}
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def _alone(probed: Probed) -> list[Setting]:
    """The settings that serve one request at a time, without those on request."""
    return [each for each in probed.settings if each.instances == 1 and not each.on_request]
