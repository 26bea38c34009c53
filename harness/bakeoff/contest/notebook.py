"""What a trial knows and writes down of its candidates: the ledger and the record, in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from bakeoff.backends import cpu_flags
from bakeoff.contest.reporter import Reporter
from bakeoff.decide import features
from bakeoff.decide.court import ERROR_OF_AN_EARLY_LOOK
from bakeoff.decide.judgement import Verdict
from bakeoff.decide.race import LOST_TO
from bakeoff.decide.verdict import verdict_of
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Loaded, StageFailed
from bakeoff.scenario import Scenario
from bakeoff.store.record import OK, CandidateRecord, LedgerRow, Quality, ScenarioRecord
from bakeoff.store.store import Store

UNFINISHED = frozenset({"not-reached", "over-budget"})
NO_TIME = "the budget or the rounds ended before its turn; `bakeoff run --resume latest --budget 3m` goes on"


def passed(candidate: CandidateRecord, stage: str) -> bool:
    """Whether a candidate's last word on a stage is that it went well."""
    row = candidate.row(stage)
    return row is not None and row.outcome == OK


def _may_return(failure: LedgerRow) -> bool:
    """Whether it was for lack of time, or because its backend was not here."""
    return failure.outcome in UNFINISHED or (failure.stage, failure.outcome) == ("probe", "unavailable")


class Notebook:
    """One scenario's pages in one run. `names` are the candidates' ids in the plan's order."""

    def __init__(
        self,
        scenario: Scenario,
        names: Sequence[str],
        store: Store,
        run: str,
        reporter: Reporter,
        flags: Collection[str] | None = None,
    ) -> None:
        self._cpu_flags = cpu_flags() if flags is None else flags
        self._scenario = scenario
        self._names = tuple(names)
        self._store = store
        self._run = run
        self._command = store.load(run).command
        self._reporter = reporter

    # Reading

    def record(self) -> ScenarioRecord:
        """All that is known now."""
        return next(each for each in self._store.load(self._run).scenarios if each.name == self._scenario.name)

    def candidate(self, name: str) -> CandidateRecord:
        """All that is known of one candidate."""
        return next(each for each in self.record().candidates if each.id == name)

    def has_quality(self, name: str) -> bool:
        """Whether a candidate's metrics are known, as this CPU would give them."""
        candidate = self.candidate(name)
        return bool(candidate.quality) and features.judged_alike(candidate, self._cpu_flags)

    def alive(self, without: str = "") -> list[str]:
        """Candidates without a failure, in the plan's order; `without` leaves out those that have passed that stage."""
        records = {each.id: each for each in self.record().candidates}
        return [name for name in self._names if records[name].failure is None and not passed(records[name], without)]

    def judged(self) -> Verdict:
        """The verdict as it stands, at an early look: it takes strong evidence."""
        return verdict_of(self._store.load(self._run), self._scenario.name, ERROR_OF_AN_EARLY_LOOK)

    def has_block(self, name: str, number: int, position: int) -> bool:
        """Whether a block was measured already."""
        return self._store.has_block(self._run, self._scenario.name, name, number, position)

    # Writing

    def row(
        self,
        name: str,
        stage: str,
        outcome: str = OK,
        reason: str = "",
        seconds: float = 0.0,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Add a ledger row, with the command that reproduces it, and tell the reporter."""
        row = LedgerRow(stage, outcome, reason, seconds, f"{self._command} --candidate {name}", facts=facts or {})
        self._store.add_row(self._run, self._scenario.name, name, row)
        self._reporter.candidate(name, stage, outcome, reason)

    def failed(self, name: str, failed: StageFailed) -> None:
        """A stage that a candidate did not pass."""
        reason = f"{failed.reason}; {failed.remedy}" if failed.remedy else failed.reason
        self.row(name, failed.stage, failed.outcome, reason, facts=failed.facts)

    def loaded(self, name: str, loaded: Loaded) -> None:
        """An engine started and verified; the first start is the one that counts."""
        if passed(self.candidate(name), "load"):
            return
        facts = {
            "load_s": loaded.load_s,
            "startup_s": loaded.startup_s,
            "memory_bytes": loaded.memory_bytes,
            "threads": loaded.threads,
            "warmup_requests": loaded.warmup_requests,
        } | dict(loaded.details)
        self.row(name, "load", seconds=loaded.startup_s, facts=facts)
        self.row(name, "verify", facts={"worst_error": loaded.worst_error})

    def eliminated(self, reasons: Mapping[str, str], lost: Mapping[str, str]) -> None:
        """Candidates that left the race, on what evidence, and to whom they lost where that is why."""
        for name, reason in reasons.items():
            facts = {LOST_TO: lost[name]} if name in lost else None
            self.row(name, "race", "eliminated", reason, facts=facts)

    def readmitted(self, back: Mapping[str, str]) -> list[str]:
        """Candidates that are back in the race, with why, of those that are offered still."""
        names = [name for name in self._names if name in back]
        for name in names:
            self.row(name, "race", reason=back[name])
        return names

    def no_time(self, names: Iterable[str], stage: str) -> None:
        """Candidates whose turn did not come."""
        for name in names:
            self.row(name, stage, "not-reached", NO_TIME)

    def take_up_again(self, able: Collection[str]) -> None:
        """What an earlier part of this run had no time for, or did not find here, gets another chance; of those that
        are `able` to run now."""
        for candidate in self.record().candidates:
            if candidate.id in able and candidate.failure is not None and _may_return(candidate.failure):
                self.row(candidate.id, "probe", reason="taken up again")

    def block(self, name: str, number: int, position: int, block: Block) -> None:
        """A measured block; it is durable when this returns."""
        self._store.add_block(self._run, self._scenario.name, name, number, position, block)

    def quality(self, name: str, quality: Sequence[Quality], seconds: float) -> None:
        """A candidate's ranking metrics, with the CPU features that they hold for."""
        self._store.add_quality(self._run, self._scenario.name, name, quality)
        decided = features.decide_on(self.candidate(name).candidate)
        facts = {features.FACT: features.deciding(self._cpu_flags)} if decided else {}
        self.row(name, "quality", seconds=seconds, facts=facts)
