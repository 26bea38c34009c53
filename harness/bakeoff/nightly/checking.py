"""A check from its pins to its answers, kept in the store as it goes on."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Reporter, Silent
from bakeoff.decide.drift import kept, rule
from bakeoff.decide.drift.answers import Answer, Session
from bakeoff.decide.drift.answers import Night as Found
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.nightly import bisecting, cases
from bakeoff.nightly.night import Night
from bakeoff.nightly.pins import Pin
from bakeoff.store.nights import Nights
from bakeoff.workloads import cache_dir
from bakeoff.workloads.cache import writable


def check(
    pins: Sequence[Pin],
    store: Nights,
    *,
    command: str = "bakeoff check",
    budget_s: float | None = None,
    bisect: bool = False,
    logs: Path,
    reporter: Reporter | None = None,
) -> Found:
    """Compare what is here now with what these pins name, and give the night; its sessions are stored as they end.

    With `bisect`, what is left of the budget goes into naming the package that a regression comes with. Raises
    UserError where another check is under way here, for each would disturb the other.
    """
    reporter = reporter or Silent()
    with _alone():
        budget = Budget(budget_s)
        budget.start()

        def past(scenario: str, candidate: str) -> list[list[Session]]:
            return [[kept.session(each) for each in night] for night in store.sessions(scenario, candidate)]

        found = cases.find(pins, past, logs, reporter)
        digests = {pin.name: pin.digest for pin in pins}
        digests |= {f"{each.pin.name}: {each.candidate.id}": each.pin.digest_of(each.candidate) for each in found}
        taken: list[str] = []

        def keep(known: rule.Benchmark, session: Session) -> None:
            store.add_session(taken[0], kept.session_record(known.scenario, known.candidate, session))

        night = Night([each.case for each in found], budget, keep, reporter)
        taken.append(store.begin_night(command, digests, host.versions(), host.facts(), night.plan()))
        for line in night.plan():
            reporter.stage(line)
        status = "stopped"
        try:
            for each, answer in zip(found, night.hold(), strict=True):
                store.add_answer(taken[0], kept.answer_record(_explained(each, answer, budget, bisect, reporter)))
            status = "finished"
        finally:
            store.finish_night(taken[0], status)
        return kept.night(store.load_night(taken[0]))


def _explained(found: cases.Found, answer: Answer, budget: Budget, bisect: bool, reporter: Reporter) -> Answer:
    """With the culprit, where that is asked for and there is a slowdown to find it by."""
    if not bisect or answer.status != "regression" or answer.stored:
        return answer
    return replace(answer, culprit=bisecting.culprit(found, answer, budget, reporter))


@contextmanager
def _alone() -> Iterator[None]:
    """One check at a time on this machine; the lock is the kernel's and ends with its holder."""
    with writable():
        cache_dir().mkdir(parents=True, exist_ok=True)
        lock = (cache_dir() / "check.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another check is under way on this machine; run this one when it has ended") from None
        yield
