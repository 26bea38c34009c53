"""The verdict on each scenario of a run: WIN, TIE, INFEASIBLE or INSUFFICIENT, with the ranking and every reason."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from bakeoff.decide import headline, reasons
from bakeoff.decide.as_json import to_json
from bakeoff.decide.choice import Choice, choose, production_cost
from bakeoff.decide.cost import cost_unit
from bakeoff.decide.court import ERROR_AT_THE_END, Court, convene
from bakeoff.decide.gains import gains
from bakeoff.decide.gates import MOST_ROUNDS
from bakeoff.decide.judgement import Leaderboard, Verdict, VerdictName
from bakeoff.decide.judging import judgement
from bakeoff.decide.quality import over_floor
from bakeoff.decide.race import USUAL_CONTENDERS
from bakeoff.decide.sanity import suspicions
from bakeoff.decide.today import beside_production, today
from bakeoff.decide.what_if.remedies import remedies
from bakeoff.decide.wording import sentence
from bakeoff.scenario import Scenario
from bakeoff.store.record import RunRecord, ScenarioRecord

__all__ = ["to_json", "verdict_of", "verdicts"]

_CONSEQUENCE = {
    "ok": "It would do, but not better",
    "failed": "It breaks a gate",
    "open": "Whether it would do is undecided",
    "settled": "It cannot be shown to do",
    "eliminated": "It was dropped",
}
_ORDER = {"ok": 0, "open": 1, "eliminated": 2, "settled": 3, "failed": 3}


def verdicts(record: RunRecord, cpu_flags: Collection[str] | None = None) -> tuple[Verdict, ...]:
    """The verdict on every scenario of a run, in the order asked. Scenarios are never averaged into one score.

    `cpu_flags` are those of the host that the verdict is for; None: of the host that measured.
    """
    here = record.host.get("cpu_flags", ())
    return tuple(judge_scenario(scenario, cpu_flags=cpu_flags, measured_on=here) for scenario in record.scenarios)


def verdict_of(record: RunRecord, scenario: str, error: float = ERROR_AT_THE_END) -> Verdict:
    """The verdict on one scenario by name as it stands, without what would have to change; raises LookupError where the
    run has none such."""
    for one in record.scenarios:
        if one.name == scenario:
            return judge(convene(one, error), remedied=False)
    raise LookupError(f"run {record.run} has no scenario {scenario!r}")


def judge_scenario(
    record: ScenarioRecord,
    error: float = ERROR_AT_THE_END,
    cpu_flags: Collection[str] | None = None,
    measured_on: Collection[str] = (),
) -> Verdict:
    """Gates first, then cost. A pure function of the record; `error` is the chance that its claims may be wrong.

    `measured_on` are the flags of the CPU that measured, which say how fast it may be.
    """
    return judge(convene(record, error, cpu_flags), measured_on)


def judge(court: Court, measured_on: Collection[str] = (), remedied: bool = True) -> Verdict:
    """The verdict that a court's evidence gives; `remedied`: with what would have to change for those not chosen."""
    leading = choose(court) if court.accepted else None
    name = _verdict(court, leading)
    choice = None if name == "INSUFFICIENT" else leading
    equals = (*leading.equals, *court.rivals()) if leading else ()
    why = reasons.candidates(court, leading)
    gained = gains(court)
    would = remedies(court, leading.candidate if leading else None) if remedied else {}
    order = _order(court, leading)
    judged = {
        one: judgement(
            court, one, why[one], place if one in court.accepted else None, gained.get(one), would.get(one, ())
        )
        for place, one in enumerate(order, start=1)
    }
    chosen = judged[choice.candidate] if choice else None
    margin = _margin(court, choice, order)
    needed_s = more_needed_s(court, leading) if name == "INSUFFICIENT" else None
    scenario = court.scenario
    current = today(court, choice, judged)
    return Verdict(
        scenario=court.record.name,
        kind=scenario.traffic.kind,
        description=scenario.description,
        verdict=name,
        provisional=court.provisional,
        choice=chosen,
        incumbent=judged.get(court.incumbent or ""),
        production=_production(court),
        answer=choice.answer if choice else None,
        set=equals,
        candidates=tuple(judged.values()),
        headline=headline.sentence(court.record.name, name, court, leading, judged, margin, needed_s, current),
        reasons=(*reasons.verdict(name, court, choice, needed_s), *beside_production(court, current)),
        objective=scenario.objective,
        score_unit=court.words.unit or cost_unit(scenario.price, scenario.resources.gpus),
        cost_unit=cost_unit(scenario.price, scenario.resources.gpus),
        currency=scenario.price.currency if scenario.price else None,
        leader=judged[leading.candidate] if leading else None,
        nearest=None if leading else headline.nearest(court, judged),
        regret_high=leading.regret if leading else None,
        margin=margin,
        more_needed_s=needed_s,
        leaderboard=_leaderboard(court, choice, leading, why),
        sla=scenario.sla.model_dump() if scenario.sla else None,
        traffic=_traffic(scenario),
        fleet=scenario.fleet.model_dump(),
        floors={metric: floor.model_dump() for metric, floor in scenario.quality.items()},
        workload=dict(court.record.workload),
        suspicions=suspicions(court, measured_on),
        today=current,
    )


def _traffic(scenario: Scenario) -> dict[str, Any]:
    """The scenario's traffic as JSON-able values, with what follows from them."""
    traffic = scenario.traffic
    derived = {"rate": traffic.rate, "open_loop": traffic.open_loop, "mean_items": traffic.mean_items}
    return traffic.model_dump(mode="json") | derived


