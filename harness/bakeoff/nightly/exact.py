"""What needs no session: the size of what is deployed, and what the answers to the held-out data are worth."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bakeoff.decide.drift.answers import ARTIFACT_SIZE, QUALITY, Figure, Status
from bakeoff.decide.quality import allowed_loss, evaluate
from bakeoff.measure.engine_room import Engine, Order
from bakeoff.nightly.session import BASELINE, NOW, START_LIMIT_S, Sides, blamed
from bakeoff.store.record import Quality
from bakeoff.workloads.prepared import Array, Prepared

SCORE_LIMIT_S = 900.0


def size(baseline: int, now: int, gate: float | None) -> Figure:
    """Bytes on disk, which need no interval."""
    if baseline <= 0:
        reason = "the pin says that there were no bytes"
        return Figure(ARTIFACT_SIZE, "inconclusive", gate=gate, now=now, unit="bytes", reason=reason)
    change = now / baseline - 1.0
    worse, better = gate is not None and change > gate, gate is not None and change < -gate
    status: Status = "regression" if worse else "improved" if better else "ok"
    return Figure(
        ARTIFACT_SIZE, status, change, change, change, 0.0, gate=gate, baseline=baseline, now=now, unit="bytes"
    )


def same_quality(values: Mapping[str, float], decides: bool) -> list[Figure]:
    """The same bytes on the same engine give the same answers: each metric as it was."""
    gate = 0.0 if decides else None
    return [
        Figure(f"{QUALITY}:{metric}", "ok", 0.0, 0.0, 0.0, 0.0, gate=gate, baseline=value, now=value,
               reason="the same bytes on the same engine")
        for metric, value in values.items()
    ]  # fmt: skip


def quality(sides: Sides, most_items: int | None, limit_s: float = SCORE_LIMIT_S) -> list[Figure]:
    """Both sides' answers to the same held-out data, paired: one of the scenario's metrics has regressed where it lost
    more than its floor allows, and its interval of 95 % holds losses alone. Either side has `limit_s` to score.

    Raises SideFailed.
    """
    metrics, decides = tuple(sides.scenario.quality), sides.scenario.gate.quality
    if not metrics or sides.baseline is None:
        return []
    before, after = (Prepared.read(order.prepared) for order in (sides.baseline, sides.now))
    if not _alike(before, after):
        return [unknown(metric, "the held-out data are not those of the baseline", decides) for metric in metrics]
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        answers = [
            _answers(side, order, Path(folder) / f"{side}.npy", most_items, limit_s)
            for side, order in ((BASELINE, sides.baseline), (NOW, sides.now))
        ]
        holdout = replace(after.holdout(), reference=answers[0])
        return [
            judged(each, allowed_loss(sides.scenario.quality[each.metric], each.base), decides)
            for each in evaluate(holdout, answers[1], metrics)
        ]


def judged(found: Quality, allowed: float, decides: bool) -> Figure:
    """A metric now beside the baseline's answers to the same examples; `allowed` is the largest loss that is none.

    What could not be computed is inconclusive.
    """
    sign = -1.0 if found.higher_is_better else 1.0
    loss, (low, high) = sign * found.delta, sorted((sign * found.low, sign * found.high))
    status: Status = "ok"
    if not all(math.isfinite(value) for value in (found.value, found.base, loss, low, high)):
        return unknown(found.metric, "its answers to the held-out data are no numbers", decides)
    if low > 0.0 and loss > allowed:
        status = "regression"
    elif high > allowed:
        status = "inconclusive"
    elif high < 0.0 and -loss > allowed:
        status = "improved"
    return Figure(f"{QUALITY}:{found.metric}", status, loss, low, high, (high - low) / 2.0,
                  gate=allowed if decides else None, baseline=found.base, now=found.value)  # fmt: skip


def unknown(metric: str, reason: str, decides: bool) -> Figure:
    """A metric that could not be compared: where quality decides, nothing passes by it."""
    return Figure(f"{QUALITY}:{metric}", "inconclusive", gate=0.0 if decides else None, reason=reason)


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
