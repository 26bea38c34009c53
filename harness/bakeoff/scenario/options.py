"""Scenarios from the command line's options: a file's scenario with some values changed, or one from a model alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bakeoff.scenario import units
from bakeoff.scenario.device import check_device
from bakeoff.scenario.fields import is_factory, workload_reference
from bakeoff.scenario.loading import file_name, from_dict, restore
from bakeoff.scenario.model import Scenario
from bakeoff.scenario.sizes import one_size
from bakeoff.scenario.wording import complaint, shown

_T = TypeVar("_T")
_V = TypeVar("_V")


def from_model(
    model: str | Path,
    *,
    qps: float | str | None = None,
    p99: str | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    objective: str | None = None,
    exhaustive: bool | None = None,
    backends: Sequence[str] | None = None,
    environments: Mapping[str, Mapping[str, Any]] | None = None,
) -> Scenario:
    """The scenario for a model (a file or package.module:factory, from the current folder) without a scenario file.

    With `qps` (a number, or "max": how much can it take?) it is server traffic, which needs a `p99` such as "20ms";
    without, one request at a time.
    """
    if qps is not None and p99 is None:
        raise complaint(str(model), ("sla",), "missing; server traffic needs a latency limit, as in --p99 20ms")
    traffic = {"kind": "server", "qps": qps} if qps is not None else {"kind": "single_stream"}
    data: dict[str, Any] = {"name": _name(str(model)), "workload": str(model), "traffic": traffic}
    if p99 is not None:
        data["sla"] = {"p99": p99}
    return override(
        from_dict(data, label=str(model)),
        batch_size=batch_size,
        seed=seed,
        device=device,
        objective=objective,
        exhaustive=exhaustive,
        backends=backends,
        environments=environments,
    )


def override(
    scenario: Scenario,
    *,
    qps: float | str | None = None,
    p99: str | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    workload: str | None = None,
    device: str | None = None,
    objective: str | None = None,
    exhaustive: bool | None = None,
    backends: Sequence[str] | None = None,
    environments: Mapping[str, Mapping[str, Any]] | None = None,
) -> Scenario:
    """The scenario with the given values in place of its own, validated anew; None leaves a value as it is.

    `environments` are added to its own.

    Another `workload` (a file or a factory, from the current folder) takes the scenario's variants and requests away,
    for they belong to the model that it replaces.
    """
    values, label = scenario.definition(), f"options for {scenario.name}"
    if qps is not None:
        values["traffic"]["qps"] = qps
    if batch_size is not None:
        values["traffic"]["batch_size"] = [_option(label, "batch_size", one_size, batch_size)]
    if p99 is not None:
        values["sla"] = (values["sla"] or {}) | {
            "percentile": 99.0,
            "limit_ms": _option(label, "p99", units.milliseconds, p99),
        }
    if seed is not None:
        values["seed"] = seed
    if workload is not None:
        reference = _option(label, "workload", lambda value: workload_reference(value, Path()), workload)
        values |= {"workload": reference, "variants": {}, "requests": None}
    if device is not None:
        values["resources"]["device"] = _option(label, "device", check_device, device)
    if objective is not None:
        values["objective"] = objective
    if exhaustive is not None:
        values["exhaustive"] = exhaustive
    if backends:
        values["candidates"]["backends"] = list(backends)
    values["candidates"]["environments"] |= dict(environments or {})
    return restore(values, label)


def _name(model: str) -> str:
    return file_name(model if is_factory(model) else Path(model).stem)


def _option(label: str, name: str, convert: Callable[[_V], _T], value: _V) -> _T:
    try:
        return convert(value)
    except ValueError as error:
        raise complaint(label, (name,), f"{shown(value)}: {error}") from None
