"""Runs of different hosts side by side: what each costs at the SLA on its own host, at that host's price.

Latencies of unlike machines are never compared, and nothing is paired by round (see unpaired.py); candidates of one run
are told apart as its own verdict does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bakeoff.decide.across import words
from bakeoff.decide.across.break_even import BreakEven, Crossing, break_even, crossings
from bakeoff.decide.across.question import not_the_same, same_but_sizes
from bakeoff.decide.across.sides import Host, Row, Side, hosts, read_prices, side
from bakeoff.decide.across.unpaired import dearer
from bakeoff.decide.compare import ERROR, Interval
from bakeoff.decide.objective import require_cost
from bakeoff.errors import UserError
from bakeoff.scenario import restore
from bakeoff.store.plain import plain
from bakeoff.store.record import RunRecord, ScenarioRecord

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Joined:
    """One scenario on several hosts. `rows` are the accepted, the cheapest first, then the others that have a cost; by
    host where `not_comparable` says why hosts cannot be ranked. `cheapest` is None then, and where none passed."""

    scenario: str
    headline: str
    not_comparable: str
    cheapest: Row | None
    rows: tuple[Row, ...]
    sides: tuple[Side, ...]
    break_evens: tuple[BreakEven, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Across:
    """Several runs' shared scenarios; `alone` holds, by host, the scenarios that no other run has."""

    hosts: tuple[Host, ...]
    scenarios: tuple[Joined, ...]
    crossings: tuple[Crossing, ...]
    alone: dict[str, tuple[str, ...]]


def join(
    runs: Sequence[tuple[str, RunRecord]], scenarios: Collection[str] = (), prices: Mapping[str, str] | None = None
) -> Across:
    """Put runs side by side; each comes with a name for its host, or "". `scenarios` narrows to those names, `prices`
    replace the scenarios' own, by host.

    Raises UserError where fewer than two runs share a scenario, and where one name stands for two questions.
    """
    if len(runs) < 2:
        raise UserError("join: takes two runs or more; `bakeoff verdict` tells of one")
    named = list(zip(hosts(runs), (record for _, record in runs), strict=True))
    parts: dict[str, list[tuple[Host, ScenarioRecord]]] = {}
    for host, record in named:
        for scenario in record.scenarios:
            parts.setdefault(scenario.name, []).append((host, scenario))
    shared = {name: found for name, found in parts.items() if len(found) > 1 and (not scenarios or name in scenarios)}
    _check_shared(shared, parts, scenarios)
    for found in shared.values():
        _check_one_question(found)
    asked = read_prices(prices or {}, [host.name for host, _ in named])
    joined = tuple(
        _joined([side(host, record, asked.get(host.name)) for host, record in found]) for found in shared.values()
    )
    alone = {
        host.name: tuple(scenario.name for scenario in record.scenarios if len(parts[scenario.name]) == 1)
        for host, record in named
    }
    return Across(tuple(host for host, _ in named), joined, _all_crossings(joined), alone)


def to_json(found: Across) -> dict[str, Any]:
    """What `bakeoff join --json` prints."""
    told: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "hosts": [asdict(host) for host in found.hosts],
            "scenarios": [_scenario_json(joined) for joined in found.scenarios],
            "crossings": [asdict(one) for one in found.crossings],
            "alone": found.alone,
        }
    )
    return told


def _scenario_json(joined: Joined) -> dict[str, Any]:
    values = {name: getattr(joined, name) for name in ("scenario", "headline", "not_comparable", "notes")}
    return values | {
        "cheapest": asdict(joined.cheapest) if joined.cheapest else None,
        "rows": [asdict(row) for row in joined.rows],
        "hosts": [_side_json(each) for each in joined.sides],
        "break_evens": [asdict(one) for one in joined.break_evens],
    }


def _side_json(one: Side) -> dict[str, Any]:
    return {
        "host": one.host.name,
        "verdict": one.verdict.verdict,
        "headline": one.verdict.headline,
        "cost_unit": one.verdict.cost_unit,
        "price": one.price.model_dump() if one.price else None,
        "resources": one.court.scenario.resources.model_dump(mode="json"),
    }


