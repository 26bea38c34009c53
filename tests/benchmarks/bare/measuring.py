"""The measurements behind the tables of engines: each gives the row of one engine on one workload."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from bakeoff.backends import FP32
from bakeoff.measure.engine_room import StageFailed
from bare import ground, loop
from bare.figures import CALLERS_RATIO, LARGEST_ERROR, NEIGHBOURS_RATIO, Beside, Pairs, Ratio
from bare.player import Player

BLOCK_S, CALLERS_S, SETTLED_S = 0.04, 0.5, 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of an engine's row, and whether its bar was cleared."""

    cells: tuple[str, ...]
    held: bool


def error(engine: str, workload: str, repeats: int) -> Row:
    """The largest relative error against fp32 torch; StageFailed tells what it stumbles over."""
    built = ground.built(engine, workload, ground.preset(engine))
    with Player(built, cpus(1)) as player:
        found = player.ask("error")
    return Row((built.version, f"{found['error']:.1e}", f"{found['requests']}"), found["error"] <= LARGEST_ERROR)


def bare(engine: str, workload: str, repeats: int) -> Row:
    """The plugin's p50 and the bare loop's, in one process over one artifact, block by block in turn."""
    built = ground.built(engine, workload, ground.preset(engine))
    with Player(built, cpus(1)) as player:
        player.load("plugin")
        player.load("bare", {})
        found = [Beside(alternate(player, ("plugin", "bare"), items, repeats)) for items in ground.ITEMS]
    return Row(tuple(map(str, found)), all(each.held for each in found))


def precisions(engine: str, workload: str, repeats: int) -> Row:
    """The plugin's p50 at fp32 over that at each lower precision, each in a process of its own, block by block in turn;
    the bar is that one of them is sooner at some size."""
    names, setting = (FP32, *ground.lossy(engine)), ground.preset(engine)
    with ExitStack() as stack:
        players = {
            name: stack.enter_context(Player(ground.built(engine, workload, setting, precision=name), cpus(1)))
            for name in names
        }
        for player in players.values():
            player.load("plugin")
        errors = [f"{name} {player.ask('error')['median']:.1e}" for name, player in players.items()]
        found = [beside_fp32(players, items, repeats) for items in ground.ITEMS]
    cells = [", ".join(f"{name} {ratio}" for name, ratio in each.items()) for each in found]
    return Row((", ".join(errors), *cells), pays(found))


def pays(found: Sequence[Mapping[str, Ratio]]) -> bool:
    """Whether one of the precisions is sooner at one of the sizes, by the whole interval."""
    return any(ratio.low > 1 for each in found for ratio in each.values())


def beside_fp32(players: Mapping[str, Player], items: int, repeats: int) -> Mapping[str, Ratio]:
    """fp32's p50 over that of each of the others, which take turns in being the first."""
    names, p50_us = list(players), {name: list[float]() for name in players}
    for number in range(repeats):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            p50_us[name].append(players[name].p50_us("plugin", items, BLOCK_S))
    return {name: Ratio.of(list(zip(p50_us[FP32], p50_us[name], strict=True))) for name in names if name != FP32}


def alternate(player: Player, names: tuple[str, str], items: int, repeats: int) -> Pairs:
    """Repeats of the p50 of both, each first in every other repeat."""
    pairs = []
    for number in range(repeats):
        order = names if number % 2 else names[::-1]
        p50_us = {name: player.p50_us(name, items, BLOCK_S) for name in order}
        pairs.append((p50_us[names[0]], p50_us[names[1]]))
    return pairs


def callers(engine: str, workload: str, repeats: int) -> Row:
    """Two callers' throughput over one caller's: as the plugin declares, and in two threads of one process."""
    built = ground.built(engine, workload, ground.parallel(engine))
    with Player(built, cpus(2)) as shared:
        shared.load("plugin")
        threads = [_together(shared, items, repeats) for items in ground.ITEMS]
    apart = threads if built.instances != "processes" else _processes(built, repeats)
    held = apart[-1].value >= CALLERS_RATIO
    words = "both cores" if threads[-1].value >= CALLERS_RATIO else "one core's worth"
    cells = (built.instances, *(f"{each}" for each in apart), *(f"{each}" for each in threads), words)
    return Row(cells, held)


def _together(player: Player, items: int, repeats: int) -> Ratio:
    def rate(threads: int) -> float:
        found: float = player.ask("callers", name="plugin", items=items, seconds=CALLERS_S, threads=threads)["rate"]
        return found

    return Ratio.of([(rate(2), rate(1)) for _ in range(repeats)])


def _processes(built: ground.Built, repeats: int) -> list[Ratio]:
    """Two processes with a core each, beside one of them alone."""
    one, two = cpus(2)
    with Player(built, (one,)) as first, Player(built, (two,)) as second:
        for player in (first, second):
            player.load("plugin")
        found = []
        for items in ground.ITEMS:
            order = {"name": "plugin", "items": items, "seconds": CALLERS_S, "threads": 1}
            pairs = []
            for number in range(repeats):
                for player in (first, second):
                    player.tell("callers", **order)
                together = first.heard()["rate"] + second.heard()["rate"]
                pairs.append((together, (first, second)[number % 2].ask("callers", **order)["rate"]))
            found.append(Ratio.of(pairs))
        return found


def neighbours(engine: str, workload: str, repeats: int) -> Row:
    """The plugin's p50 with all other engines loaded on its core and idle, over that with them stopped."""
    built = ground.built(engine, workload, ground.preset(engine))
    with ExitStack() as stack:
        player = stack.enter_context(Player(built, cpus(1)))
        player.load("plugin")
        others = [stack.enter_context(other) for other in _others(engine, workload)]
        for other in others:
            other.load("plugin")
            other.p50_us("plugin", ground.ITEMS[-1], BLOCK_S)
        found = [_with_and_without(player, others, items, repeats) for items in ground.ITEMS]
    return Row((f"{len(others)}", *map(str, found)), all(each.value <= NEIGHBOURS_RATIO for each in found))


def _others(engine: str, workload: str) -> Iterator[Player]:
    """A process for each other engine that is here and takes the model."""
    for other in loop.MODULES:
        if other != engine:
            with suppress(StageFailed):
                yield Player(ground.built(other, workload, ground.preset(other)), cpus(1))


def _with_and_without(player: Player, others: Sequence[Player], items: int, repeats: int) -> Ratio:
    pairs = []
    for number in range(repeats):
        p50_us = {}
        for idle in (True, False) if number % 2 else (False, True):
            for other in others:
                (other.go_on if idle else other.pause)()
            time.sleep(SETTLED_S)
            p50_us[idle] = player.p50_us("plugin", items, BLOCK_S)
        pairs.append((p50_us[True], p50_us[False]))
    return Ratio.of(pairs)


def cpus(count: int) -> tuple[int, ...]:
    """The last so many of the CPUs that this process may use."""
    allowed: Sequence[int] = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise SystemExit(f"this table takes {count} CPUs, and this process may use {len(allowed)}")
    return tuple(allowed[-count:])
