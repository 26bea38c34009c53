"""How many items the requests score: a number, or sizes with weights."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from bakeoff.scenario.fields import Reading, as_tuple, written

MOST_ITEMS = 100_000


class Share(NamedTuple):
    """One size of request: how many items are scored, and the share of the requests (of 1) that have this size."""

    items: Annotated[int, Field(gt=0, le=MOST_ITEMS)]
    weight: Annotated[float, Field(gt=0, le=1e9)]


def one_size(items: int) -> Share:
    """The share of requests that all score this many items; raises ValueError where that is not a batch size."""
    if not 0 < items <= MOST_ITEMS:
        raise ValueError(f"must be from 1 to {MOST_ITEMS} items, as in 256")
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
        {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS},
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
                        "maximum": MOST_ITEMS,
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
