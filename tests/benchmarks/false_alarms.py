"""Nights made of real sessions of the same thing beside itself: who cries wolf, and who finds what was made slower.

    python tests/benchmarks/false_alarms.py [results/evidence/aa.csv] [--nights 300] [--benchmarks 20] [--into FILE]

A night draws its benchmarks from the recorded ones and their sessions from the recorded sessions, none twice for one
benchmark of a night. bakeoff's rule screens, confirms and judges them as `bakeoff check` does. The usual gates compare
two runs of each benchmark: a stored one with another session's, as they are used, and, kinder than that, the two that
ran side by side in one session. In further nights one benchmark is slowed by 5, 10 or 20 %: its times are multiplied.

`--into` puts the table between the marks in a Markdown file. The status is 1 where bakeoff's rule misses a bar: false
alarms in at most 1 % of nights, and slowdowns above the printed MDE found in 80, 95 and 100 % of trials, some of each
being above it. It takes some minutes.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from aa import Floats, Recorded, Together, read
from marked import rewrite_file
from scipy import stats

from bakeoff.decide.drift.answers import SERVICE_TIME, Answer, Session, Stage
from bakeoff.decide.drift.rule import FAMILY, SCREEN_SESSIONS, Benchmark, confirming, judge, suspects

FILE = Path("results/evidence/aa.csv")
MARK = "false-alarms"
NIGHTS, BENCHMARKS, EARLIER = 300, 20, 10
SLOWED: Mapping[float, float] = {0.05: 0.80, 0.10: 0.95, 0.20: 1.00}
"""The slowdowns, and the share of those above the printed MDE that must be found."""
Gate = Callable[[Floats, Floats], bool]


def _mann_whitney(baseline: Floats, now: Floats) -> float:
    return float(stats.mannwhitneyu(baseline, now, alternative="two-sided", method="asymptotic").pvalue)


def _grew(statistic: Callable[[Floats], np.floating], factor: float) -> Gate:
    return lambda baseline, now: bool(statistic(now) > factor * statistic(baseline))


GATES: Mapping[str, Gate] = {
    "pytest-benchmark, `mean:5%`": _grew(np.mean, 1.05),
    "pytest-benchmark, `median:5%`": _grew(np.median, 1.05),
    "asv: Mann-Whitney p < .002, factor 1.1": lambda baseline, now: (
        _grew(np.median, 1.1)(baseline, now) and _mann_whitney(baseline, now) < 0.002
    ),
    "Mann-Whitney p < .05": lambda baseline, now: (
        _grew(np.median, 1.0)(baseline, now) and _mann_whitney(baseline, now) < 0.05
    ),
}
SIDES = {"a stored run": (0, 1), "the run beside it": (0, 0)}
"""Of the sessions drawn, that of the baseline's run and that of the run now."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A benchmark of a night: its sessions in the order in which they are used, and earlier nights' for the spread."""

    sessions: Sequence[Together]
    earlier: Sequence[Sequence[Together]]
    slower: float = 0.0

    def alarms(self, gate: Gate, sides: tuple[int, int]) -> bool:
        """Whether a usual gate calls it slower."""
        baseline, now = (self.sessions[each] for each in sides)
        return gate(baseline.baseline, (1.0 + self.slower) * now.now)

    def benchmark(self, name: str) -> Benchmark:
        """As it is known when the screen is over."""
        earlier = [_staged("screen", night) for night in self.earlier]
        return Benchmark("nights", name, self.staged("screen", 0, SCREEN_SESSIONS), earlier)

    def staged(self, stage: Stage, begin: int, count: int) -> tuple[Session, ...]:
        """So many of its sessions, from a place on."""
        return _staged(stage, self.sessions[begin : begin + count], math.log1p(self.slower))


def _staged(stage: Stage, sessions: Sequence[Together], added: float = 0.0) -> tuple[Session, ...]:
    changes = (each.change + added for each in sessions)
    return tuple(Session(stage, number, {SERVICE_TIME: each}) for number, each in enumerate(changes, 1))


def draw(recorded: Recorded, benchmarks: int, dice: np.random.Generator, slower: float = 0.0) -> list[Drawn]:
    """A night; the first of its benchmarks is slower by a fraction."""
    most = SCREEN_SESSIONS + confirming(benchmarks)
    names, found = list(recorded), []
    for number in range(benchmarks):
        known = recorded[names[dice.integers(len(names))]]
        if len(known) < most:
            raise SystemExit(f"a night of {benchmarks} needs {most} sessions of each benchmark, not {len(known)}")
        sessions = [known[each] for each in dice.permutation(len(known))[:most]]
        earlier = [[known[each] for each in dice.integers(len(known), size=SCREEN_SESSIONS)] for _ in range(EARLIER)]
        found.append(Drawn(sessions, earlier, 0.0 if number else slower))
    return found


def judged(night: Sequence[Drawn]) -> tuple[Answer, ...]:
    """bakeoff's answers: screen, confirm, judge."""
    found = [each.benchmark(str(number)) for number, each in enumerate(night)]
    flagged = suspects(found)
    for number, _ in flagged:
        fresh = night[number].staged("confirm", SCREEN_SESSIONS, confirming(len(flagged)))
        found[number] = replace(found[number], sessions=found[number].sessions + fresh)
    return judge(found)


