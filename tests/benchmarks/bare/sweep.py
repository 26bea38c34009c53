"""A full sweep of an engine's documented knobs, and how far its preset is from the best found."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
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


@dataclass(frozen=True, slots=True)
class Choice:
    """One value for each knob; `name` tells those that are not the preset's."""

    name: str
    session: Mapping[str, Option]
    process: Mapping[str, str]
    build: Mapping[str, Option]


def choices(knobs: loop.Knobs) -> list[Choice]:
    """Every combination, the preset first."""
    offered: dict[str, tuple[Any, ...]] = {**knobs.session, **knobs.process, **knobs.build}
    found = []
    for values in product(*offered.values()):
        chosen = dict(zip(offered, values, strict=True))
        changed = [f"{name}={value}" for name, value in chosen.items() if value != offered[name][0]]
        parts = [{name: chosen[name] for name in part} for part in (knobs.session, knobs.process, knobs.build)]
        found.append(Choice(", ".join(changed) or "preset", *parts))
    return found


def knobs(engine: str, workload: str, repeats: int) -> Row:
    """At each size of request: the preset's p50 over the best setting's, and which that is.

    Every setting has a look beside the preset; the best few meet again, and what then is best is held against the
    preset once more, in blocks that had no part in choosing it. For these both are loaded anew several times: where an
    engine's memory happens to lie alone makes one load of a setting some percent faster than another.
    """
    built = ground.built(engine, workload, ground.preset(engine))
    every = choices(loop.module(engine).KNOBS)
    with ExitStack() as stack:
        field = _Field(built, every, stack)
        looked = {items: list(field.looks(items)) for items in ground.ITEMS}
        tried = {name for looks in looked.values() for _, name in looks}
        found = [field.final(items, [name for _, name in sorted(looks)], repeats) for items, looks in looked.items()]
    cells = [f"{ratio}: {name}{'' if ratio.value <= KNOB_RATIO else ' **missed**'}" for ratio, name in found]
    counted = f"{len(tried) + 1}" + (f" ({len(every) - 1 - len(tried)} refused)" if len(tried) + 1 < len(every) else "")
    return Row((counted, *cells), all(ratio.value <= KNOB_RATIO for ratio, _ in found))


class _Field:
    """Processes by their environment, with the preset loaded in the first; the others' settings come and go."""

    def __init__(self, built: ground.Built, every: Sequence[Choice], stack: ExitStack) -> None:
        self._built, self._preset, self._stack = built, every[0], stack
        self._others = {choice.name: choice for choice in every[1:]}
        self._players: dict[str, Player] = {}
        self._load_preset()

    def looks(self, items: int) -> Iterator[tuple[float, str]]:
        """Each setting's p50 over the preset's, and its name; what is refused is left out."""
        for name, choice in list(self._others.items()):
            try:
                with self._loaded(choice):
                    ratios = [one / other for one, other in self._beside(choice, items, LOOKS)]
                yield statistics.median(ratios), name
            except Failed:
                del self._others[name]

    def final(self, items: int, best_first: Sequence[str], repeats: int) -> tuple[Ratio, str]:
        """The preset over the best of the finalists, and that one's name."""
        finalists = [self._others[name] for name in best_first[:FINALISTS] if name in self._others]
        again: list[tuple[float, Choice]] = []
        for choice in finalists:
            with self._loaded(choice):
                pairs = self._beside(choice, items, max(repeats // 2, 1))
            again.append((statistics.median(one / other for one, other in pairs), choice))
        below = [each for each in again if each[0] < 1]
        if not below:
            return Ratio(1.0, 1.0, 1.0), "the preset"
        best = min(below, key=lambda each: each[0])[1]
        final: list[tuple[float, float]] = []
        for _ in range(LOADS):
            self._load_preset()
            with self._loaded(best):
                final += self._beside(best, items, max(repeats // LOADS, 1))
        return Ratio.of([(other, one) for one, other in final]), best.name

    def _load_preset(self) -> None:
        """In place of the one that is loaded."""
        self._player(self._preset).load("preset", self._preset.session)

    def _beside(self, choice: Choice, items: int, repeats: int) -> Sequence[tuple[float, float]]:
        mine, presets = self._player(choice), self._player(self._preset)
        if mine is presets:
            return alternate(mine, (choice.name, "preset"), items, repeats)
        return [
            (mine.p50_us(choice.name, items, BLOCK_S), presets.p50_us("preset", items, BLOCK_S)) for _ in range(repeats)
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
        if choice.build == self._preset.build:
            return ""
        digest = hashlib.sha256(f"{self._built.artifact.path} {choice.build}".encode()).hexdigest()[:16]
        place = cache_dir() / "sweep" / f"{self._built.engine}-{digest}"
        if not (place / "path").exists():
            place.mkdir(parents=True, exist_ok=True)
            with Player(self._built, cpus(1)) as builder:
                path = builder.ask("build", options=choice.build, into=str(place))["path"]
            (place / "path").write_text(path)
        return Path(place / "path").read_text()
