"""What a plan of a fleet is asked for, as a person writes it on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bakeoff.decide.fleet.balancing import BALANCINGS, Balancing
from bakeoff.errors import UserError
from bakeoff.scenario import day, units
from bakeoff.store.record import RunRecord, ScenarioRecord

DAILY = "daily"
"""The trace that is a typical day."""


@dataclass(frozen=True, slots=True)
class Wish:
    """None: the verdict's choice, the scenario's fleet_qps, as many replicas as the formula says. `factors` are the
    day's hours as shares of the peak."""

    candidate: str | None = None
    fleet_qps: float | None = None
    replicas: int | None = None
    balancing: Balancing = "random"
    lost: int = 1
    factors: day.Factors = day.USUAL


def read(
    candidate: str | None,
    fleet_qps: float | str | None,
    replicas: int | None,
    balancing: str,
    trace: str | Path,
    lost: int,
) -> Wish:
    """The wish in these words; raises UserError with the option that is wrong."""
    for option, value, least in (("--replicas", replicas, 1), ("--lost", lost, 0)):
        if value is not None and value < least:
            raise UserError(f"{option} {value}: must be {least} or more")
    known = next((one for one in BALANCINGS if one == balancing), None)
    if known is None:
        raise UserError(f"--balancing {balancing}: unknown; it takes {', '.join(BALANCINGS)}")
    qps = None if fleet_qps is None else _rate(fleet_qps)
    return Wish(candidate, qps, replicas, known, lost, day.USUAL if str(trace) == DAILY else day.read(Path(trace)))


def one_scenario(record: RunRecord, name: str | None) -> ScenarioRecord:
    """The scenario of that name, or the only one; raises UserError where there is none such."""
    names = ", ".join(one.name for one in record.scenarios) or "none"
    if name is None and len(record.scenarios) != 1:
        raise UserError(f"--scenario: missing; run {record.run} has {names}")
    for one in record.scenarios:
        if name in (None, one.name):
            return one
    raise UserError(f"--scenario {name}: not in run {record.run}, which has {names}")


def _rate(value: float | str) -> float:
    try:
        return units.rate(value if isinstance(value, str) else f"{value:f}")
    except ValueError as error:
        raise UserError(f"--fleet-qps {value}: {error}") from None
