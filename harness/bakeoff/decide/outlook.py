"""A scenario's map and what would turn its verdict, together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bakeoff.decide.court import Court, convene
from bakeoff.decide.decision_map import DecisionMap, decision_map, has_map
from bakeoff.decide.sensitivity import Stretch, sensitivity
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
    """The outlook of the first court's scenario, for a host with these CPU flags.

    Runs of the same workload on the same host and resources share its map; those on others enter where prices vary:
    service times from unlike machines are never put together. Raises UserError for unlike workloads, and for a scenario
    that has no map.
    """
    first = courts[0]
    for court in courts[1:]:
        if court.record.workload.get("name") != first.record.workload.get("name"):
            names = " and ".join(str(each.record.workload.get("name")) for each in (first, court))
            raise UserError(f"{court.record.name}: another workload ({names}); a map is of one")
    places = list(zip(courts, hosts or [""] * len(courts), strict=True))
    alike = [court for court, host in places if _replica(court) == _replica(first) and host == places[0][1]]
    try:
        others = [court for court in courts if court not in alike]
        return Outlook(decision_map(alike, cpu_flags), sensitivity([first, *others], cpu_flags))
    except ValueError as error:
        raise UserError(str(error)) from None


def outlooks(record: RunRecord, cpu_flags: Collection[str] | None = None) -> dict[str, Outlook]:
    """By name, the outlook of each scenario of a run that has a map."""
    courts = [convene(one, cpu_flags=cpu_flags) for one in record.scenarios if has_map(restore(dict(one.definition)))]
    found = {court.record.name: outlook([court], cpu_flags=cpu_flags) for court in courts}
    return {name: one for name, one in found.items() if one.map.points}


def _replica(court: Court) -> tuple[Resources, int]:
    return court.scenario.resources, court.cpus
