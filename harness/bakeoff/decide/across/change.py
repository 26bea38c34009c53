"""Two runs of the same scenarios, an older and a newer: what changed in question, environment, candidates and figures,
and why the choice is another one, where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bakeoff.decide.across.figures import Figure, figures
from bakeoff.decide.across.question import Difference, differences, unlike
from bakeoff.decide.judgement import NO_FAILURE, Judgement, Verdict
from bakeoff.decide.verdict import judge_scenario
from bakeoff.decide.wording import listed
from bakeoff.errors import UserError
from bakeoff.store.plain import plain
from bakeoff.store.record import NOISE, OK, RunRecord, ScenarioRecord

SCHEMA_VERSION = 1
_HOST = "host"
Turn = Literal["new", "gone", "newly failing", "recovered"]


@dataclass(frozen=True, slots=True)
class Fate:
    """A candidate that came, went, fails now or no longer fails; `reason` is the ledger's, where it fails or failed."""

    candidate: str
    turn: Turn
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScenarioChange:
    """One scenario in both runs. `because` names what else changed that figures may come from."""

    scenario: str
    older: Verdict
    newer: Verdict
    headline: str
    question: tuple[Difference, ...]
    engines: tuple[Difference, ...]
    fates: tuple[Fate, ...]
    figures: tuple[Figure, ...]
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """From an older run to a newer. On another host (`same_host` false) costs and quality alone are compared."""

    older: str
    newer: str
    same_host: bool
    environment: tuple[Difference, ...]
    scenarios: tuple[ScenarioChange, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]


def compare(older: RunRecord, newer: RunRecord) -> Change:
    """What changed from one run to the other; raises UserError where they share no scenario or are one run."""
    if older.run == newer.run:
        raise UserError(f"run {older.run}: is one run; name two to compare")
    before = {scenario.name: scenario for scenario in older.scenarios}
    after = {scenario.name: scenario for scenario in newer.scenarios}
    both = [name for name in before if name in after]
    if not both:
        there = f"{listed(list(before)) or 'none'} in {older.run}, {listed(list(after)) or 'none'} in {newer.run}"
        raise UserError(f"the runs share no scenario of one name: {there}")
    same_host = bool(older.host.get(_HOST)) and older.host.get(_HOST) == newer.host.get(_HOST)
    environment = unlike(_surroundings(older), _surroundings(newer))
    return Change(
        older.run,
        newer.run,
        same_host,
        environment,
        tuple(_scenario(before[name], after[name], same_host, environment) for name in both),
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
    )


def to_json(change: Change) -> dict[str, Any]:
    """What `bakeoff compare --json` prints."""
    told: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            **{name: getattr(change, name) for name in ("older", "newer", "same_host", "new", "gone")},
            "environment": [asdict(one) for one in change.environment],
            "scenarios": [_scenario_json(one) for one in change.scenarios],
        }
    )
    return told


def _scenario_json(one: ScenarioChange) -> dict[str, Any]:
    ends = {"older": one.older, "newer": one.newer}
    return {
        "scenario": one.scenario,
        "headline": one.headline,
        **{
            when: {
                "verdict": verdict.verdict,
                "answer": verdict.answer,
                "choice": verdict.choice.candidate if verdict.choice else None,
                "headline": verdict.headline,
            }
            for when, verdict in ends.items()
        },
        **{name: [asdict(each) for each in getattr(one, name)] for name in ("question", "engines", "fates", "figures")},
        "because": one.because,
    }


def _surroundings(record: RunRecord) -> dict[str, Any]:
    """Host and software without what differs by nature: noise, and the packages' place in the record."""
    host = {name: value for name, value in record.host.items() if name not in (NOISE, _HOST)}
    software = {name: value for name, value in record.environment.items() if name not in ("packages", *record.packages)}
    return {"host": host, **software, "packages": dict(record.packages)}


