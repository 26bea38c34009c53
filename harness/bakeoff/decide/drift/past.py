"""All nights as one series a benchmark: each night's change, chained over the pins that it was measured against.

A night's value is the median over its sessions of the log ratio to the pin of that night, so it starts anew at 0 where
the pin moves. To show what creeps in over years of accepted pins, the series is chained: a new pin is taken to lie
where the last nights under the old one were, by the median of at most `JOIN` of them since anything last changed (a
version, the pin, or the answer from or to a confirmed one). The join is as uncertain as they are, and where versions
changed in the same night as the pin, what they cost was never measured against the old pin and is not in the chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from bakeoff.decide.drift import kept
from bakeoff.decide.drift.answers import Answer, log_change
from bakeoff.errors import UserError
from bakeoff.store.nights import Benchmark, PastNight

JOIN = 10
"""Nights: with more a creep is joined too low, with fewer the joins' own error grows."""
_CONFIRMED = frozenset({"regression", "improved"})


@dataclass(frozen=True, slots=True)
class Point:
    """A benchmark's night. `value`, `low` and `high` are log ratios to the pin of that night, the interval as it was
    judged, None where it was not; `level` is the log ratio to the series' first pin.

    `repinned` says that the pin is another than the night before, `joined` over how many nights a pin new to the series
    was joined to those before it, 0 elsewhere. `versions` are what else changed since, such as "numpy 2.4.5 → 2.4.6",
    those in the candidate's name first. `status` is the answer's, "" where the night ended before it.
    """

    night: str
    at: datetime
    value: float
    level: float
    sessions: int
    pin: str
    low: float | None = None
    high: float | None = None
    status: str = ""
    repinned: bool = False
    joined: int = 0
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Where a series' level changed for good: `place` is that of its first night among the points.

    `size` is a fraction of the level before (0.05: slower by 5 %), `p` the chance of it under no change.
    """

    place: int
    night: str
    size: float
    p: float


@dataclass(frozen=True, slots=True)
class Series:
    """A benchmark's nights, the earliest first. `left_out` counts those that had stored figures alone to compare with.

    `changes` are what creep.py finds.
    """

    scenario: str
    candidate: str
    points: tuple[Point, ...]
    left_out: int = 0
    changes: tuple[ChangePoint, ...] = ()

    @property
    def benchmark(self) -> str:
        """Such as "ctr-ranking: onnxruntime/fp32/1x1"."""
        return f"{self.scenario}: {self.candidate}"

    @property
    def pins(self) -> int:
        """How many pins it was measured against."""
        return len({point.pin for point in self.points})


@dataclass(frozen=True, slots=True)
class History:
    """One metric of all benchmarks asked for, over all `nights`: when each began, by id, in that order.

    `not_sought` says why no change points were looked for, "" where they were.
    """

    metric: str
    nights: Mapping[str, datetime]
    series: tuple[Series, ...]
    not_sought: str = ""


def history(nights: Sequence[PastNight], metric: str, parts: Sequence[str] = ()) -> History:
    """The series of the benchmarks whose names hold one of `parts`; of all where none is given.

    Raises UserError where no night measured the metric, or a part is in no benchmark's name.
    """
    benchmarks = list(dict.fromkeys(of for night in nights for of in [*night.values, *_beside_stored(night)]))
    if not nights:
        raise UserError("holds no nights yet; `bakeoff check` makes some, --store names another")
    if not benchmarks:
        raise UserError(f"has no session that measured {metric} yet; --metric names another")
    wanted = _wanted({f"{scenario}: {candidate}": (scenario, candidate) for scenario, candidate in benchmarks}, parts)
    series = tuple(each for each in (_series(nights, metric, of) for of in wanted) if each.points)
    if not series:
        raise UserError("has no night whose pin could be run: stored figures alone make no history")
    return History(metric, {night.night: night.started_at for night in nights}, series)


def _wanted(named: Mapping[str, Benchmark], parts: Sequence[str]) -> list[Benchmark]:
    for part in parts:
        if not any(part in name for name in named):
            some = ", ".join(list(named)[:5])
            raise UserError(f"{part}: is in the name of no benchmark; there are {some}{', …' * (len(named) > 5)}")
    return [of for name, of in named.items() if not parts or any(part in name for part in parts)]


def _series(nights: Sequence[PastNight], metric: str, of: Benchmark) -> Series:
    scenario, candidate = of
    told = [(night, kept.answer(*of, night.answers[of]) if of in night.answers else None) for night in nights]
    paired = [(night, said) for night, said in told if of in night.values and (said is None or not said.stored)]
    left_out = sum(of in _beside_stored(night) for night in nights)
    return Series(scenario, candidate, tuple(_points(paired, metric, of)), left_out)


def _beside_stored(night: PastNight) -> list[Benchmark]:
    """What had stored figures alone to compare with."""
    return [of for of, said in night.answers.items() if said.get("stored", False)]


def _points(told: Sequence[tuple[PastNight, Answer | None]], metric: str, of: Benchmark) -> Iterator[Point]:
    """Where a pin comes back, as with two branches checked in turn, it lies where it lay.

    What changed is what the benchmark ran on since the last night that tells; beside a night that does not, what was
    installed where it was checked.
    """
    lies: dict[str, float] = {}
    before: list[Point] = []
    packages: Mapping[str, str] | None = None
    ran_on: Mapping[str, str] | None = None
    for night, said in told:
        values, pin = night.values[of], _pin(night, of)
        versions = _versions(night, said)
        changed = _changed(ran_on, versions) if ran_on and versions else _changed(packages, night.packages)
        changed.sort(key=lambda change: change.split()[0] not in of[1])
        packages, ran_on = night.packages, versions or ran_on
        value = median(values)
        joined = 0
        if pin not in lies:
            last = _last_levels(before)
            joined, lies[pin] = len(last), median(last or [0.0])
        point = Point(
            night=night.night,
            at=night.started_at,
            value=value,
            level=lies[pin] + value,
            sessions=len(values),
            pin=pin,
            repinned=bool(before) and before[-1].pin != pin,
            joined=joined,
            versions=tuple(changed),
        )
        before.append(point if said is None else _judged(point, said, metric))
        yield before[-1]


def _pin(night: PastNight, of: Benchmark) -> str:
    """The digest of the benchmark's own part of the pin where the night names it, else of the scenario's pin."""
    scenario, candidate = of
    return night.pins.get(f"{scenario}: {candidate}") or night.pins.get(scenario, "")


def _judged(point: Point, said: Answer, metric: str) -> Point:
    figure = next((each for each in said.figures if each.metric == metric), None)
    if figure is None or figure.low is None or figure.high is None:
        return replace(point, status=said.status)
    low, high = (log_change(metric, end) for end in (figure.low, figure.high))
    return replace(point, status=said.status, low=low, high=high)


def standing(points: Sequence[Point]) -> float:
    """Where the last nights were since anything changed: the median of at most JOIN levels, log ratios."""
    return median(_last_levels(points))


def _last_levels(points: Sequence[Point]) -> list[float]:
    levels = [point.level for point in points[-1:]]
    for point, later in zip(reversed(points[:-1]), reversed(points), strict=False):
        confirmed = (point.status in _CONFIRMED) != (later.status in _CONFIRMED)
        if len(levels) == JOIN or later.repinned or later.versions or confirmed:
            break
        levels.append(point.level)
    return levels


def _changed(old: Mapping[str, str] | None, new: Mapping[str, str]) -> list[str]:
    if old is None:
        return []
    names = (name for name in sorted({*old, *new}) if old.get(name) != new.get(name))
    return [f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}" for name in names]


def _versions(night: PastNight, said: Answer | None) -> Mapping[str, str] | None:
    """What the benchmark itself ran on, and the bakeoff that ran it; None where the night ended before it told."""
    if said is None or not said.versions:
        return None
    return {**said.versions, **{name: each for name, each in night.packages.items() if name == "bakeoff"}}
