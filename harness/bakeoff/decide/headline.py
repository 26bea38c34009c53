"""The recommendation in one sentence, as for a colleague, with its margin and money."""

from __future__ import annotations

from collections.abc import Mapping

from bakeoff.decide.choice import Choice
from bakeoff.decide.compare import Interval
from bakeoff.decide.court import Court
from bakeoff.decide.gates import OVER_CPUS
from bakeoff.decide.judgement import Judgement, Today, VerdictName
from bakeoff.decide.wording import listed, milliseconds, money, named, percent, settling, whole


def sentence(
    scenario: str,
    name: VerdictName,
    court: Court,
    leading: Choice | None,
    judged: Mapping[str, Judgement],
    margin: float | None,
    needed_s: float | None,
    current: Today | None = None,
) -> str:
    """Such as "Serve ctr-ranking with onnxruntime int8-dynamic (1x1): 41 % cheaper than …, p99 8.1 ms of 20 ms, …"."""
    if name == "INFEASIBLE":
        return _infeasible(scenario, court, judged)
    if name == "INSUFFICIENT" or leading is None:
        return _insufficient(scenario, court, leading, needed_s)
    opening = _opening(scenario, court, leading)
    chosen = judged[leading.candidate]
    facts = [
        _standing(court, leading, judged, margin),
        _saved(court, leading, current),
        _regret(court, leading),
        *_figures(court, chosen),
    ]
    return f"{opening}: {', '.join(fact for fact in facts if fact)}{_today(court, leading)}."


def nearest(court: Court, judged: Mapping[str, Judgement]) -> Judgement | None:
    """The first that was measured of those judged, who come in the order of how near they came to passing."""
    return next((one for name, one in judged.items() if court.evidence[name].blocks), None)


def _named(court: Court, candidate: str) -> str:
    return named(court.evidence[candidate].record.candidate)


def _opening(scenario: str, court: Court, choice: Choice) -> str:
    name = _named(court, choice.candidate)
    if choice.answer == "STAY" and court.incumbent is not None:
        return f"Stay with {name} for {scenario}"
    if choice.answer == "STAY":
        return f"Stay with what serves {scenario} today; the best tried is {name}"
    if choice.answer == "SWITCH":
        return f"Switch {scenario} to {name}"
    return f"Serve {scenario} with {name}"


_FATES = {
    "sla-missed": "misses the SLA",
    "quality-missed": "loses too much quality",
    "eliminated": "is out of the race",
    OVER_CPUS: "takes more than the CPUs it was given",
    "out-of-memory": "takes more memory than it was given",
    "wrong-output": "answers wrongly",
    "timeout": "does not answer in time",
}


def _today(court: Court, choice: Choice) -> str:
    """Why what serves today cannot stay, where it is not its cost alone."""
    if choice.answer != "SWITCH" or choice.gain is not None or court.incumbent is None:
        return ""
    fate = _FATES.get(court.gates[court.incumbent].outcome, "does not run here")
    return f"; {_named(court, court.incumbent)}, which serves today, {fate}"


def _standing(court: Court, choice: Choice, judged: Mapping[str, Judgement], margin: float | None) -> str:
    """How it stands against what serves today, its equals, or the next."""
    if choice.gain is not None:
        gain, what = choice.gain, court.words.less
        if gain.value < 0.0:
            gain, what = Interval(-gain.value, -gain.high, -gain.low), court.words.more
        return f"{percent(gain.value)} {what} than today ({percent(gain.low)} to {percent(gain.high)})"
    others = [_named(court, one) for one in choice.equals if one != choice.candidate]
    rivals = [_named(court, one) for one in court.rivals()]
    if rivals and not others:
        return f"not told apart yet from {listed(rivals)}"
    if others and choice.basis == "incumbent":
        return f"{listed(others)} would not save the {percent(court.scenario.matters)} that matter"
    if others:
        return f"level with {listed(others)} on {court.words.noun}"
    if margin is None:
        return _next_eliminated(court, choice) if len(court.accepted) == 1 else ""
    runner_up = next(one for one in judged if one != choice.candidate)
    return f"{percent(margin)} {court.words.less} than {_named(court, runner_up)}"


