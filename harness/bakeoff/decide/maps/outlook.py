"""A scenario's map and what would turn its verdict, together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bakeoff.decide.across.question import same_but_sizes
from bakeoff.decide.court import Court, convene
from bakeoff.decide.maps.decision_map import DecisionMap, decision_map, has_map
from bakeoff.decide.objective import require_cost
from bakeoff.decide.what_if.sensitivity import Stretch, sensitivity
from bakeoff.errors import UserError
from bakeoff.scenario import restore
from bakeoff.scenario.parts import Resources
from bakeoff.store.record import RunRecord


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where the answer holds and where it turns."""

    map: DecisionMap
    stretches: tuple[Stretch, ...]


def outlook(courts: Sequence[Court], hosts: Sequence[str] = (), cpu_flags: Collection[str] | None = None) -> Outlook:
    """The outlook of one question, asked by each court at its own batch sizes on the same host, with these CPU flags.

    Raises UserError for another question, for service times from unlike machines or replicas, which are never put
    together, and for a scenario that has no map.
    """
    first, *others = courts
    require_cost(first.scenario, "map")
    for court in others:
        if not same_but_sizes(first.record, court.record):
            raise UserError(f"{court.record.name}: another question than the first run's; a map is of one")
        if _replica(court) != _replica(first) or len(set(hosts)) > 1:
            unlike = "another host" if len(set(hosts)) > 1 else "other resources"
            raise UserError(f"{court.record.name}: measured on {unlike}; `bakeoff join` puts such runs side by side")
    try:
        return Outlook(decision_map(courts, cpu_flags), sensitivity(first, cpu_flags))
    except ValueError as error:
        raise UserError(str(error)) from None


def outlooks(record: RunRecord, cpu_flags: Collection[str] | None = None) -> dict[str, Outlook]:
    """By name, the outlook of each scenario of a run that has a map."""
    courts = [convene(one, cpu_flags=cpu_flags) for one in record.scenarios if has_map(restore(dict(one.definition)))]
    found = {court.record.name: outlook([court], cpu_flags=cpu_flags) for court in courts}
    return {name: one for name, one in found.items() if one.map.points}


def _replica(court: Court) -> tuple[Resources, int]:
    return court.scenario.resources, court.cpus
