"""The load that a replica must carry, and how late its answers may be."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from bakeoff.scenario import units
from bakeoff.scenario.fields import ConvertedMilliseconds, Fraction, Part, Reading, Seconds, as_tuple, fault, written

SHORTEST_BLOCK_S, LONGEST_BLOCK_S = 0.1, 600.0
USUAL_SAMPLES = 8
PERCENTILE_PATTERN = r"^p[5-9][0-9](\.[0-9])?$"
_PERCENTILE = re.compile(PERCENTILE_PATTERN)
_MOST_ITEMS = 100_000

Kind = Literal["server", "single_stream", "multi_stream", "offline"]


class Share(NamedTuple):
    """One size of request: how many items are scored, and the share of the requests (of 1) that have this size."""

    items: Annotated[int, Field(gt=0, le=_MOST_ITEMS)]
    weight: Annotated[float, Field(gt=0, le=1e9)]


def one_size(items: int) -> Share:
    """The share of requests that all score this many items; raises ValueError where that is not a batch size."""
    if not 0 < items <= _MOST_ITEMS:
        raise ValueError(f"must be from 1 to {_MOST_ITEMS} items, as in 256")
    return Share(items, 1.0)


def shares(value: Any) -> Any:
    """What was written, `256` or a list of {items, weight}, for validation; raises ValueError for any other shape."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (one_size(value),)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return tuple(value)
    raise ValueError("must be a number of items, as in 256, or a list, as in [{items: 100, weight: 2}, …]")


def _normalised(value: tuple[Share, ...], info: ValidationInfo) -> tuple[Share, ...]:
    if Reading.of(info).restored:
        return value
    total = sum(share.weight for share in value)
    return tuple(Share(share.items, share.weight / total) for share in value)


BATCH_SIZE_SCHEMA: JsonSchemaValue = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": _MOST_ITEMS},
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["items", "weight"],
                "properties": {
                    "items": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": _MOST_ITEMS,
                        "description": "Items scored in one request of this size.",
                    },
                    "weight": {
                        "type": "number",
                        "exclusiveMinimum": 0,
                        "description": "How often this size occurs, relative to the other weights.",
                    },
                },
            },
        },
    ],
    "examples": [256],
}


BatchSize = Annotated[
    tuple[Share, ...],
    BeforeValidator(as_tuple),
    written(shares),
    AfterValidator(_normalised),
    WithJsonSchema(BATCH_SIZE_SCHEMA),
]


class Traffic(Part):
    """The load on one replica, in MLPerf's kinds."""

    kind: Kind = Field(
        description="server: requests arrive at random (Poisson), whether or not earlier ones are answered;"
        " single_stream: one request at a time; multi_stream: samples_per_query requests as one call;"
        " offline: all at once, as fast as it goes.",
        examples=["server"],
    )
    qps: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="Requests per second that one replica is driven at. Required for server traffic, and for it alone.",
        examples=[200],
    )
    fleet_qps: float | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="Requests per second of the whole shop at its peak: gives replicas and, with a price, yearly cost.",
        examples=[12000],
    )
    batch_size: BatchSize = Field(
        default=(Share(1, 1.0),),
        description="Items scored per request: a number, or a weighted list of sizes, as in"
        " [{items: 100, weight: 2}, {items: 200, weight: 12}].",
        json_schema_extra={"default": 1},
    )
    duration_s: Seconds = Field(
        default=4.0,
        alias="duration",
        description="Length of one measured block, from 100ms to 10m. A run holds many blocks.",
        json_schema_extra={"default": "4s"},
    )
    samples_per_query: int = Field(
        default=USUAL_SAMPLES, gt=0, le=10_000, description="Requests that one multi_stream call holds."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Traffic:
        if self.kind == "server" and self.qps is None:
            raise fault("missing; server traffic needs the requests per second of one replica, as in qps: 200", "qps")
        if self.kind != "server" and self.qps is not None:
            raise fault(f"goes with kind: server; {self.kind} traffic runs as fast as the engine answers", "qps")
        if self.kind == "offline" and self.fleet_qps is not None:
            raise fault("goes with live traffic; offline work has no requests per second", "fleet_qps")
        if self.kind != "multi_stream" and self.samples_per_query != USUAL_SAMPLES:
            raise fault("goes with kind: multi_stream", "samples_per_query")
        if not SHORTEST_BLOCK_S <= self.duration_s <= LONGEST_BLOCK_S:
            raise fault("must be from 100ms to 10m, as in 4s", "duration")
        if len({share.items for share in self.batch_size}) < len(self.batch_size):
            raise fault("must name each number of items once", "batch_size")
        return self

    @property
    def mean_items(self) -> float:
        """Items scored per request, on average."""
        return sum(items * weight for items, weight in self.batch_size)


class Sla(Part):
    """How late answers may be: a percentile of latency, from the scheduled arrival to the answer, and its limit."""

    percentile: float = Field(default=99.0, description="The percentile of latency that is limited, such as 99.0.")
    limit_ms: ConvertedMilliseconds = Field(description="The limit of that percentile, in milliseconds.")
    error_rate: Fraction = Field(
        default=0.001,
        description="Largest share of requests that may fail or go unanswered.",
        examples=["0.1%"],
        json_schema_extra={"default": "0.1%"},
    )

    @model_validator(mode="before")
    @classmethod
    def _from_percentile_key(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or Reading.of(info).restored:
            return data
        percentiles = [key for key in data if _PERCENTILE.fullmatch(str(key))]
        for key in data.keys() - {*percentiles, "error_rate"}:
            raise PydanticCustomError("unknown_key", "{key}", {"key": (str(key),)})
        if not percentiles:
            raise fault("must name a percentile (p50 to p99.9) and its limit, as in {p99: 20ms}")
        if len(percentiles) > 1:
            raise fault(f"must limit one percentile, not {' and '.join(percentiles)}")
        rest = {key: value for key, value in data.items() if key == "error_rate"}
        try:
            limit_ms = units.milliseconds(data[percentiles[0]])
        except ValueError as error:
            raise fault(str(error), percentiles[0]) from None
        return rest | {"percentile": float(percentiles[0][1:]), "limit_ms": limit_ms}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        limit = schema["properties"].pop("limit_ms")
        del limit["title"]
        limit["description"] = "The limit of this percentile of latency, as in p99: 20ms. Exactly one percentile."
        del schema["properties"]["percentile"], schema["required"]
        return schema | {
            "patternProperties": {PERCENTILE_PATTERN: limit},
            "minProperties": 1,
            "examples": [{"p99": "20ms", "error_rate": "0.1%"}],
        }
