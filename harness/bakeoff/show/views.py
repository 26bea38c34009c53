"""A verdict put into words and cells, shared by the page, the Markdown summary and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakeoff.decide.cost import replicas
from bakeoff.decide.judgement import NO_FAILURE, Judgement, Verdict
from bakeoff.decide.objective import WORDS
from bakeoff.show.endpoints import client_words
from bakeoff.show.gain import gain_words
from bakeoff.show.gates import change_words
from bakeoff.show.numbers import (
    ABSENT,
    clean,
    exact,
    interval,
    known,
    money,
    number,
    percent,
    percentile_name,
    size,
)
from bakeoff.store.record import OK

MEANINGS = {
    "WIN": "one candidate is separated from all others",
    "TIE": "several candidates may be the best, and the choice surely costs too little more to matter",
    "INFEASIBLE": "no candidate passes every gate",
    "INSUFFICIENT": "not enough evidence to decide",
}
_MOST_DOUBTS = 6
_BYTES = "bytes"
PROVISIONAL = "decided on generated inputs: they can settle speed, never quality"


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate in words: its `number` in the table, its fate, and its figures with their intervals."""

    number: int
    judged: Judgement
    fate: str
    p99: str
    p99_ends: str
    capacity: str
    capacity_ends: str
    cost: str
    cost_ends: str
    score: str
    """What the objective counts, where that is no cost."""
    score_ends: str
    quality: str
    why_not: str
    client: str
    """The latency without the client's own share, for a server elsewhere."""
    standing: str
    """"choice", "set", "ok", "miss" or "out": for the eye, never alone."""


def rows(verdict: Verdict) -> tuple[Row, ...]:
    """Every candidate in the verdict's order."""
    return tuple(_row(number, one, verdict) for number, one in enumerate(verdict.candidates, 1))


def rivals(verdict: Verdict, count: int = 4) -> tuple[Row, ...]:
    """The next candidates after the choice."""
    return tuple(row for row in rows(verdict) if row.standing != "choice")[:count]


