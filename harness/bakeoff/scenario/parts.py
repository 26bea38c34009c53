"""What a candidate may use and lose, what it costs, what it competes with, and which candidates there are."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from bakeoff.scenario import units
from bakeoff.scenario.device import CPU, DEVICE_PATTERN, check_device, gpus_of
from bakeoff.scenario.endpoint import ENDPOINT, Endpoint, check_endpoint_name
from bakeoff.scenario.environment import APART, Environment, check_name
from bakeoff.scenario.fields import (
    Bytes,
    Fraction,
    Milliseconds,
    Part,
    RequestFile,
    Wait,
    Words,
    as_tuple,
    fault,
    written,
)

CANDIDATE_PATTERN = r"^[a-z0-9][a-z0-9_.@A-Z-]*(/[A-Za-z0-9][A-Za-z0-9_.@:+=-]*){2,4}$"
_LARGEST_LOSS = 1e9
_CANDIDATE = re.compile(CANDIDATE_PATTERN)


class Requests(Part):
    """Recorded requests to replay, in place of generated ones. A file's name alone will do."""

    file: RequestFile = Field(description="A .parquet or .npz file with a column (an array) per input of the model.")
    label: str | None = Field(
        default=None, min_length=1, max_length=200, description="The column that says what was right, for the quality."
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The column whose equal values make one request (a user's session, a query).",
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        file = {"type": "string", "pattern": r"\.(parquet|npz)$", "description": "The file alone."}
        return {"anyOf": [file, handler(core)], "examples": ["requests.parquet"]}


class Floor(Part):
    """How much of a metric a candidate may lose against the base model at fp32."""

    amount: float = Field(
        ge=0, description="The largest loss: in the metric's own units, or a share of the base's value."
    )
    relative: bool = Field(
        default=False, description="Whether the amount is a share (0.01 for 1%) of the base's value."
    )


class Price(Part):
    """What the machine costs."""

    amount: float = Field(gt=0, description="Money per hour.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="The currency's three letters.")
    per: Literal["core-hour", "gpu-hour", "host-hour"] = Field(
        description="What an hour of is paid for: one core, one GPU with the cores that go with it, or the whole host."
    )


class Resources(Part):
    """What one replica may use."""

    device: Annotated[
        str, AfterValidator(check_device), WithJsonSchema({"type": "string", "pattern": DEVICE_PATTERN})
    ] = Field(
        default=CPU,
        examples=["cuda"],
        description="Where the model runs: cpu, cuda (the first GPU), cuda:1 (another, as nvidia-smi counts them), or"
        " cuda:0+1 for a replica on two.",
    )
    cpus: int | None = Field(
        default=None,
        gt=0,
        le=4096,
        examples=[2],
        description="Cores of one replica. Default: all that this process may use but one, which the load generator"
        " gets; the only one where there is no other.",
    )
    memory_bytes: Bytes | None = Field(
        default=None,
        alias="memory",
        description="Memory of one replica, as in 2GiB; a candidate that needs more is dropped. Default: no limit.",
    )
    gpu_memory_bytes: Bytes | None = Field(
        default=None,
        alias="gpu_memory",
        description="GPU memory of one replica on all its GPUs, as in 8GiB; a candidate that holds more once it is warm"
        " is dropped. Default: no limit.",
    )

    @property
    def gpus(self) -> int:
        """How many GPUs one replica holds."""
        return len(gpus_of(self.device))

    @model_validator(mode="after")
    def _gpu_memory_needs_a_gpu(self) -> Resources:
        if self.gpu_memory_bytes is not None and not self.gpus:
            raise fault("goes with a GPU, as in device: cuda; a replica on the cpu holds none", "gpu_memory")
        return self


class Fleet(Part):
    """How the shop's replicas are counted: room above its peak, and replicas that may fail."""

    headroom: Fraction = Field(
        default=0.2,
        description="Room above fleet_qps at its peak, for a day that is busier than thought, as in 20%.",
        json_schema_extra={"default": "20%"},
    )
    spare: int = Field(
        default=1, ge=0, le=10_000, description="Replicas beyond those that carry the peak: so many may fail at once."
    )


class Incumbent(Part):
    """What serves today: a candidate of this run, or figures from production. The verdict says STAY or SWITCH.

    With a candidate goes its p99 in production, which is held beside what is measured of it.
    """

    candidate: str | None = Field(
        default=None,
        pattern=CANDIDATE_PATTERN,
        description="A candidate's id: backend/precision/setting, then /variant and /device where not the usual ones.",
        examples=["torch/fp32/1x1"],
    )
    name: str | None = Field(
        default=None, min_length=1, max_length=200, description="What production runs, in the shop's own words."
    )
    qps: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="Requests per second that one replica of production can carry within the SLA.",
    )
    cpus: int | None = Field(
        default=None, gt=0, le=4096, examples=[2], description="Cores of one replica of production."
    )
    gpus: int | None = Field(
        default=None, gt=0, le=64, examples=[1], description="GPUs of one replica of production, where it holds any."
    )
    p99_ms: Milliseconds | None = Field(
        default=None,
        alias="p99",
        description="Production's 99th percentile of latency at that load, as in 35ms; it may stand with a candidate.",
    )
    memory_bytes: Bytes | None = Field(
        default=None, alias="memory", description="Memory of one replica of production, as in 2GiB."
    )

    @model_validator(mode="after")
    def _candidate_or_figures(self) -> Incumbent:
        figures = [self.name, self.qps, self.cpus, self.gpus, self.memory_bytes]
        if self.candidate is not None and any(figure is not None for figure in figures):
            raise fault("must be a candidate or production's figures, not both; with a candidate goes p99 alone")
        if self.candidate is None and None in (self.name, self.qps, self.cpus):
            raise fault("must be a candidate such as torch/fp32/1x1, or figures with name, qps and cpus")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        candidate = {"type": "string", "pattern": CANDIDATE_PATTERN, "description": "A candidate's id."}
        return {"anyOf": [candidate, handler(core)], "examples": ["torch/fp32/1x1"]}


class Batcher(Part):
    """A dynamic batcher to try in front of every engine: waiting requests are joined into one call."""

    items: int = Field(gt=1, le=100_000, description="The most items that one joined call scores.", examples=[512])
    wait_ms: Wait = Field(
        alias="wait",
        description="How long a call waits for more requests after its first, from 0ms (no wait) to 10s.",
    )


class CandidateFilter(Part):
    """Which candidates take part; what is left out means all that apply, but for those on request."""

    backends: Words | None = Field(default=None, description="Backends by name.", examples=[["onnxruntime", "torch"]])
    precisions: Words | None = Field(default=None, description="Precisions by name.", examples=[["fp32", "bf16"]])
    settings: Words | None = Field(default=None, description="Settings by name.", examples=[["1x2", "2x1"]])
    batching: Annotated[tuple[Batcher, ...], Field(max_length=8), BeforeValidator(as_tuple)] = Field(
        default=(),
        description="Dynamic batchers to try beside serving each request alone: every setting is tried behind each of"
        " them too, as the candidate backend/precision/1x1+b512-2ms.",
        examples=[[{"items": 512, "wait": "2ms"}]],
        json_schema_extra={"default": []},
    )

    environments: Annotated[dict[Annotated[str, AfterValidator(check_name)], Environment], Field(max_length=16)] = (
        Field(
            default={},
            description="Environments in which a backend is tried too, by the name that its candidates get:"
            " backend@name. Each is a python (an interpreter's path) or requirements.",
            examples=[{"onnxruntime@1.30": {"requirements": ["onnxruntime==1.30.0"]}}],
        )
    )

    endpoints: Annotated[dict[Annotated[str, AfterValidator(check_endpoint_name)], Endpoint], Field(max_length=16)] = (
        Field(
            default={},
            description="Servers that are running already, by the name that their candidates get: endpoint@NAME. They"
            " take part whatever backends, precisions and settings name; backends: [endpoint] leaves all others out.",
            examples=[{"triton": {"url": "http://localhost:8000", "protocol": "v2-binary", "model": "ranker"}}],
        )
    )

    @property
    def servers(self) -> dict[str, Endpoint]:
        """The endpoints by the name of the backend in their candidates' ids, endpoint@NAME."""
        return {f"{ENDPOINT}{APART}{name}": each for name, each in self.endpoints.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> CandidateFilter:
        if len(set(self.batching)) < len(self.batching):
            raise fault("must name each batcher once", "batching")
        for name in self.environments:
            if name.partition(APART)[0] == ENDPOINT:
                raise fault("is a server's name; it goes into candidates.endpoints", "environments", name)
        return self


def _file_alone(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


def _candidate_alone(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str) or not _CANDIDATE.match(value):
        raise ValueError("must be a candidate's id, as in torch/fp32/1x1, or production's figures")
    return {"candidate": value}


def _price(value: Any) -> Price:
    amount, currency, per = units.price(value)
    return Price.model_validate({"amount": amount, "currency": currency, "per": per})


def _floor(value: Any) -> Floor:
    if isinstance(value, str):
        return Floor(amount=units.fraction(value), relative=True)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST_LOSS:
        raise ValueError(
            "must be the largest loss, from 0 to a billion, in the metric's units (0.002) or relative (1%)"
        )
    return Floor(amount=float(value))


RequestsField = Annotated[Requests | None, written(_file_alone)]
IncumbentField = Annotated[Incumbent | None, written(_candidate_alone)]
PriceField = Annotated[
    Price | None,
    written(_price),
    WithJsonSchema({"type": "string", "pattern": units.PRICE_PATTERN, "examples": ["0.0416 USD/core-hour"]}),
]
FloorField = Annotated[
    Floor,
    written(_floor),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": _LARGEST_LOSS},
                {"type": "string", "pattern": units.PERCENT_PATTERN},
            ],
            "examples": [0.002],
        }
    ),
]
