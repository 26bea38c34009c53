"""A process of the field: builds an engine's artifact, times it, or says what the model and the machine come to.

    python -m field.child TASK, with its order as JSON on stdin

It prints what it found as the last line, as JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Model, Setting, Unavailable, Unsupported, create
from bakeoff_backends import torch_session, torch_tables

FEWEST_CALLS, MOST_CALLS, CALLS_S = 5, 500, 1.0
WARM_UP_CALLS = 3
REQUESTS = 32
"""Of each size, called in turn."""
SLOWEST_S = 5.0
"""A batch size of which one call takes longer is not measured, and no larger one."""
PROBED_SIZES = (4, 8)
"""Work is counted at these, and goes on in a straight line."""
LARGEST_ERROR = 0.02
COPIED_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
MULTIPLIED = {"cpu": 1024, "cuda": 8192}
REPEATS = 10


def requests_of(model: Model, items: int, count: int = REQUESTS) -> list[dict[str, np.ndarray[Any, Any]]]:
    """Requests of `items` items: the rows of the samples in turn, each going on where the one before it ended, so that
    no look-up finds in a cache what the last call left there."""
    counted = [tensor.name for tensor in model.inputs if tensor.per == "item" and tensor.shape[:1] == (None,)]
    first = model.samples[0]
    alike = [s for s in model.samples if all(s[name].shape[1:] == first[name].shape[1:] for name in counted)]
    rows = {name: np.concatenate([sample[name] for sample in alike]) for name in counted}
    made = []
    for number in range(count):
        places = number * items + np.arange(items)
        taken = {name: np.ascontiguousarray(rows[name][places % len(rows[name])]) for name in counted}
        made.append({**alike[number % len(alike)], **taken})
    return made


def checked(batches: Sequence[int]) -> list[int]:
    """The sizes at which answers are held to torch's: the smallest, the middle and the largest."""
    return sorted({batches[0], batches[len(batches) // 2], batches[-1]})


def build(order: Mapping[str, Any]) -> dict[str, Any]:
    """Have the plugin build the model; where it cannot, why."""
    model: Model = pickle.loads(Path(order["model"]).read_bytes())
    into = Path(order["into"])
    into.mkdir(parents=True)
    backend, setting = create(order["target"]), Setting.of(order["setting"])
    artifact = backend.build(model, order["precision"], setting, order["device"], into)
    (into / "artifact").write_bytes(pickle.dumps(artifact))
    return {}


def serve(order: Mapping[str, Any]) -> dict[str, Any]:
    """The median call in seconds by batch size, and the largest error against torch on the CPU: at the smallest size,
    the middle one and the largest, as far as they were timed."""
    model: Model = pickle.loads(Path(order["model"]).read_bytes())
    artifact: Artifact = pickle.loads((Path(order["into"]) / "artifact").read_bytes())
    session = create(order["target"]).load(artifact, Setting.of(order["setting"]), order["device"])
    seconds = dict(timed(session.infer, model, order["batches"]))
    errors: list[float] = []
    with np.load(order["expected"]) as expected:
        for items in checked(order["batches"]):
            if items in seconds or not errors:
                answers = session.infer(requests_of(model, items, 1)[0])
                errors += [_error(answers[name], expected[f"{name}-{items}"]) for name in model.outputs]
    return {"error": max(errors), "seconds": seconds}


def _error(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """The distance over the size; infinite for an answer of another shape or with NaN in it."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), 1e-30))


def timed(infer: Any, model: Model, batches: Iterable[int]) -> Iterable[tuple[int, float]]:
    """Each batch size with the median of its calls, each with another request, until they become too slow."""
    for items in batches:
        requests = requests_of(model, items)
        for number in range(WARM_UP_CALLS):
            begun = time.perf_counter()
            infer(requests[number])
            slow = time.perf_counter() - begun > SLOWEST_S
            if slow:
                return
        calls: list[float] = []
        until = time.perf_counter() + CALLS_S
        while len(calls) < FEWEST_CALLS or (len(calls) < MOST_CALLS and time.perf_counter() < until):
            request = requests[len(calls) % len(requests)]
            begun = time.perf_counter()
            infer(request)
            calls.append(time.perf_counter() - begun)
        yield items, float(np.median(calls))


def expect(order: Mapping[str, Any]) -> dict[str, Any]:
    """What torch on the CPU answers at some sizes, for the others to be held to; and the work of a call.

    `flop` and `bytes` are [fixed, by item]: sums and products of matrix operators; dense weights, rows of tables,
    inputs and outputs, each read or written once, which is the least that can be.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model: Model = pickle.loads(Path(order["model"]).read_bytes())
    program = torch_session.read(model.file("exported"))
    artifact = Artifact(Path(), "fp32", model.inputs, model.outputs)
    session = torch_session.TorchSession(program.module(), artifact)
    answers = {items: session.infer(requests_of(model, items, 1)[0]) for items in checked(order["batches"])}
    told = {f"{name}-{items}": values for items, each in answers.items() for name, values in each.items()}
    np.savez(order["expected"], allow_pickle=False, **told)
    flop, moved = [], []
    for items in PROBED_SIZES:
        (request,) = requests_of(model, items, 1)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            found = session.infer(request)
        flop.append(counter.get_total_flops())
        moved.append(_bytes(request) + _bytes(found) + _rows_bytes(program.module(), model, request))
    return {"flop": _line(flop), "bytes": [_line(moved)[0] + _dense_bytes(program.module()), _line(moved)[1]]}


def _line(values: list[int]) -> list[float]:
    """The fixed part and that of each item, of what was counted at PROBED_SIZES."""
    slope = (values[1] - values[0]) / (PROBED_SIZES[1] - PROBED_SIZES[0])
    return [values[0] - slope * PROBED_SIZES[0], slope]


def _bytes(arrays: Arrays) -> int:
    return sum(values.nbytes for values in arrays.values())


def _apart(module: Any) -> torch_tables.Pieces | None:
    try:
        return torch_tables.take_apart(module, 1)
    except Unsupported:
        return None


def _rows_bytes(module: Any, model: Model, request: Arrays) -> int:
    """What the look-ups of a request read from tables."""
    import torch

    pieces = _apart(module)
    if pieces is None:
        return 0
    (part,) = pieces.lookups
    names = [model.inputs[number].name for number in part.inputs]
    rows = part.module(*(torch.from_numpy(request[name]) for name in names))
    return sum(each.numel() * each.element_size() for each in rows)


def _dense_bytes(module: Any) -> int:
    """The weights outside the tables that are looked up."""
    pieces = _apart(module)
    dense = module if pieces is None else pieces.dense.module
    held = {id(tensor): tensor for tensor in (*dense.parameters(), *dense.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in held.values())


def ceilings(order: Mapping[str, Any]) -> dict[str, Any]:
    """What torch reaches on the device: bytes per second of a copy, FLOP per second of a large product by precision,
    and bytes per second from pinned host memory to a GPU."""
    import torch

    from bakeoff_backends import torch_cuda

    device = order["device"]
    source = torch.empty(COPIED_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found: dict[str, Any] = {"bytes": 2 * source.numel() / _quickest(lambda: target.copy_(source), device), "flop": {}}
    for precision, dtype in (("fp32", "float32"), ("tf32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")):
        if device == "cpu" and precision != "fp32":
            continue
        torch_cuda.multiply_in(precision)
        size = MULTIPLIED[device]
        a, b = (torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))
        found["flop"][precision] = 2 * size**3 / _quickest(lambda a=a, b=b: a @ b, device)
    if device == "cuda":
        host = torch.empty(COPIED_BYTES["cpu"], dtype=torch.uint8, pin_memory=True)
        found["host_to_gpu_bytes"] = host.numel() / _quickest(
            lambda: target[: host.numel()].copy_(host, non_blocking=True), device
        )
    return found


def _quickest(call: Any, device: str) -> float:
    """Seconds of the quickest of some calls."""
    import torch

    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main(task: str) -> None:
    """Do the task; what cannot be done here is an answer too."""
    tasks = {"build": build, "serve": serve, "expect": expect, "ceilings": ceilings}
    try:
        found = tasks[task](json.load(sys.stdin))
    except Unavailable as error:
        found = {"refused": f"{error.reason}; {error.remedy}"}
    except Unsupported as error:
        found = {"refused": str(error)}
    sys.stdout.write("\n" + json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
