"""Why: one sentence for each candidate that is not chosen, and what to know about the verdict as a whole."""

from __future__ import annotations

from bakeoff.decide.choice import Basis, Choice
from bakeoff.decide.court import Court
from bakeoff.decide.judgement import VerdictName
from bakeoff.decide.noise import FULL_PIPE, NO_CPU, measuring
from bakeoff.decide.wording import by_how_much, listed, milliseconds, percent, sentence, settling

WORTH_SAYING = 0.1
"""The share of blocks in which the load came late from which on the verdict says so."""

_BY: dict[Basis, str] = {
    "incumbent": "the tie goes to what serves today",
    "regret": "the tie goes to the one that surely loses next to nothing",
    "memory": "the tie goes to the one that takes less memory",
    "start-up": "the tie goes to the one that starts sooner",
    "cheapest": "the tie goes to the {less} on average",
    "only": "",
}


def candidates(court: Court, choice: Choice | None) -> dict[str, str]:
    """By candidate: the first gate it failed, or how much it lost; empty for the choice."""
    return {name: _candidate(court, choice, name) for name in court.evidence}


def _candidate(court: Court, choice: Choice | None, name: str) -> str:
    found = court.gates[name]
    if found.status != "ok":
        return _with_tail(court, name) if found.outcome == "sla-missed" else found.reason
    if choice is None or name == choice.candidate:
        return ""
    loss = court.loss(name, choice.candidate)
    if loss is None:
        return "too few rounds had both it and the choice to tell them apart"
    if name not in choice.equals:
        cheaper = loss.saved if loss.high < 0.0 else None
        if cheaper is not None:
            return f"{percent(-cheaper.value)} {court.words.less}, too little to matter; {_by(court, choice)}"
        return by_how_much(loss, court.words.more)
    if choice.basis == "incumbent" and loss.high < 0.0:
        saved = -loss.value
        matters = percent(court.scenario.matters)
        return f"{percent(saved)} {court.words.less}, less than the {matters} that matter for a switch"
    span = f"{percent(loss.low)} to {percent(loss.high)}"
    level = choice.regret is not None and choice.regret <= court.scenario.matters
    return f"cannot be told apart in {court.words.noun} ({span}){f'; {_by(court, choice)}' if level else ''}"


def _by(court: Court, choice: Choice) -> str:
    return _BY[choice.basis].format(less=court.words.less)


def _with_tail(court: Court, name: str) -> str:
    """The percentile beside its limit, where the sample carries it; else what the test counted."""
    value, sla = court.evidence[name].tail.value, court.scenario.sla
    reason = court.gates[name].reason
    if value is None or sla is None or value <= sla.limit_ms:
        return reason
    return f"p{sla.percentile:g} is {milliseconds(value)} ms, the limit {sla.limit_ms:g} ms: {reason}"


def verdict(name: VerdictName, court: Court, choice: Choice | None, needed_s: float | None) -> tuple[str, ...]:
    """What to know beside the headline."""
    notes = [
        _tied(court, choice) if name == "TIE" and choice else "",
        _rivals(court),
        _missing_incumbent(court),
        "Inputs were generated: they decide speed, never quality, so no lossy candidate may win."
        if court.provisional
        else "",
        _unmeasured(court, name),
        sentence(settling(needed_s)) if needed_s else "",
        _restless(court) if needed_s else "",
    ]
    return tuple(note for note in notes if note)


def _tied(court: Court, choice: Choice) -> str:
    others = [one for one in choice.equals if one != choice.candidate]
    if not others:
        return ""
    if choice.basis == "incumbent":
        matters = percent(court.scenario.matters)
        return f"What serves today stays: {listed(others)} is not {court.words.less} by {matters} or more."
    return f"{choice.candidate} cannot be told apart from {listed(others)}; {_by(court, choice)}."


def _rivals(court: Court) -> str:
    rivals = court.rivals()
    if not rivals:
        return ""
    return (
        f"Undecided and maybe {court.words.less}: {'; '.join(f'{one} ({court.gates[one].reason})' for one in rivals)}."
    )


def _missing_incumbent(court: Court) -> str:
    incumbent = court.incumbent
    if incumbent is None:
        return ""
    found = court.gates.get(incumbent)
    if found is None:
        return f"What serves today, {incumbent}, was not among the candidates."
    if found.status == "ok":
        return ""
    return f"What serves today, {incumbent}, is {found.outcome}: {_candidate(court, None, incumbent)}."


def _unmeasured(court: Court, name: VerdictName) -> str:
    """Who had no part in it: by outcomes where it is not enough, and beside a choice those whom time did not reach."""
    if name != "INSUFFICIENT":
        missing = sum(found.status == "open" and not court.evidence[one].blocks for one, found in court.gates.items())
        left_out = f"{missing} of {len(court.gates)} candidates were not measured for want of time"
        return f"{left_out}: the verdict is among the others." if missing and court.accepted else ""
    if not court.gates:
        return ""
    counts: dict[str, int] = {}
    for found in court.gates.values():
        counts[found.outcome] = counts.get(found.outcome, 0) + 1
    return f"Of {len(court.gates)} candidates: {', '.join(f'{count} {what}' for what, count in counts.items())}."


def _restless(court: Court) -> str:
    """That other tasks on the machine are what makes it take long; empty where that is not so."""
    found = measuring(court.record)
    late = {cause: count for cause, count in found.disturbed.items() if cause != FULL_PIPE and NO_CPU not in cause}
    if not late or sum(late.values()) < WORTH_SAYING * found.watched:
        return ""
    most = max(late, key=late.__getitem__)
    counted = f"in {sum(late.values())} of {found.watched} blocks (mostly: {most})"
    return f"The load came late {counted}. On a quieter machine, less would settle it."
