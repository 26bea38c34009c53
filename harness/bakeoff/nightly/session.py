"""One session: a fresh process of the baseline beside a fresh one of what is here now, their short blocks in turn.

A block is ten calls of one lane, its figure their 25th percentile; a session's figure is the median over its pairs of
blocks of log(now / baseline). What else the machine does so hits both alike, and a call that was disturbed counts
little (docs/nightly.md: how often such figures alarm by mistake).
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from bakeoff.contest.fleet import START_LIMIT_S
from bakeoff.contest.load import OpenLoop, load_for
from bakeoff.decide import stamps
from bakeoff.decide.capacity import made_up
from bakeoff.decide.drift.answers import CAPACITY, LOAD_TIME, MEMORY, P99, SERVICE_TIME, Session, Stage
from bakeoff.decide.replica import read
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine, Order, StageFailed
from bakeoff.measure.lane import served
from bakeoff.scenario import Scenario
from bakeoff.store.percentile import percentile_or_none, smallest_sample

BLOCKS, CALLS = 24, 10
FEWEST_BLOCKS, FEWEST_CALLS = 8, 3
QUARTILE = 25.0
BLOCKS_S = 6.0
"""What all blocks of one side may take: slow calls get fewer, as few as FEWEST_BLOCKS of FEWEST_CALLS."""
OPEN_S, LONGEST_OPEN_S = 1.0, 1.5
"""The open-loop block of each side, from which p99 and capacity are read, and how long it may be for a p99 that is only
reported. Where p99 decides, it is as long as that takes requests."""
REFERENCE_LOAD = 0.5
"""The share of the slower side's lanes that requests take where the traffic asks for the capacity and names no rate."""
SPARE = 1.5
"""Requests that are due where p99 is read, beside the fewest that it takes."""
BASELINE, NOW = "baseline", "now"
WORSE_WHERE_LESS = frozenset({CAPACITY})


class SideFailed(Exception):  # noqa: N818 - a result, not an error
    """One of the sides did not start, or did not answer a call."""

    def __init__(self, side: str, failed: StageFailed) -> None:
        super().__init__(f"{side}: {failed}")
        self.side = side
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Sides:
    """What starts both sides of a benchmark; without a baseline what is here now is measured alone."""

    scenario: Scenario
    now: Order
    baseline: Order | None

    @property
    def orders(self) -> dict[str, Order]:
        """By side."""
        return {NOW: self.now} | ({BASELINE: self.baseline} if self.baseline else {})


def play(sides: Sides, stage: Stage, number: int) -> Session:
    """Start both sides in fresh processes and measure them in turn, by lots that no other session has: what an order
    does must not come back night after night. Raises SideFailed."""
    dice = random.SystemRandom()
    with contextlib.ExitStack() as opened:
        engines = _started(sides, dice, opened)
        figures = {side: _held(engine) for side, engine in engines.items()}
        pairs = _pairs(engines, dice)
        for side, found in figures.items():
            found[SERVICE_TIME] = float(np.median([pair[side] for pair in pairs]))
        qps = _reference_qps(sides.scenario, engines.values())
        for side in shuffled(engines, dice):
            figures[side] |= _open(sides.scenario, engines[side], side, dice.getrandbits(32), qps)
        for engine in engines.values():
            engine.dismiss()
    before, now = figures.get(BASELINE, {}), figures[NOW]
    return Session(stage, number, changes(before, now) | _by_pairs(pairs), before, now, datetime.now(UTC))


def shuffled(names: Mapping[str, object], dice: random.Random) -> list[str]:
    """Both sides in an order by chance."""
    order = list(names)
    dice.shuffle(order)
    return order


def _started(sides: Sides, dice: random.Random, opened: contextlib.ExitStack) -> dict[str, Engine]:
    """One after the other, so that neither's start disturbs the other's; the first in turn by chance."""
    engines: dict[str, Engine] = {}
    for side in shuffled(sides.orders, dice):
        with blamed(side):
            engines[side] = opened.enter_context(Engine.start(sides.orders[side], START_LIMIT_S))
    return engines


def _held(engine: Engine) -> dict[str, float]:
    return {LOAD_TIME: engine.loaded.load_s, MEMORY: float(engine.loaded.memory_bytes)}


