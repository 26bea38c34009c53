"""A check from its baseline to its answers, kept in the store as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Reporter, Silent
from bakeoff.decide.drift import kept, rule
from bakeoff.decide.drift.answers import NOT_FOUND, Answer, Session
from bakeoff.decide.drift.answers import Night as Found
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.nightly.against import Baseline
from bakeoff.nightly.alone import alone
from bakeoff.nightly.cases import Check
from bakeoff.nightly.night import Case, Night
from bakeoff.store.nights import Nights


def check(
    baseline: Baseline,
    store: Nights,
    *,
    command: str = "bakeoff check",
    budget_s: float | None = None,
    bisect: bool = False,
    logs: Path,
    reporter: Reporter | None = None,
) -> Found:
    """Compare what is here now with the baseline, and give the night; its sessions are stored as they end.

    With `bisect`, what is left of the budget goes into naming the package that a regression comes with. Raises
    UserError where another check or pin is under way here, for each would disturb the other.
    """
    reporter, budget = reporter or Silent(), Budget(budget_s)
    with alone():
        budget.start()
        within = "" if budget_s is None else f", within {budget_s / 60.0:.3g} minutes in all"
        reporter.stage(f"checking {baseline.said}{within}")

        def past(scenario: str, candidate: str) -> list[list[Session]]:
            nights = store.sessions(scenario, candidate, host.cpu_model())
            return [[kept.session(each) for each in night] for night in nights]

        printed = logs / f"check-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        cases = baseline.cases(Check(past, printed, budget, reporter))
        taken: list[str] = []

        def keep(known: rule.Benchmark, session: Session) -> None:
            store.add_session(taken[0], kept.session_record(known.scenario, known.candidate, session))

        night = Night(cases, budget, keep, reporter)
        plan = (*night.plan(), *_unpinned(store, command, baseline, cases))
        taken.append(store.begin_night(command, baseline.digests, host.versions(), host.facts(), plan))
        for line in plan:
            reporter.stage(line)
        status = "stopped"
        try:
            answers = night.hold()
            for answer in answers:
                store.add_answer(taken[0], kept.answer_record(answer))
            if bisect:
                _explain(answers, baseline, budget, reporter, store, taken[0])
            status = "finished"
        finally:
            store.finish_night(taken[0], status)
        return kept.night(store.load_night(taken[0]))


def _unpinned(store: Nights, command: str, baseline: Baseline, cases: Sequence[Case]) -> list[str]:
    """What the last night of the same command and pins checked, and this one has no baseline for: who deletes a pin is
    told it once."""
    last = store.latest_of(command, baseline.digests)
    if last is None:
        return []
    names = {case.name for case in cases}
    before = (f"{each.scenario}: {each.candidate}" for each in store.load_night(last).answers)
    return [
        f"{name} was checked in night {last}, and is not any more: it has no baseline"
        for name in before
        if name not in names
    ]


def _explain(
    answers: Sequence[Answer], baseline: Baseline, budget: Budget, reporter: Reporter, store: Nights, night: str
) -> None:
    """Say the regressions again with their culprits: found or not, that they are some is in the store by then. What a
    replay stumbles over, such as a full cache, is no reason to lose them; nor is being stopped, which ends the search.
    """
    stopped = ""
    for number, answer in enumerate(answers):
        if answer.status == "regression" and not answer.stored:
            try:
                culprit = stopped or baseline.culprit(number, answer, budget, reporter)
            except (UserError, OSError) as error:
                culprit = f"{NOT_FOUND}{error}"
            except KeyboardInterrupt:
                culprit = stopped = f"{NOT_FOUND}it was stopped"
            store.add_answer(night, kept.answer_record(replace(answer, culprit=culprit)))
