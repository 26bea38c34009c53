"""How late answers may be."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from bakeoff.scenario import units
from bakeoff.scenario.fields import ConvertedMilliseconds, Fraction, Part, Reading, fault

PERCENTILE_PATTERN = r"^p[5-9][0-9](\.[0-9])?$"
_PERCENTILE = re.compile(PERCENTILE_PATTERN)


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