def _pairs(engines: Mapping[str, Engine], dice: random.Random) -> list[dict[str, float]]:
    """Each pair of blocks' quartiles of service time, in seconds, by side."""
    call_s = max(float(engine.loaded.details["service_ns"]) for engine in engines.values()) / stamps.S
    blocks, calls = affordable(call_s)
    pairs = []
    for _ in range(blocks):
        pair, seed = {}, dice.getrandbits(32)
        for side in shuffled(engines, dice):
            with blamed(side):
                block = engines[side].closed(_room_s(calls, call_s), limit=calls, lanes=1, seed=seed)
                pair[side] = float(np.percentile(served(block), QUARTILE, method="lower")) / stamps.S
        pairs.append(pair)
    return pairs


def affordable(call_s: float) -> tuple[int, int]:
    """Blocks, and calls in each, of a side whose calls take about so long."""
    most = BLOCKS_S / call_s
    calls = min(CALLS, max(FEWEST_CALLS, int(most / BLOCKS)))
    return min(BLOCKS, max(FEWEST_BLOCKS, int(most / calls))), calls


def _room_s(calls: int, call_s: float) -> float:
    """A block ends by its calls and not by the clock, unless its engine has become very slow."""
    return 1.0 + 10.0 * calls * call_s


def too_few(scenario: Scenario) -> str:
    """Why no session of the scenario gives a p99, though its requests come at a rate; empty where they do give one."""
    load = _open_loop(scenario)
    if load is None or load.seconds >= _for_p99_s(load):
        return ""
    return (
        f"too few requests come in the {load.seconds:.3g} s of a session's open loop;"
        f" where `gate` names p99, it lasts {_for_p99_s(load):.3g} s"
    )


def _reference_qps(scenario: Scenario, engines: Iterable[Engine]) -> float | None:
    """The rate at which both sides' capacity is read where the traffic names none; None where it does."""
    if not scenario.traffic.asks_capacity:
        return None
    return min(REFERENCE_LOAD * each.lanes * stamps.S / float(each.loaded.details["service_ns"]) for each in engines)


def _open_loop(scenario: Scenario, qps: float | None = None) -> OpenLoop | None:
    """The open-loop block of each side; None where requests come at no rate."""
    load = load_for(scenario, OPEN_S, qps)
    if not isinstance(load, OpenLoop):
        return None
    if qps is not None:
        return load
    needed_s = _for_p99_s(load)
    longer = scenario.gate.p99 is not None or needed_s <= LONGEST_OPEN_S
    return replace(load, seconds=max(load.seconds, needed_s)) if longer else load


def _for_p99_s(load: OpenLoop) -> float:
    return SPARE * smallest_sample(99.0) / load.qps


def _open(scenario: Scenario, engine: Engine, side: str, seed: int, qps: float | None) -> dict[str, float]:
    """p99 in seconds and capacity in requests/s, where the traffic is open-loop and so short a block can carry them; at
    a rate `qps` that the traffic does not name, the capacity alone."""
    load = _open_loop(scenario, qps)
    if load is None:
        return {}
    with blamed(side):
        block = load.play(engine, seed)
    p99_ms = None if qps or too_few(scenario) else percentile_or_none(stamps.latency_ms(block), 99.0)
    found = {} if p99_ms is None or not math.isfinite(p99_ms) else {P99: p99_ms / 1e3}
    capacity = _capacity_qps(scenario, engine, block)
    return found | ({} if capacity is None else {CAPACITY: capacity})


def _capacity_qps(scenario: Scenario, engine: Engine, block: Block) -> float | None:
    if scenario.sla is None or not stamps.answered(block).any():
        return None
    replica = read([block], engine.order.setting, engine.lanes)
    return replica.capacity_qps(scenario.sla, scenario.seed, made_up(scenario.traffic))


def _by_pairs(pairs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The service time's change, block by block; nothing without a baseline."""
    if any(side not in pair for pair in pairs for side in (BASELINE, NOW)):
        return {}
    return {SERVICE_TIME: float(np.median([math.log(pair[NOW] / pair[BASELINE]) for pair in pairs]))}


def changes(baseline: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Log ratios of what both sides have, above 0 where now is worse."""
    both = [name for name, figure in now.items() if figure > 0.0 and baseline.get(name, 0.0) > 0.0]
    signs = {name: -1.0 if name in WORSE_WHERE_LESS else 1.0 for name in both}
    return {name: sign * math.log(now[name] / baseline[name]) for name, sign in signs.items()}


@contextlib.contextmanager
def blamed(side: str) -> Iterator[None]:
    """What fails meanwhile is that side's fault: raises SideFailed."""
    try:
        yield
    except StageFailed as failed:
        raise SideFailed(side, failed) from None
