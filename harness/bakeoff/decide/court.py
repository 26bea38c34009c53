"""All that a verdict on one scenario rests on: each candidate's evidence and gate, and the costs of the accepted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bakeoff.decide.compare import ERROR, Field, Interval
from bakeoff.decide.evidence import Evidence, cpus_held
from bakeoff.decide.gates import FEWEST_ROUNDS, MOST_ROUNDS, Gate, gate
from bakeoff.decide.holding import gather_all
from bakeoff.decide.objective import WORDS, Words
from bakeoff.decide.race import MARGIN, is_provisional, screens_apart
from bakeoff.scenario import Scenario, restore
from bakeoff.store.record import ScenarioRecord

EARLY_LOOKS = MOST_ROUNDS - FEWEST_ROUNDS
CLOSE = 0.1
"""A screening block tells costs apart that differ by more than this."""
ERROR_AT_THE_END, ERROR_OF_AN_EARLY_LOOK = 0.75 * ERROR, 0.25 * ERROR / EARLY_LOOKS
"""A run may stop at an early look, if the evidence is strong enough; all looks together keep to ERROR."""


@dataclass(frozen=True, slots=True)
class Court:
    """`accepted` are the ids that passed every gate, the cheapest first; `field` holds their costs by round.

    `cpu_flags` are those of the host to serve on; None: of the one that measured.
    """

    record: ScenarioRecord
    scenario: Scenario
    provisional: bool
    cpus: int
    evidence: Mapping[str, Evidence]
    gates: Mapping[str, Gate]
    accepted: tuple[str, ...]
    field: Field
    cpu_flags: Collection[str] | None = None

    @property
    def incumbent(self) -> str | None:
        """The id of the candidate that serves today, where that is a candidate."""
        return self.scenario.incumbent.candidate if self.scenario.incumbent else None

    @property
    def words(self) -> Words:
        """How one is spoken of that has more or less of what the objective counts."""
        return WORDS[self.scenario.objective]

    def loss(self, one: str, other: str) -> Interval | None:
        """How much dearer `one` is than `other`, both accepted; None where too few rounds had both."""
        return self.field.dearer(one, other)

    def beside(self, one: str, other: str) -> Interval | None:
        """The same whatever gates the two passed, by their own rounds alone."""
        costs = {name: self.evidence[name].round_scores for name in (one, other)}
        return Field(costs, self.field.error, self.field.bounds).dearer(one, other)

    def rivals(self, by: float = 0.0, beside: str | None = None) -> tuple[str, ...]:
        """The undecided that more time would settle and that may be cheaper by more than `by` (a fraction) than
        `beside`, by default the cheapest accepted."""
        if not self.accepted:
            return ()
        best = self.evidence[beside or self.accepted[0]]
        return tuple(
            one
            for one, found in self.gates.items()
            if found.status == "open" and _may_be_cheaper(self.evidence[one], best, self.field.error, by)
        )


def convene(record: ScenarioRecord, error: float = ERROR_AT_THE_END, cpu_flags: Collection[str] | None = None) -> Court:
    """Gather the evidence on every candidate and pass it through the gates, for a host with these CPU flags."""
    scenario = restore(dict(record.definition))
    cpus = cpus_held(record, scenario)
    provisional = is_provisional(record)
    evidence = {one.record.id: one for one in gather_all(record.candidates, scenario, cpus)}
    gates = {name: gate(one, scenario, provisional, cpu_flags) for name, one in evidence.items()}
    costs = {name: evidence[name].round_scores for name, found in gates.items() if found.status == "ok"}
    bounds = {name: one.bounds for name, one in evidence.items()}
    field = Field(costs, error, bounds)
    return Court(record, scenario, provisional, cpus, evidence, gates, by_cost(costs), field, cpu_flags)


def by_cost(costs: Mapping[str, Mapping[int, float]]) -> tuple[str, ...]:
    """By mean log cost, over the rounds that all had where there are any: rounds differ."""
    common = set.intersection(*(set(each) for each in costs.values())) if costs else set()

    def mean(name: str) -> float:
        logs = [math.log(cost) for number, cost in costs[name].items() if not common or number in common]
        return math.fsum(logs) / len(logs)

    return tuple(sorted(costs, key=lambda name: (mean(name), name)))


def _may_be_cheaper(one: Evidence, best: Evidence, error: float, by: float) -> bool:
    bounds = {"one": one.bounds, "best": best.bounds}
    loss = Field({"one": one.round_scores, "best": best.round_scores}, error, bounds).dearer("one", "best")
    if loss is not None:
        return loss.low <= -by
    if one.mean_score is None or best.mean_score is None:
        return False
    if one.screen_score is None or best.screen_score is None:
        return one.mean_score <= best.mean_score * (1.0 + MARGIN)
    return screens_apart(one.screen_score, best.screen_score, best.mean_score) <= 1.0 + MARGIN
