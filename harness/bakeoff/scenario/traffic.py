"""The load that a replica must carry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainValidator,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from bakeoff.scenario.fields import Fraction, Part, Seconds, fault
from bakeoff.scenario.sizes import BatchSize, Share
from bakeoff.scenario.trace import Trace, TraceField

SHORTEST_BLOCK_S, LONGEST_BLOCK_S = 0.1, 600.0
FEWEST_REQUESTS = 40
"""A block of fewer says nothing of capacity: at a low rate it lasts longer."""
FEWEST_BURSTS = 5
"""A block of fewer is milder than the traffic: it begins with no queue, and long bursts are cut short."""
USUAL_SAMPLES = 8
HIGHEST_QPS = 1_000_000
MAX = "max"

Kind = Literal["server", "constant", "burst", "trace", "single_stream", "multi_stream", "offline"]
OPEN_LOOP: tuple[Kind, ...] = ("server", "constant", "burst", "trace")
"""The kinds whose requests come whether or not earlier ones are answered."""
OWN_RATE: Kind = "trace"
"""The one open-loop kind that has a rate without being told."""


def _rate_or_max(value: Any) -> float | str | None:
    if value is None or value == MAX:
        return None if value is None else MAX
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, as in qps: 200, or max, which asks how much a replica can take")
    if not abs(value) <= HIGHEST_QPS:
        finite = value == value and abs(value) != float("inf")
        raise ValueError(f"must be {f'at most {HIGHEST_QPS}' if finite else 'a finite number'}, as in qps: 200")
    if value <= 0:
        raise ValueError("must be greater than 0, as in qps: 200")
    return float(value)


RateOrMax = Annotated[
    float | Literal["max"] | None,
    PlainValidator(_rate_or_max),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_QPS}, {"const": MAX}, {"type": "null"}]}
    ),
]


class Burst(Part):
    """Traffic that comes in bursts: two rates, switched at random (an on/off Markov-modulated Poisson process)."""

    peak: float = Field(
        default=3.0, gt=1, le=1000, description="The rate during a burst over the mean rate.", examples=[3]
    )
    share: Fraction = Field(
        default=0.2,
        description="The share of the time that bursts take; peak times share is at most 1.",
        json_schema_extra={"default": "20%"},
    )
    length_s: Seconds = Field(
        default=0.5,
        alias="length",
        description="The mean length of a burst, as in 500ms.",
        json_schema_extra={"default": "500ms"},
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Burst:
        if not 0 < self.share < 1:
            raise fault("must be above 0% and below 100%, as in 20%", "share")
        if self.peak * self.share > 1 + 1e-9:
            most, percent = 1 / self.share, 100 * self.share
            raise fault(f"must be at most {most:.4g} where bursts take {percent:.4g} % of the time", "peak")
        return self


class Traffic(Part):
    """The load on one replica: MLPerf's kinds, and evenly spaced, bursty and recorded arrivals."""

    kind: Kind = Field(
        description="server: requests arrive at random (Poisson), whether or not earlier ones are answered;"
        " constant: evenly spaced; burst: at random, in bursts; trace: as they were recorded;"
        " single_stream: one request at a time; multi_stream: samples_per_query requests as one call;"
        " offline: all at once, as fast as it goes.",
        examples=["server"],
    )
    qps: RateOrMax = Field(
        default=None,
        description="Requests per second that one replica is driven at, or max: how much can it take? Required for"
        " server, constant and burst traffic; a trace that is given one is rescaled to it.",
        examples=[200],
    )
    fleet_qps: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="Requests per second of the whole shop at its peak: gives replicas and, with a price, yearly cost.",
        examples=[12000],
    )
    burst: Burst | None = Field(
        default=None,
        validate_default=True,
        description="What bursts are like, for kind: burst.",
        examples=[{"peak": 3, "share": "20%", "length": "500ms"}],
    )
    trace: TraceField = Field(
        default=None,
        description="For kind: trace, a .csv or .parquet file (relative to this file) of recorded requests: a column"
        " arrival (seconds, or ISO 8601 timestamps) and perhaps items (scored by each, in place of batch_size).",
    )
    batch_size: BatchSize = Field(
        default=None,
        validate_default=True,
        description="Items scored per request: a number, or a weighted list of sizes, as in"
        " [{items: 100, weight: 2}, {items: 200, weight: 12}].",
        json_schema_extra={"default": 1},
    )
    duration_s: Seconds = Field(
        default=4.0,
        alias="duration",
        description="Length of one measured block, from 100ms to 10m; a screening one lasts 1s at least.",
        json_schema_extra={"default": "4s"},
    )
    samples_per_query: int = Field(
        default=USUAL_SAMPLES, gt=0, le=10_000, description="Requests that one multi_stream call holds."
    )

    @field_validator("burst", mode="wrap")
    @classmethod
    def _usual_burst(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Burst | None:
        if value is None:
            return Burst() if info.data.get("kind") == "burst" else None
        burst: Burst = handler(value)
        return burst

    @field_validator("batch_size", mode="wrap")
    @classmethod
    def _usual_size(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> tuple[Share, ...]:
        if value is None:
            trace: Trace | None = info.data.get("trace")
            return (trace and trace.sizes) or (Share(1, 1.0),)
        sizes: tuple[Share, ...] = handler(value)
        return sizes

    @model_validator(mode="after")
    def _fits_together(self) -> Traffic:
        self._rate_fits()
        self._arrivals_fit()
        if self.kind == "offline" and self.fleet_qps is not None:
            raise fault("goes with live traffic; offline work has no requests per second", "fleet_qps")
        if self.kind != "multi_stream" and self.samples_per_query != USUAL_SAMPLES:
            raise fault("goes with kind: multi_stream", "samples_per_query")
        if not SHORTEST_BLOCK_S <= self.duration_s <= LONGEST_BLOCK_S:
            raise fault("must be from 100ms to 10m, as in 4s", "duration")
        if len({share.items for share in self.batch_size}) < len(self.batch_size):
            raise fault("must name each number of items once", "batch_size")
        return self

    def _rate_fits(self) -> None:
        if self.qps is not None and not self.open_loop:
            kinds = f"{', '.join(OPEN_LOOP[:-1])} or {OPEN_LOOP[-1]}"
            raise fault(f"goes with kind: {kinds}; {self.kind} traffic runs as fast as the engine answers", "qps")
        if self.qps is None and self.open_loop and self.kind != OWN_RATE:
            message = (
                f"missing; {self.kind} traffic needs the requests per second of one replica, as in qps: 200, or max"
            )
            raise fault(message, "qps")
        own = self.trace.qps if self.trace and self.qps is None else None
        if own is not None and not FEWEST_REQUESTS / LONGEST_BLOCK_S <= own <= HIGHEST_QPS:
            seen = f"missing, and the trace's own rate is {own:.3g} per second (is its arrival in seconds?)"
            raise fault(f"{seen}; give one, as in qps: 200", "qps")

    def _arrivals_fit(self) -> None:
        if self.kind == "trace" and self.trace is None:
            raise fault("missing; give the file of recorded requests, as in trace: requests.csv", "trace")
        if self.shortest_s > LONGEST_BLOCK_S:
            every_s = self.shortest_s / FEWEST_BURSTS
            raise fault(f"come every {every_s:.0f} s; a block of at most 10m must hold {FEWEST_BURSTS}", "burst")
        for name in ("burst", "trace"):
            if self.kind != name and getattr(self, name) is not None:
                raise fault(f"goes with kind: {name}", name)
        if self.trace and self.trace.sizes and self.batch_size != self.trace.sizes:
            raise fault("comes from the trace, which has items; leave it out", "batch_size")

    @property
    def shortest_s(self) -> float:
        """Below this a block holds too few bursts to be like the traffic; 0 for traffic without."""
        return 0.0 if self.burst is None else FEWEST_BURSTS * self.burst.length_s / self.burst.share

    @property
    def open_loop(self) -> bool:
        """Whether requests come at their own times, answered or not."""
        return self.kind in OPEN_LOOP

    @property
    def asks_capacity(self) -> bool:
        """Whether the question is how much a replica can take (`qps: max`)."""
        return self.qps == MAX

    @property
    def rate(self) -> float | None:
        """Requests per second that one replica is driven at; None for `max` and for traffic that is not open loop."""
        if self.trace and self.qps is None:
            return self.trace.qps
        return self.qps if isinstance(self.qps, float) else None

    @property
    def mean_items(self) -> float:
        """Items scored per request, on average."""
        return sum(items * weight for items, weight in self.batch_size)