def _check_shared(shared: Collection[str], parts: Collection[str], asked: Collection[str]) -> None:
    for name in asked:
        if name not in parts:
            raise UserError(f"--scenario {name}: in none of the runs; they have {', '.join(parts)}")
    if not shared:
        raise UserError(f"the runs share no scenario of one name; they have {', '.join(parts) or 'none'}")


def _check_one_question(parts: Sequence[tuple[Host, ScenarioRecord]]) -> None:
    for _, record in parts:
        require_cost(restore(dict(record.definition)), "join")
    (first, asked), *others = parts
    for host, record in others:
        for one in not_the_same(asked, record)[:1]:
            difference = (
                f"{one.name} is {words.value(one.older)} on {first.name}, {words.value(one.newer)} on {host.name}"
            )
            raise UserError(f"{record.name}: not the same question: {difference}")


def _joined(sides: Sequence[Side]) -> Joined:
    """Rank one scenario's candidates over all hosts, as far as one price list allows."""
    name, apart = sides[0].court.record.name, words.not_comparable(sides)
    best = None if apart else min((each for each in sides if each.best), key=_best_cost, default=None)
    accepted = _accepted(sides, best)
    others = [Row(each.host.name, one) for each in sides for one in each.verdict.candidates if one.outcome != "ok"]
    cheapest = accepted[0] if best and accepted else None
    return Joined(
        scenario=name,
        headline=words.headline(name, sides, best, accepted, apart),
        not_comparable=apart,
        cheapest=cheapest,
        rows=(*accepted, *(row for row in others if row.judged.cost is not None)),
        sides=tuple(sides),
        break_evens=_break_evens(sides, best),
        notes=words.notes(sides, best, accepted, [row for row in others if row.judged.cost is None]),
    )


def _best_cost(one: Side) -> float:
    return (one.best.mean_cost if one.best else None) or 0.0


def _accepted(sides: Sequence[Side], best: Side | None) -> list[Row]:
    """Those that passed every gate: over all hosts by cost, or by host where `best` is None."""
    found = [(each, each.judged(name)) for each in sides for name in each.court.accepted]
    if best is None or best.best is None:
        return [Row(each.host.name, judged) for each, judged in found]
    first = best.best.record.id
    found.sort(key=lambda pair: (pair[1].candidate != first or pair[0] is not best, pair[1].cost or 0.0))
    strangers = sum(each is not best for each, _ in found)
    rows = [Row(best.host.name, best.judged(first))]
    for each, judged in found[1:]:
        over = _over(each, judged.candidate, best, first, ERROR / max(1, strangers))
        rows.append(Row(each.host.name, judged, over, over is None or over.low <= 0.0))
    return rows


def _over(one: Side, candidate: str, best: Side, first: str, error: float) -> Interval | None:
    """Of one run in pairs, as its verdict does; of two runs never."""
    if one is best:
        return best.court.loss(candidate, first)
    return dearer(one.court.evidence[candidate], best.court.evidence[first], error)


def _break_evens(sides: Sequence[Side], best: Side | None) -> tuple[BreakEven, ...]:
    """Of the cheapest host with each other; where none is, of the first with each other."""
    first = best or sides[0]
    pairs = [(first, each) for each in sides if each is not first]
    found = [break_even(one, other, ERROR / len(pairs)) for one, other in pairs]
    return tuple(one for one in found if one is not None)


def _all_crossings(joined: Sequence[Joined]) -> tuple[Crossing, ...]:
    """Of each question that was asked at several batch sizes, among the scenarios whose costs can be compared."""
    groups: list[list[Joined]] = []
    for one in joined:
        if one.not_comparable:
            continue
        record = one.sides[0].court.record
        fitting = [group for group in groups if same_but_sizes(group[0].sides[0].court.record, record)]
        fitting[0].append(one) if fitting else groups.append([one])
    return tuple(
        crossing for group in groups for crossing in crossings([one.sides for one in group], ERROR / len(group))
    )
