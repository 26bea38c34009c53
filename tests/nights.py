"""Nights as the check gives them: a benchmark of every status, figures of every kind, and hostile names."""

from datetime import UTC, datetime, timedelta

from bakeoff.decide.drift.answers import (
    ARTIFACT_SIZE,
    CAPACITY,
    MEMORY,
    P99,
    SERVICE_TIME,
    Answer,
    Figure,
    Night,
    Session,
)

STARTED = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)


def service(status, change, low, high, mde=0.026, sessions=3):
    now = None if change is None else 0.008 * (1 + change)
    return Figure(SERVICE_TIME, status, change, low, high, mde, sessions, 0.02, 0.008, now, "s")


def answer(candidate, status, *figures, **more):
    return Answer("ctr-ranking", candidate, status, figures, **more)


REPORTED = (
    Figure(P99, "ok", 0.031, -0.02, 0.08, 0.11, 3, None, 0.0191, 0.0197, "s"),
    Figure(CAPACITY, "ok", 0.052, 0.01, 0.09, 0.07, 3, None, 612.0, 580.2, "requests/s"),
    Figure(MEMORY, "ok", None, None, None, None, 0, None, None, None, "bytes"),
)
REGRESSED = answer(
    "onnxruntime/fp32/1x1",
    "regression",
    service("regression", 0.052, 0.041, 0.063, sessions=12),
    Figure("quality:auc", "ok", 0.0001, -0.0002, 0.0004, None, 1, 0.001, 0.6812, 0.6811),
    Figure(ARTIFACT_SIZE, "regression", 0.25, 0.25, 0.25, 0.0, 0, 0.02, 37_400_000, 46_750_000, "bytes"),
    *REPORTED,
    culprit="onnxruntime 1.30.0 -> 1.31.1",
    sessions=(Session("screen", 1, {SERVICE_TIME: 0.05}, {SERVICE_TIME: 0.008}, {SERVICE_TIME: 0.0084}, STARTED),),
    seconds=81.25,
)
INCONCLUSIVE = answer("torch/fp32/1x1", "inconclusive", service("inconclusive", 0.01, -0.2, 0.3, 0.24), stored=True)
MISSING = answer("tvm/fp32/1x1", "missing", reason="tvm is not installed here any more")
IMPROVED = answer("openvino/int8/1x1", "improved", service("improved", -0.08, -0.09, -0.07, sessions=12), *REPORTED)
OK = answer("openvino/fp32/1x1", "ok", service("ok", 0.001, -0.01, 0.012), seconds=20.0)
UNKNOWN = answer("mnn/fp32/1x1", "inconclusive", service("inconclusive", None, None, None, None, 0))
NIGHT = Night(
    night="20261129-0200-ab3f",
    started_at=STARTED,
    finished_at=STARTED + timedelta(minutes=24),
    status="finished",
    command="bakeoff check --budget 30m",
    pins={"ctr-ranking": "0a1b2c3d"},
    packages={"onnxruntime": "1.31.1"},
    host={"cpu": "a CPU", "cores": 2},
    plan=("6 benchmarks, 3 sessions each: 21 minutes at most",),
    answers=(OK, INCONCLUSIVE, IMPROVED, REGRESSED, MISSING, UNKNOWN),
)
"""The worst of all, out of order."""