def badges(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """The words that must not be missed, each with what it means."""
    found = [(str(verdict.verdict), MEANINGS[verdict.verdict])]
    if verdict.answer is not None:
        found.append((str(verdict.answer), "the answer to what serves today"))
    if verdict.provisional:
        found.append(("PROVISIONAL", PROVISIONAL))
    return tuple(found)


def choice_name(verdict: Verdict) -> str:
    """The choice's id, a dash where there is none."""
    return clean(verdict.choice.candidate) if verdict.choice else ABSENT


def question(verdict: Verdict) -> str:
    """What was asked, in one line: the traffic, the SLA and the floors."""
    traffic, sla = verdict.traffic, verdict.sla
    parts = [clean(verdict.kind).replace("_", " ")]
    if traffic.get("rate"):
        parts.append(f"{exact(traffic['rate'])} requests/s")
    elif traffic.get("open_loop"):
        parts.append("as many requests/s as it can take")
    if burst := traffic.get("burst"):
        parts.append(f"{exact(burst['peak'])} times as many for {percent(burst['share'])} of the time")
    items = traffic.get("mean_items")
    if items:
        parts.append(f"{exact(items) if float(items).is_integer() else number(items)} items a request")
    if sla and sla.get("limit_ms"):
        parts.append(f"{percentile_name(sla.get('percentile', 99.0))} within {exact(sla['limit_ms'])} ms")
    parts += [f"{clean(name)} may lose {_floor(floor)}" for name, floor in verdict.floors.items()]
    parts += [f"the least {WORDS[verdict.objective].noun} wins"] if verdict.objective != "cost" else []
    return " · ".join(parts)


def score_title(verdict: Verdict) -> str:
    """The title of the column of what the objective counts; empty where that is the cost, which has one."""
    if verdict.objective == "cost":
        return ""
    noun, unit = sentence(WORDS[verdict.objective].noun), clean(verdict.score_unit)
    return noun if unit == _BYTES else f"{noun}, {unit}"


def trust(verdict: Verdict) -> tuple[str, ...]:
    """What speaks against the figures: each doubtful candidate with its marks."""
    doubtful = [one for one in verdict.candidates if one.trust_notes or not one.trusted]
    return tuple(f"{clean(one.candidate)}: {clean('; '.join(one.trust_notes) or 'not trusted')}" for one in doubtful)


def doubts(verdict: Verdict) -> tuple[str, ...]:
    """Speeds outside what was published, each with what to check; of many the first, and how many more."""
    told = tuple(one.sentence for one in verdict.suspicions[:_MOST_DOUBTS])
    more = len(verdict.suspicions) - len(told)
    return (*told, f"{more} more such ratios are in the JSON of the verdict.") if more > 0 else told


def subject_words(verdict: Verdict) -> str:
    """Whose gates are shown where nothing was chosen."""
    return "the one that leads" if verdict.leader else "the nearest"


def certainty(verdict: Verdict) -> str:
    """How sure the recommendation is, in one sentence; empty where there is nothing to say."""
    if verdict.regret_high is None or not known(verdict.regret_high):
        return ""
    name = "the choice" if verdict.choice is not None else "the one that leads"
    words = WORDS[verdict.objective]
    if verdict.regret_high <= 0.0:
        if sum(one.outcome == OK for one in verdict.candidates) < 2:
            return ""
        return f"With 97 % confidence none of those that passed every gate is {words.less} than {name}."
    most = f"at most {percent(verdict.regret_high)} {words.more} than the best"
    return f"With 97 % confidence {name} is {most} of those that passed every gate."


def sentence(text: str) -> str:
    """Text cleaned, its first letter a capital."""
    line = clean(text)
    return line[:1].upper() + line[1:]


def data_words(verdict: Verdict) -> str:
    """Where the requests come from: "real", "recorded" or "generated", with the source."""
    data = clean(verdict.workload.get("data") or "unknown")
    source = clean(verdict.workload.get("citation") or "")
    return f"{data} ({source})" if source else data


def tail_name(verdict: Verdict) -> str:
    """The percentile that the latency figures hold, such as p99."""
    return percentile_name(next((one.percentile for one in verdict.candidates), 99.0))


def shows_latency(verdict: Verdict) -> bool:
    """Whether latency plays a part: it was measured, and somebody waits for the answers."""
    awaited = verdict.sla is not None or verdict.kind != "offline"
    return awaited and any(known(one.p99_ms) for one in verdict.candidates)


def capacity_title(verdict: Verdict) -> str:
    """What the capacity column counts: requests at the SLA, or items where no rate was asked."""
    return "Capacity, requests/s" if verdict.traffic.get("open_loop") else "Throughput, items/s"


def short_figures(row: Row, verdict: Verdict) -> str:
    """A candidate's latency, and its cost beside the choice's where rounds measured it: a screen was another time."""
    one, choice = row.judged, verdict.choice
    parts = [f"{row.p99} ms"] if known(one.p99_ms) else []
    if choice is not None and choice.cost and one.rounds and one.cost is not None and known(one.cost):
        parts.append(f"cost {percent(one.cost / choice.cost - 1, signed=True)}")
    return " · ".join(parts)


def money_words(verdict: Verdict) -> str:
    """What the choice costs in a year for the whole shop, beside what serves today; empty where no price is known."""
    choice, today = verdict.choice, verdict.incumbent
    if choice is None or choice.yearly_cost is None or not known(choice.yearly_cost):
        return ""
    words = f"{money(choice.yearly_cost, verdict.currency)} a year"
    if today is not None and today.candidate != choice.candidate and known(today.yearly_cost):
        words += f", today {money(today.yearly_cost, verdict.currency)}"
    hour, requests = (money(each, verdict.currency) for each in (choice.hourly_cost, choice.cost_per_million_requests))
    return f"{words}; {hour} an hour{_replicas(choice, verdict)}, {requests} per million requests at capacity"


def _replicas(choice: Judgement, verdict: Verdict) -> str:
    """How many replicas, what of them is room, and how many by either end of what one can take."""
    fleet_qps = verdict.traffic.get("fleet_qps")
    if not choice.replicas or not fleet_qps:
        return ""
    ends = (choice.capacity_high_qps, choice.capacity_low_qps)
    least, most = (replicas(fleet_qps, qps, **verdict.fleet) if qps and known(qps) else None for qps in ends)
    headroom, spare = percent(verdict.fleet["headroom"]), verdict.fleet["spare"]
    counted = f" for {choice.replicas} replicas ({headroom} of headroom and {spare} spare"
    if {least, most} <= {None, choice.replicas}:
        return f"{counted})"
    span = f"{least} to {most}" if least and most else f"at least {least}" if least else f"at most {most}"
    return f"{counted}; {span} by what is known of the capacity)"


def _row(place: int, one: Judgement, verdict: Verdict) -> Row:
    live = bool(verdict.traffic.get("open_loop"))
    return Row(
        number=place,
        judged=one,
        fate=fate(one, verdict),
        p99=number(one.p99_ms),
        p99_ends=interval(one.p99_low_ms, one.p99_high_ms),
        capacity=number(one.capacity_qps if live else one.items_per_s),
        capacity_ends=_capacity_ends(one) if live else "",
        cost=number(one.cost),
        cost_ends=interval(one.cost_low, one.cost_high),
        score=size(one.score) if verdict.score_unit == _BYTES else number(one.score),
        score_ends="" if verdict.score_unit == _BYTES else interval(one.score_low, one.score_high),
        quality=change_words(one.quality.values()),
        why_not="; ".join(
            part for part in (clean(one.reason), gain_words(one, verdict.candidates), would(one)) if part
        ),
        client=client_words(one),
        standing=_standing(one, verdict),
    )


def would(one: Judgement) -> str:
    """The first of what would have to change for it; empty where nobody knows."""
    return next((clean(remedy.words) for remedy in one.remedies), "")


def _capacity_ends(one: Judgement) -> str:
    """Both ends, or the one that is known: the highest rate that passed, or the lowest that failed."""
    low, high = one.capacity_low_qps, one.capacity_high_qps
    if low is not None and high is None:
        return f"≥ {number(low)}"
    return f"< {number(high)}" if low is None and high is not None else interval(low, high)


def fate(one: Judgement, verdict: Verdict) -> str:
    """How a candidate ended, in a word or two."""
    if verdict.choice is not None and one.candidate == verdict.choice.candidate:
        return "choice"
    if verdict.leader is not None and one.candidate == verdict.leader.candidate:
        return "leads"
    if one.outcome == OK:
        return "tied" if one.candidate in verdict.set else "ok"
    return clean(one.outcome).replace("-", " ").replace("sla ", "SLA ")


def _standing(one: Judgement, verdict: Verdict) -> str:
    word = fate(one, verdict)
    if word == "choice":
        return "choice"
    if one.candidate in verdict.set:
        return "set"
    if one.outcome in NO_FAILURE:
        return "ok"
    return "miss" if one.outcome.endswith("-missed") else "out"


def _floor(floor: Mapping[str, Any]) -> str:
    return percent(floor["amount"]) if floor["relative"] else exact(floor["amount"])