def more_needed_s(court: Court, leading: Choice | None) -> float | None:
    """About how long it takes to settle what is open, contenders measured in turn; None where time settles none.

    Where one leads, only those count that may be better by more than matters, and the rounds that narrow its regret to
    what matters. Of many that are open, the usual contenders alone count in full.
    """
    narrowing_s = None if leading is None else _narrowing_s(court, leading)
    rivals = court.gates if leading is None else court.rivals(by=court.scenario.matters, beside=leading.candidate)
    found = [court.gates[name] for name in rivals]
    still_open = [each for each in found if each.status == "open" and each.needed_s > 0.0]
    if not still_open:
        return narrowing_s
    taking_turns = min(len(still_open) + len(court.accepted), USUAL_CONTENDERS + 1)
    screens_s = (len(still_open) - 1) * court.scenario.traffic.duration_s
    return max(max(each.needed_s for each in still_open) * taking_turns + screens_s, narrowing_s or 0.0)


def named(equals: int, regret: float | None, matters: float) -> VerdictName:
    """The verdict where so many may be the best, and the one that leads may lose so much (a fraction) against it."""
    if equals == 1:
        return "WIN"
    return "TIE" if regret is not None and regret <= matters else "INSUFFICIENT"


def _narrowing_s(court: Court, leading: Choice) -> float | None:
    """Until chance is less than what matters beside what it loses on average, or until it is beaten beyond doubt; a
    round or so at least."""
    regret, matters = leading.regret, court.scenario.matters
    if regret is None or regret <= matters or matters <= 0.0:
        return None
    walls_s = [court.evidence[name].wall_s for name in leading.equals]
    losses = [court.loss(leading.candidate, one) for one in leading.equals if one != leading.candidate]
    loses = max((math.log1p(max(0.0, loss.value)) for loss in losses if loss is not None), default=0.0)
    more = ((math.log1p(regret) - loses) / max(math.log1p(matters) - loses, loses)) ** 2 - 1.0
    return max(more, 1.0 / MOST_ROUNDS) * sum(walls_s)


def _verdict(court: Court, leading: Choice | None) -> VerdictName:
    """A WIN has no equal; a TIE has, and a regret that is known to be too small to matter."""
    if leading is not None:
        matters = court.scenario.matters
        if court.rivals(by=matters, beside=leading.candidate):
            return "INSUFFICIENT"
        return named(len(leading.equals) + len(court.rivals()), leading.regret, matters)
    statuses = {found.status for found in court.gates.values()}
    return "INFEASIBLE" if "failed" in statuses and statuses <= {"failed", "settled"} else "INSUFFICIENT"


def _order(court: Court, choice: Choice | None) -> list[str]:
    """The choice, then the accepted by cost, then the others by how near they came."""

    def near(name: str) -> tuple[int, float, float, float]:
        one = court.evidence[name]
        score, mean_ms = (math.inf if figure is None else figure for figure in (one.mean_score, one.mean_ms))
        return _ORDER[court.gates[name].status], _short(court, name), score, mean_ms

    rest = sorted((name for name in court.evidence if name not in court.accepted), key=near)
    return sorted([*court.accepted, *rest], key=lambda name: choice is None or name != choice.candidate)


def _short(court: Court, name: str) -> float:
    """By what share of the limit or of a floor it is off that, whichever is more; 0 for who missed none, infinite where
    another gate was missed or no figure tells."""
    found, one, scenario = court.gates[name], court.evidence[name], court.scenario
    if found.status not in ("failed", "settled"):
        return 0.0
    if found.outcome != "sla-missed" and found.stage != "quality":
        return math.inf
    floors = [(each, scenario.quality.get(each.metric)) for each in one.record.quality]
    off = [over_floor(each, floor) for each, floor in floors if floor is not None]
    if scenario.sla is not None and one.tail.value is not None:
        off.append(one.tail.value / scenario.sla.limit_ms - 1.0)
    return max((share for share in off if share > 0.0), default=math.inf)


def _margin(court: Court, choice: Choice | None, order: Sequence[str]) -> float | None:
    """How much cheaper the choice is than the next; None where there is no next, or it is not the cheapest."""
    if choice is None or len(court.accepted) < 2:
        return None
    loss = court.loss(order[1], choice.candidate)
    return loss.value / (1.0 + loss.value) if loss is not None and loss.value >= 0.0 else None


def _leaderboard(
    court: Court, choice: Choice | None, leading: Choice | None, why: dict[str, str]
) -> Leaderboard | None:
    """What the lowest mean latency would have picked; a mean that is absent or no positive number never leads."""
    means = {
        name: one.mean_ms
        for name, one in court.evidence.items()
        if one.mean_ms is not None and math.isfinite(one.mean_ms) and one.mean_ms > 0.0
    }
    if not means:
        return None
    pick = min(means, key=lambda name: (means[name], name))
    if leading is not None and pick == leading.candidate:
        words = "That is the choice here too." if choice else "It leads here too."
        return Leaderboard(pick, means[pick], words)
    return Leaderboard(pick, means[pick], sentence(f"{_CONSEQUENCE[court.gates[pick].status]}: {why[pick]}"))


def _production(court: Court) -> dict[str, object] | None:
    """Production's figures under the names of a judgement's, and what they cost."""
    today = court.scenario.incumbent
    if today is None or today.candidate is not None:
        return None
    figures = {name: value for name, value in today.model_dump().items() if value is not None}
    return figures | {"capacity_qps": today.qps, "cost": production_cost(court)}
