"""What was asked, side by side: where two runs' scenarios of one name differ, and whether they are one question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from bakeoff.scenario import restore
from bakeoff.store.record import FILES, ScenarioRecord

ITSELF = (
    "workload",
    "requests",
    "include_preparation",
    "traffic.kind",
    "traffic.fleet_qps",
    "traffic.burst",
    "traffic.trace.sha256",
    "traffic.samples_per_query",
    "sla",
    "quality",
    "fleet",
)
"""What makes the question, beside the batch sizes. What a replica holds and costs, the rate that it is driven at, the
candidates, seeds and blocks are each host's own."""
SIZES = "traffic.batch_size"
_NO_MATTER = frozenset({"source", "version", "gate"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same, by its name in dots; None where it is absent."""

    name: str
    older: Any
    newer: Any


def differences(older: ScenarioRecord, newer: ScenarioRecord) -> tuple[Difference, ...]:
    """Every difference between two questions; of files by their names and, where both recorded it, their content."""
    found = unlike(_asked(older), _asked(newer))
    return tuple(each for each in found if each.name != f"workload.{FILES}" or None not in (each.older, each.newer))


def not_the_same(older: ScenarioRecord, newer: ScenarioRecord) -> tuple[Difference, ...]:
    """Those of the differences that make it another question."""
    return tuple(each for each in differences(older, newer) if _within(each.name, (*ITSELF, SIZES)))


def same_but_sizes(older: ScenarioRecord, newer: ScenarioRecord) -> bool:
    """Whether it is one question, at batch sizes that may differ."""
    return not any(_within(each.name, ITSELF) for each in differences(older, newer))


def unlike(older: Mapping[str, Any], newer: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Where two nested mappings differ, in the order of the older."""
    before, after = dict(_flat(older)), dict(_flat(newer))
    return tuple(
        Difference(name, before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def _asked(record: ScenarioRecord) -> dict[str, Any]:
    """A definition with what an older one leaves to defaults, without what decides nothing, and the workload's data.

    A prepared workload's own key says less: it holds the host's caches and the versions that made it, too.
    """
    definition = restore(dict(record.definition)).definition()
    asked = {name: _portable(value) for name, value in definition.items() if name not in _NO_MATTER}
    return asked | {f"workload.{name}": record.workload.get(name) for name in ("data", FILES)}


def _portable(value: Any) -> Any:
    """Absolute paths, which differ between hosts, as the files' names."""
    if isinstance(value, Mapping):
        return {name: _portable(each) for name, each in value.items()}
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)
