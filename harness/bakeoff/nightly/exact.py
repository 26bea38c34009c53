"""What needs no session: the size of what is deployed, and what the answers to the held-out data are worth."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bakeoff.contest import artifacts
from bakeoff.contest.fleet import START_LIMIT_S
from bakeoff.decide.drift import qualities
from bakeoff.decide.drift.answers import ARTIFACT_SIZE, P99, QUALITY, Figure, Status
from bakeoff.decide.quality import allowed_loss, evaluate
from bakeoff.measure.engine_room import Engine, Order
from bakeoff.nightly.session import BASELINE, NOW, Sides, blamed, too_few
from bakeoff.scenario import Scenario
from bakeoff.workloads.prepared import Array, Prepared


def size(baseline: int | None, now: int, gate: float | None) -> Figure:
    """Bytes on disk, which need no interval; without a baseline where the pinned ones are for another processor."""
    if baseline is None:
        reason = "it was pinned on another kind of processor, for which engines may build otherwise"
        return Figure(ARTIFACT_SIZE, "inconclusive", gate=gate, now=now, unit="bytes", reason=reason)
    change = now / baseline - 1.0
    worse, better = gate is not None and change > gate, gate is not None and change < -gate
    status: Status = "regression" if worse else "improved" if better else "ok"
    return Figure(
        ARTIFACT_SIZE, status, change, change, change, 0.0, gate=gate, baseline=baseline, now=now, unit="bytes"
    )


def without_p99(scenario: Scenario) -> list[Figure]:
    """p99 where no session gives it, with the reason."""
    reason = too_few(scenario)
    return [Figure(P99, "inconclusive", unit="s", reason=reason)] if reason else []


def same_quality(values: Mapping[str, float], decides: bool) -> list[Figure]:
    """The same bytes on the same engine give the same answers: each metric as it was."""
    gate = 0.0 if decides else None
    return [
        Figure(f"{QUALITY}:{metric}", "ok", 0.0, 0.0, 0.0, 0.0, gate=gate, baseline=value, now=value,
               reason="the same bytes on the same engine")
        for metric, value in values.items()
    ]  # fmt: skip


def quality(sides: Sides, most_items: int | None, among: int, limit_s: float = artifacts.SCORE_LIMIT_S) -> list[Figure]:
    """Both sides' answers to the same held-out data, paired: the scenario's metrics, each `among` so many of the night.
    Either side has `limit_s` to score.

    Raises SideFailed.
    """
    metrics, decides = tuple(sides.scenario.quality), sides.scenario.gate.quality
    if not metrics or sides.baseline is None:
        return []
    before, after = (Prepared.read(order.prepared) for order in (sides.baseline, sides.now))
    if not _alike(before, after):
        gate, reason = 0.0 if decides else None, "the held-out data are not those of the baseline"
        return [qualities.unknown(metric, reason, gate) for metric in metrics]
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        answers = [
            _answers(side, order, Path(folder) / f"{side}.npy", most_items, limit_s)
            for side, order in ((BASELINE, sides.baseline), (NOW, sides.now))
        ]
        holdout = replace(after.holdout(), reference=answers[0])
        return [
            qualities.judged(each, allowed_loss(sides.scenario.quality[each.metric], each.base), among, decides)
            for each in evaluate(holdout, answers[1], metrics)
        ]


def _answers(side: str, order: Order, into: Path, most_items: int | None, limit_s: float) -> Array:
    with blamed(side), Engine.start(order, START_LIMIT_S) as engine:
        engine.score(into, limit_s, most_items)
    answers: Array = np.load(into)
    return answers


def _alike(before: Prepared, after: Prepared) -> bool:
    """Whether both hold the same held-out examples."""
    one, other = before.holdout(), after.holdout()
    if one.reference.shape != other.reference.shape or before.judged != after.judged:
        return False
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("labels", "groups", "queries", "relevant")]
    return all((a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in pairs)