def _saved(court: Court, choice: Choice, current: Today | None) -> str:
    """What the shop saves in a year, where its load and a price are known, and the gain."""
    saved, price = current.yearly_saved if current and choice.gain else None, court.scenario.price
    if saved is None or price is None or not round(saved, 2):
        return ""
    return f"{money(abs(saved), price.currency)} a year {'less' if saved > 0 else 'more'}"


def _regret(court: Court, choice: Choice) -> str:
    """The guarantee, where there are others that passed."""
    if choice.regret is None or len(court.accepted) < 2:
        return ""
    if choice.regret == 0.0:
        return "" if court.rivals() else f"none that passed is {court.words.less} (97 % confidence)"
    return f"at most {percent(choice.regret)} {court.words.more} than the best"


def _next_eliminated(court: Court, choice: Choice) -> str:
    """How much dearer the nearest of those that lost the race was, by the rounds or the screen that both had."""
    best = court.evidence[choice.candidate]
    ratios = {}
    for name, one in court.evidence.items():
        if court.gates[name].status != "eliminated" or (court.provisional and one.record.candidate.lossy):
            continue
        mine, theirs = (one.mean_score, best.mean_score) if one.round_scores else (one.screen_score, best.screen_score)
        if mine is not None and theirs is not None:
            ratios[name] = mine / theirs
    if not ratios or min(ratios.values()) <= 1.0:
        return "the only one that passed every gate"
    nearest = min(ratios, key=lambda name: (ratios[name], name))
    where = "in the rounds" if court.evidence[nearest].round_scores else "by the screen"
    return f"the next, {_named(court, nearest)}, is {percent(ratios[nearest] - 1.0)} {court.words.more} {where}"


def _figures(court: Court, chosen: Judgement) -> list[str]:
    sla, price = court.scenario.sla, court.scenario.price
    tail = chosen.p99_ms
    shop = []
    if chosen.replicas is not None:
        shop.append(f"{chosen.replicas:,} replica{'s' if chosen.replicas > 1 else ''}")
    if chosen.yearly_cost is not None and price is not None:
        shop.append(f"{money(chosen.yearly_cost, price.currency)}/year")
    latency, qps = "", court.evidence[chosen.candidate].offered_qps
    if sla is not None and tail is not None:
        at = f" at {whole(qps)}/s" if qps else ""
        latency = f"p{sla.percentile:g} {milliseconds(tail)} ms of {sla.limit_ms:g} ms{at}"
    carried = ""
    if court.scenario.traffic.asks_capacity and chosen.capacity_qps is not None:
        carried = f"{whole(chosen.capacity_qps)} requests/s a replica"
    return [carried, latency, *shop]


def _infeasible(scenario: str, court: Court, judged: Mapping[str, Judgement]) -> str:
    miss = nearest(court, judged)
    if miss is None:
        return f"Nothing can serve {scenario}: none of the {len(court.gates)} candidates could be measured."
    would = next((remedy.words for remedy in miss.remedies), "")
    fails = f"Nothing tried can serve {scenario}: the nearest, {_named(court, miss.candidate)}, fails as {miss.reason}"
    return f"{fails}; it {would}." if would else f"{fails}."


def _insufficient(scenario: str, court: Court, leading: Choice | None, needed_s: float | None) -> str:
    so_far = ""
    if leading is not None:
        rivals = court.rivals(by=court.scenario.matters, beside=leading.candidate)
        unclear = f"is not told apart yet from {listed([_named(court, one) for one in rivals])}"
        if not rivals:
            regret = "nobody knows how much" if leading.regret is None else f"up to {percent(leading.regret)}"
            matters = percent(court.scenario.matters)
            unclear = f"may be {regret} {court.words.more} than the best, where {matters} matter"
        so_far = f": {_named(court, leading.candidate)} leads, but {unclear}"
    more = f"; {settling(needed_s)}" if needed_s else ""
    return f"Not enough evidence to say what should serve {scenario}{so_far}{more}."
