"""What decides in the nightly check (`bakeoff check`), and by how much it may get worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from bakeoff.scenario.fields import Fraction, Part

_REPORTED = "Default: reported, and decides nothing."
_OFF = "null: it is reported, and decides nothing."


def _some_left(value: float) -> float:
    if value >= 1.0:
        raise ValueError("must be below 100%, for no replica takes less than nothing")
    return value


class Gate(Part):
    """Metric -> from which change on for the worse, beside the pinned baseline, it is a regression.

    Service time, artifact size and quality decide unless they are switched off; all else where it is named.
    """

    service_time: Fraction | None = Field(
        default=0.02,
        description=f"Time of a request by itself, as in 2%. {_OFF}",
        json_schema_extra={"default": "2%"},
    )
    artifact_size: Fraction | None = Field(
        default=0.02, description=f"Bytes of what is deployed, as in 2%. {_OFF}", json_schema_extra={"default": "2%"}
    )
    quality: bool = Field(
        default=True,
        strict=True,
        description="Whether a loss in any metric of the scenario's quality decides, by its interval.",
    )
    p99: Fraction | None = Field(
        default=None,
        description=f"The 99th percentile of latency at the scenario's qps. {_REPORTED}",
        examples=["10%"],
    )
    capacity: Annotated[Fraction, AfterValidator(_some_left)] | None = Field(
        default=None,
        description=f"Requests per second that a replica can take, below 100%. {_REPORTED}",
        examples=["10%"],
    )
    memory: Fraction | None = Field(
        default=None, description=f"Resident memory once warm. {_REPORTED}", examples=["10%"]
    )
    load_time: Fraction | None = Field(
        default=None, description=f"Time from the artifact on disk to a loaded engine. {_REPORTED}", examples=["20%"]
    )

    @property
    def thresholds(self) -> Mapping[str, float]:
        """By metric, of those that decide by how much they changed: the fraction of the baseline's from which on."""
        named = ("service_time", "artifact_size", "p99", "capacity", "memory", "load_time")
        return {name: value for name in named if (value := getattr(self, name)) is not None}