def _scenario(
    older: ScenarioRecord, newer: ScenarioRecord, same_host: bool, environment: Sequence[Difference]
) -> ScenarioChange:
    before, after = judge_scenario(older), judge_scenario(newer)
    question, engines = differences(older, newer), unlike(_engines(older), _engines(newer))
    found = figures(before, after, (older.definition.get("price"), newer.definition.get("price")), same_host)
    return ScenarioChange(
        scenario=older.name,
        older=before,
        newer=after,
        headline=_headline(before, after),
        question=question,
        engines=engines,
        fates=_fates(before, after),
        figures=found,
        because=_because(found, question, engines, environment, same_host),
    )


def _engines(record: ScenarioRecord) -> dict[str, str]:
    """The engines' versions, as their probes found them."""
    return {one.candidate.backend: str(one.facts["version"]) for one in record.candidates if one.facts.get("version")}


def _fates(before: Verdict, after: Verdict) -> tuple[Fate, ...]:
    old, new = ({one.candidate: one for one in verdict.candidates} for verdict in (before, after))
    found = [_fate(old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]
    return tuple(fate for fate in found if fate is not None)


def _fate(old: Judgement | None, new: Judgement | None) -> Fate | None:
    if old is None:
        return None if new is None else Fate(new.candidate, "new", new.outcome, _why(new))
    if new is None:
        return Fate(old.candidate, "gone", old.outcome, _why(old))
    failed, fails = old.outcome not in NO_FAILURE, new.outcome not in NO_FAILURE
    if failed == fails:
        return None
    return Fate(new.candidate, "newly failing" if fails else "recovered", new.outcome, _why(new if fails else old))


def _why(one: Judgement) -> str:
    return "" if one.outcome in NO_FAILURE else one.reason


def _headline(before: Verdict, after: Verdict) -> str:
    """The same choice, or another and what became of the old one."""
    old, new = before.choice, after.choice
    verdicts = "" if before.verdict == after.verdict else f" ({before.verdict} before, {after.verdict} now)"
    if old is None:
        now = f"now {new.candidate} is the choice" if new else "there is none now"
        return f"There was no choice before, and {now}{verdicts}."
    if new is not None and new.candidate == old.candidate:
        return f"The same choice, {new.candidate}{verdicts}."
    now = f"{new.candidate} is the choice now" if new else "There is no choice now"
    return f"{now}{verdicts}: {old.candidate}, the choice before, {_since(old.candidate, after)}."


def _since(candidate: str, after: Verdict) -> str:
    """What became of a candidate, behind its name."""
    found = next((one for one in after.candidates if one.candidate == candidate), None)
    if found is None:
        return "is not among the candidates any more"
    if found.outcome == OK:
        return f"would do, but {_by_then(found.reason)}"
    if found.outcome in NO_FAILURE:
        return f"is {found.outcome}: {found.reason}"
    return f"failed at the stage {found.stage} ({found.outcome}): {found.reason}"


def _by_then(reason: str) -> str:
    """ "12 % dearer" is what it is, "cannot be told apart" what it does."""
    return f"is {reason}" if reason[:1].isdigit() else reason or "another is preferred"


def _because(
    found: Sequence[Figure],
    question: Sequence[Difference],
    engines: Sequence[Difference],
    environment: Sequence[Difference],
    same_host: bool,
) -> tuple[str, ...]:
    """What changed beside the figures, where some did: it may be why, which two runs cannot prove."""
    if not any(one.judged == "changed" for one in found):
        return ()
    names = {"the question": [one.name for one in question], "engines": [one.name for one in engines]}
    names["packages"] = [one.name.removeprefix("packages.") for one in environment if one.name.startswith("packages.")]
    names["the host"] = [one.name.removeprefix("host.") for one in environment if one.name.startswith("host.")]
    told = [f"{what}: {', '.join(each)}" for what, each in names.items() if each]
    told += [] if same_host else ["another host"]
    return tuple(told) or ("nothing else that was recorded changed: it may be the machine's own drift from day to day",)
