"""Simulated nights: benchmarks with a true level each, measured against pins by sessions with heavy-tailed noise."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bakeoff.store.nights import Benchmark, PastNight

BEGIN = datetime(2026, 1, 1, 2, tzinfo=UTC)


def past_night(
    number: int,
    values: Sequence[float] | Mapping[Benchmark, Sequence[float]],
    pins: Mapping[str, str] | None = None,
    packages: Mapping[str, str] | None = None,
    answers: Mapping[Benchmark, Mapping[str, Any]] | None = None,
) -> PastNight:
    """A night by its number; `values` are by benchmark, or the only benchmark's."""
    by_benchmark = values if isinstance(values, Mapping) else {("ctr", "onnxruntime/fp32/1x1"): values}
    return PastNight(
        night=f"n{number}",
        started_at=BEGIN + timedelta(days=number),
        status="finished",
        pins={"ctr": "a"} if pins is None else pins,
        packages=packages or {},
        values=by_benchmark,
        answers=answers or {},
    )


def simulated(
    truth: Sequence[float], series: int, *, every: int = 0, session_sd: float = 0.014, sessions: int = 3, seed: int = 0
) -> list[PastNight]:
    """Nights of `series` benchmarks whose log level is `truth` each night, all pinned anew after `every` nights."""
    rng = np.random.default_rng(seed)
    noise = session_sd * rng.standard_t(4, (len(truth), series, sessions)) / np.sqrt(2.0)
    pinned = [night - night % every if every else 0 for night in range(len(truth))]
    return [
        past_night(
            night,
            {
                (f"s{one}", "c"): list(truth[night] - (truth[pin - 1] if pin else 0.0) + noise[night, one])
                for one in range(series)
            },
            {f"s{one}": str(pin) for one in range(series)},
        )
        for night, pin in enumerate(pinned)
    ]
