"""What a check compares with: pins, of which both sides are run, or (benchmark_file.py) a file of stored figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift.answers import Answer
from bakeoff.nightly import bisecting, cases
from bakeoff.nightly.cases import Check, Found
from bakeoff.nightly.night import Case
from bakeoff.nightly.pins import Pin


class Baseline(Protocol):
    """Gives the benchmarks of a night."""

    @property
    def said(self) -> str:
        """What it is, in a few words."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Of what each scenario is compared with, by its name, and where they are known by benchmarks' names too."""

    def cases(self, check: Check) -> list[Case]:
        """The benchmarks, what is here now built where it is not; what is wrong with one is its reason."""

    def culprit(self, number: int, answer: Answer, budget: Budget, reporter: Reporter) -> str:
        """What the regression of the case of that number came with; empty where nothing can tell."""


def counted(benchmarks: int, scenarios: Iterable[str], which: str = "") -> str:
    """Such as "2 pinned benchmarks of ctr-ranking"."""
    return f"{benchmarks} {which}benchmark{'s' if benchmarks != 1 else ''} of {', '.join(scenarios)}"


class Pins:
    """Pinned candidates, of `candidates` alone where any are named; raises UserError for one that nobody pinned."""

    def __init__(self, pins: Sequence[Pin], candidates: Collection[str] = ()) -> None:
        self._pins = cases.narrowed(pins, candidates)
        self._whole = {pin.name: pin.digest for pin in pins}
        self._found: list[Found] = []

    @property
    def said(self) -> str:
        """How many they are."""
        return counted(sum(len(pin.candidates) for pin in self._pins), [pin.name for pin in self._pins], "pinned ")

    @property
    def digests(self) -> Mapping[str, str]:
        """The pins', and their candidates'."""
        own = {f"{pin.name}: {each.id}": pin.digest_of(each) for pin in self._pins for each in pin.candidates}
        return {pin.name: self._whole[pin.name] for pin in self._pins} | own

    def cases(self, check: Check) -> list[Case]:
        """One for each pinned candidate."""
        self._found = cases.find(self._pins, check)
        return [each.case for each in self._found]

    def culprit(self, number: int, answer: Answer, budget: Budget, reporter: Reporter) -> str:
        """By bisection."""
        return bisecting.culprit(self._found[number], answer, budget, reporter)
