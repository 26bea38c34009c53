"""Simulated nights: benchmarks with a true level each, measured against pins by sessions with heavy-tailed noise."""

from datetime import UTC, datetime, timedelta

import numpy as np

from bakeoff.store.nights import PastNight

BEGIN = datetime(2026, 1, 1, 2, tzinfo=UTC)


def past_night(number, values, pins=None, packages=None, answers=None):
    """A night by its number; `values` are by benchmark, or the only benchmark's."""
    values = values if isinstance(values, dict) else {("ctr", "onnxruntime/fp32/1x1"): values}
    return PastNight(
        night=f"n{number}",
        started_at=BEGIN + timedelta(days=number),
        status="finished",
        pins={"ctr": "a"} if pins is None else pins,
        packages=packages or {},
        values=values,
        answers=answers or {},
    )


def simulated(truth, series, *, every=0, session_sd=0.014, sessions=3, seed=0):
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