@dataclass(frozen=True, slots=True)
class Row:
    """A rule: its nights with a false alarm, and by slowdown whether it was found, trial by trial.

    `above` holds those trials alone whose printed MDE was no larger; other rules print none.
    """

    rule: str
    against: str
    false: int
    found: Mapping[float, Sequence[bool]]
    above: Mapping[float, Sequence[bool]] | None = None

    def line(self, nights: int) -> str:
        """Of the Markdown table."""
        cells = [self.rule, self.against, f"{self.false} ({self.false / nights:.1%})"]
        for slower, found in self.found.items():
            above = "" if self.above is None else f" ({_share(self.above[slower])} above the MDE)"
            cells.append(f"{_share(found)}{above}")
        return f"| {' | '.join(cells)} |"


def _share(found: Sequence[bool]) -> str:
    return f"{np.mean(found):.0%} of {len(found)}" if len(found) else "none"


def ours(clean: Sequence[Sequence[Drawn]], slowed: Mapping[float, Sequence[Sequence[Drawn]]]) -> Row:
    """bakeoff's own rule."""
    false = sum(any(each.status == "regression" for each in judged(night)) for night in clean)
    first = {slower: [judged(night)[0] for night in nights] for slower, nights in slowed.items()}
    found = {slower: [each.status == "regression" for each in answers] for slower, answers in first.items()}
    above = {
        slower: [each.status == "regression" for each in answers if (each.figures[0].mde or math.inf) <= slower]
        for slower, answers in first.items()
    }
    return Row("bakeoff check", "the pin, in fresh sessions", false, found, above)


def usual(clean: Sequence[Sequence[Drawn]], slowed: Mapping[float, Sequence[Sequence[Drawn]]]) -> list[Row]:
    """The usual gates, against either run."""
    return [
        Row(
            rule,
            against,
            sum(any(each.alarms(gate, sides) for each in night) for night in clean),
            {slower: [night[0].alarms(gate, sides) for night in nights] for slower, nights in slowed.items()},
        )
        for rule, gate in GATES.items()
        for against, sides in SIDES.items()
    ]


def held(row: Row, nights: int) -> bool:
    """Whether bakeoff's rule clears its bars."""
    above = row.above or {}
    return row.false <= FAMILY * nights and all(
        len(trials) > 0 and np.mean(trials) >= SLOWED[slower] for slower, trials in above.items()
    )


def table(rows: Sequence[Row], recorded: Recorded, nights: int, benchmarks: int) -> str:
    """The rows, and what they come from."""
    titles = ["rule", "against", f"nights with a false alarm, of {nights}", *(f"found at +{x:.0%}" for x in SLOWED)]
    counts = [len(each) for each in recorded.values()]
    stamps = sorted(each.at for sessions in recorded.values() for each in sessions)
    origin = (
        f"Nights of {benchmarks} benchmarks, drawn from {_range(counts)} sessions of each of"
        f" {len(counts)} benchmarks beside themselves, measured within"
        f" {(stamps[-1] - stamps[0]).total_seconds() / 3600:.1f} hours. `python tests/benchmarks/false_alarms.py`"
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *(row.line(nights) for row in rows)]
    return "\n".join([*lines, "", origin])


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def rows(recorded: Recorded, nights: int, benchmarks: int, seed: int = 0) -> list[Row]:
    """bakeoff's first; all rules judge the same nights."""
    dice = np.random.default_rng(seed)
    clean = [draw(recorded, benchmarks, dice) for _ in range(nights)]
    slowed = {slower: [draw(recorded, benchmarks, dice, slower) for _ in range(nights)] for slower in SLOWED}
    return [ours(clean, slowed), *usual(clean, slowed)]


def main(words: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=FILE)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--benchmarks", type=int, default=BENCHMARKS)
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into this Markdown file")
    asked = parser.parse_args(words)
    recorded = read(asked.file)
    found = rows(recorded, asked.nights, asked.benchmarks)
    told = table(found, recorded, asked.nights, asked.benchmarks)
    sys.stdout.write(f"{told}\n")
    if asked.into:
        rewrite_file(asked.into, MARK, lambda _: told)
    return 0 if held(found[0], asked.nights) else 1


if __name__ == "__main__":
    sys.exit(main())
