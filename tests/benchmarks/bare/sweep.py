"""A full sweep of an engine's documented knobs, and how far its preset is from the best found."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bakeoff.backends import Option
from bakeoff.workloads import cache_dir
from bare import ground, loop
from bare.figures import KNOB_RATIO, Ratio
from bare.measuring import BLOCK_S, Row, alternate, cpus
from bare.player import Failed, Player

LOOKS, FINALISTS, LOADS = 2, 3, 5
BESIDE = "beside"
"""What the session that the others are held against is called in its process: no choice's name, as with several
settings offered the first choice can be held against another."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value for each knob; `name` tells those that are not the preset's. One `offered` is a setting of the plugin's
    that a run measures without being asked."""

    name: str
    offered: bool
    session: Mapping[str, Option]
    process: Mapping[str, str]
    build: Mapping[str, Option]


def choices(knobs: loop.Knobs) -> list[Choice]:
    """Every combination, the preset first."""
    offered: dict[str, tuple[Any, ...]] = {**knobs.session, **knobs.process, **knobs.build}
    found = []
    for values in product(*offered.values()):
        chosen = dict(zip(offered, values, strict=True))
        changed = {name: value for name, value in chosen.items() if value != offered[name][0]}
        name = ", ".join(f"{name}={value}" for name, value in changed.items())
        parts = [{name: chosen[name] for name in part} for part in (knobs.session, knobs.process, knobs.build)]
        found.append(Choice(name or "preset", changed in ({}, *knobs.offered), *parts))
    return found


def knobs(engine: str, workload: str, repeats: int) -> Row:
    """At each size of request, with an artifact for that size: the preset's p50 over the best setting's, and which
    that is. Of several settings that the plugin offers by itself the best is the preset.

    Every setting has a look beside the first; the best few meet again, and what then is best is held against the preset
    once more, in blocks that had no part in choosing it. For these both are loaded anew several times: where an
    engine's memory happens to lie alone makes one load of a setting some percent faster than another.
    """
    every = choices(loop.module(engine).KNOBS)
    found, tried = list[tuple[Ratio, str]](), {every[0].name}
    for items in ground.ITEMS:
        built = ground.built(engine, workload, ground.preset(engine), (items,))
        with ExitStack() as stack:
            field = Field(built, every, items, stack)
            looks = sorted(field.looks())
            tried |= {name for _, name in looks}
            found.append(field.final([name for _, name in looks], repeats))
    cells = [f"{ratio}: {name}{'' if ratio.value <= KNOB_RATIO else ' **missed**'}" for ratio, name in found]
    counted = f"{len(tried)}" + (f" ({len(every) - len(tried)} refused)" if len(tried) < len(every) else "")
    return Row((counted, *cells), all(ratio.value <= KNOB_RATIO for ratio, _ in found))


class Field:
    """Processes by their environment, with the preset loaded in its own as BESIDE; the others' settings come and go."""

    def __init__(self, built: ground.Built, every: Sequence[Choice], items: int, stack: ExitStack) -> None:
        self._built, self._items, self._stack = built, items, stack
        self._first, self._choices = every[0], {choice.name: choice for choice in every}
        self._players: dict[str, Player] = {}
        self._load_preset(self._first)

    def looks(self) -> Iterator[tuple[float, str]]:
        """Each setting's p50 over that of the first, and its name; what is refused is left out."""
        yield 1.0, self._first.name
        for name, choice in self._choices.items():
            with suppress(Failed):
                if choice is not self._first:
                    yield self._ratio(choice, self._first, LOOKS), name

    def final(self, best_first: Sequence[str], repeats: int) -> tuple[Ratio, str]:
        """The preset over the best of the finalists, and that one's name."""
        looked = [self._choices[name] for name in best_first]
        preset = next(choice for choice in looked if choice.offered)
        self._load_preset(preset)
        rivals = [choice for choice in looked if choice is not preset][:FINALISTS]
        again = [(self._ratio(choice, preset, max(repeats // 2, 1)), choice) for choice in rivals]
        below = [each for each in again if each[0] < 1]
        if not below:
            return Ratio(1.0, 1.0, 1.0), preset.name if preset is not self._first else "the preset"
        best = min(below, key=lambda each: each[0])[1]
        pairs: list[tuple[float, float]] = []
        for _ in range(LOADS):
            self._load_preset(preset)
            with self._loaded(best):
                pairs += self._beside(best, preset, max(repeats // LOADS, 1))
        over = f" over {preset.name}" if preset is not self._first else ""
        return Ratio.of([(other, one) for one, other in pairs]), best.name + over

    def _ratio(self, choice: Choice, preset: Choice, repeats: int) -> float:
        with self._loaded(choice):
            return statistics.median(one / other for one, other in self._beside(choice, preset, repeats))

    def _load_preset(self, preset: Choice) -> None:
        """In place of the one that is loaded."""
        self._player(preset).load(BESIDE, preset.session, self._file(preset))

    def _beside(self, choice: Choice, preset: Choice, repeats: int) -> Sequence[tuple[float, float]]:
        mine, presets, items = self._player(choice), self._player(preset), self._items
        if mine is presets:
            return alternate(mine, (choice.name, BESIDE), items, repeats)
        return [
            (mine.p50_us(choice.name, items, BLOCK_S), presets.p50_us(BESIDE, items, BLOCK_S)) for _ in range(repeats)
        ]

    def _loaded(self, choice: Choice) -> ExitStack:
        player, stack = self._player(choice), ExitStack()
        player.load(choice.name, choice.session, self._file(choice))
        stack.callback(lambda: player.ask("drop", name=choice.name))
        return stack

    def _player(self, choice: Choice) -> Player:
        key = repr(choice.process)
        if key not in self._players:
            self._players[key] = self._stack.enter_context(Player(self._built, cpus(1), choice.process))
        return self._players[key]

    def _file(self, choice: Choice) -> str:
        """What the engine builds with the choice's options, in bakeoff's cache; "" for the artifact as it is."""
        if choice.build == self._first.build:
            return ""
        digest = hashlib.sha256(f"{self._built.artifact.path} {choice.build}".encode()).hexdigest()[:16]
        place = cache_dir() / "sweep" / f"{self._built.engine}-{digest}"
        if not (place / "path").exists():
            place.mkdir(parents=True, exist_ok=True)
            with Player(self._built, cpus(1)) as builder:
                path = builder.ask("build", options=choice.build, into=str(place))["path"]
            (place / "path").write_text(path)
        return Path(place / "path").read_text()
