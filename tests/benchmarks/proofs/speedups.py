"""What compression gains in speed: closed-loop service times of variants, interleaved with the base's, per engine."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from bakeoff.measure.engine_room import Engine
from proofs import shop
from proofs.proof import Proof

REBUILT = ("prune-neurons:0.5", "lowrank:8", "distill:0.5")
DENSE = "prune:0.5"
ENGINES = ("onnxruntime", "openvino", "torch")
ITEMS = 256
ROUNDS = 8
BLOCK_S = 0.5
NO_GAIN = 0.03
"""A ratio whose interval lies within so much of 1 is none."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A variant's service time over the base's on one engine: the median of the rounds, and its 95 % interval."""

    ratio: float
    low: float
    high: float


def speedups(rounds: int = ROUNDS) -> Proof:
    """Every variant that is rebuilt smaller gains on an engine at least, and the zeros in a dense tensor on none."""
    found = {engine: gains(engine, rounds) for engine in ENGINES}
    best = {
        each: min(((found[engine][each], engine) for engine in ENGINES), key=lambda pair: pair[0].high)
        for each in REBUILT
    }
    dense = {engine: found[engine][DENSE] for engine in ENGINES}
    gained = all(gain.high < 1 for gain, _ in best.values())
    none = all(gain.high > 1 - NO_GAIN for gain in dense.values())
    told = [f"{name} x{1 / gain.ratio:.2f} on {engine}" for name, (gain, engine) in best.items()]
    told += [f"{DENSE} x{1 / gain.ratio:.2f} on {engine}" for engine, gain in dense.items()]
    return Proof(
        f"closed-loop service time of ctr-dlrm at {ITEMS} items: base over variant ({rounds} interleaved rounds)",
        f"structured pruning, low rank and a distilled student above 1 on an engine at least; {DENSE} on none",
        "; ".join(told),
        gained and none,
        {
            f"{engine} {name} {end}": getattr(gain, end)
            for engine, every in found.items()
            for name, gain in every.items()
            for end in ("ratio", "low", "high")
        },
    )


def gains(engine: str, rounds: int) -> dict[str, Gain]:
    """Each variant's service time over the base's; every round is of fresh processes, its blocks in random order."""
    base = f"{engine}/fp32/1x1"
    names = [base, *(f"{base}/{variant}" for variant in (*REBUILT, DENSE))]
    asked = shop.question(names, ITEMS, variants={each: each for each in (*REBUILT, DENSE)})
    ratios: dict[str, list[float]] = {name: [] for name in names[1:]}
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as folder:
        for number in range(rounds):
            engines = {name: Engine.start(shop.order(asked, name, Path(folder)), 120.0) for name in names}
            try:
                service_ms = _round(engines, number)
            finally:
                for each in engines.values():
                    each.close()
            for name in names[1:]:
                ratios[name].append(service_ms[name] / service_ms[base])
    return {name.removeprefix(f"{base}/"): _gain(every) for name, every in ratios.items()}


def _round(engines: dict[str, Engine], number: int) -> dict[str, float]:
    """The median service time of each over two blocks, the second pass in the reverse order of the first."""
    order = list(engines)
    random.Random(number).shuffle(order)
    seen: dict[str, list[float]] = {name: [] for name in engines}
    for name in [*order, *reversed(order)]:
        seen[name] += engines[name].closed(BLOCK_S, seed=number).service_ms().tolist()
    return {name: statistics.median(every) for name, every in seen.items()}


def _gain(ratios: Sequence[float]) -> Gain:
    logs = np.log(ratios)
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * logs.std(ddof=1) / np.sqrt(len(logs))
    low, middle, high = np.exp([logs.mean() - half, np.median(logs), logs.mean() + half]).tolist()
    return Gain(middle, low, high)
