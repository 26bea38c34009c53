"""Why costs go by closed loops beside the live traffic: how service times scatter from round to round in both."""

from __future__ import annotations

import math
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bakeoff.contest.load import LEGS, SPRINT_S, ClosedLoop
from bakeoff.decide import stamps
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine
from bakeoff.measure.traffic import Pattern, arrivals
from proofs import shop
from proofs.proof import Proof

ENGINES = ("onnxruntime/fp32/1x1", "openvino/fp32/1x1")
ITEMS, LOAD = 256, 0.2
ROUNDS, BLOCKS, BLOCK_S, GRACE_S = 16, 2, 1.0, 0.5
Play = Callable[[Engine, int], Block]


def sprints(rounds: int = ROUNDS) -> Proof:
    """Two engines side by side: the standard deviation of their log ratio over the rounds, by each way to measure."""
    live, whole, legs = scatter(rounds)
    return Proof(
        f"how the ratio of two engines' mean service times scatters over {rounds} rounds of {BLOCKS} blocks each: in"
        f" live traffic at {LOAD:.0%} of the lanes' time ({BLOCK_S:g} s a block), in sprints ({SPRINT_S:g} s) at a"
        f" stretch, and in sprints of {LEGS} legs in turn",
        "legs at most half of live traffic, and no more than at a stretch",
        f"live traffic {live:.1%}, at a stretch {whole:.1%}, in legs {legs:.1%}",
        legs <= min(live / 2, whole),
        {"live": live, "whole": whole, "legs": legs},
    )


def scatter(rounds: int) -> tuple[float, float, float]:
    """Of the log ratio: in live traffic, in sprints at a stretch, and in legs."""
    asked = shop.question(ENGINES, ITEMS)
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as folder, ExitStack() as stack:
        engines = [Engine.start(shop.order(asked, name, Path(folder)), 120.0) for name in ENGINES]
        for engine in engines:
            stack.callback(engine.close)
        busy_s = statistics.fmean(_mean_s([engine.closed(BLOCK_S)]) for engine in engines)

        def live(engine: Engine, seed: int) -> Block:
            qps = LOAD / busy_s
            return engine.open(arrivals(Pattern(), qps, BLOCK_S, seed), GRACE_S, seed, offered_qps=qps)

        whole = ClosedLoop(SPRINT_S)
        ways: Sequence[tuple[Play, int]] = ((live, BLOCKS), (whole.play, BLOCKS), (whole.leg.play, BLOCKS * LEGS))
        ratios = [[_ratio(engines, *way, number) for way in ways] for number in range(rounds)]
    one, other, third = (statistics.stdev(each) for each in zip(*ratios, strict=True))
    return one, other, third


def _ratio(engines: Sequence[Engine], play: Play, blocks_each: int, number: int) -> float:
    """The log ratio of a round, its blocks in random order and in the reverse of it."""
    turns, blocks = list(range(len(engines))), [list[Block](), list[Block]()]
    random.Random(number).shuffle(turns)
    for position in range(blocks_each):
        for which in turns if position % 2 == 0 else reversed(turns):
            blocks[which].append(play(engines[which], number * blocks_each + position))
    one, other = map(_mean_s, blocks)
    return math.log(one / other)


def _mean_s(blocks: Sequence[Block]) -> float:
    return float(stamps.joined([stamps.service_s(block) for block in blocks]).mean())
