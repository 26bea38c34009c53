"""Servers that take part as candidates: named by their address, driven as their clients do, judged like the engines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from bakeoff.scenario.fields import Part, Reading, Seconds, VariantName, Word, as_tuple, fault
from bakeoff.scenario.recipe import BASE

ENDPOINT = "endpoint"
"""The backend that drives servers; a candidate of one is called endpoint@NAME."""
USUAL_CONNECTIONS = 8
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
HEADER_PATTERN = r"^([A-Za-z0-9][A-Za-z0-9_.+-]* )?env:[A-Za-z_][A-Za-z0-9_]*$"
_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SCHEMES = {"v2-grpc": ("grpc", "grpcs")}
_HTTP = ("http", "https")

Protocol = Literal["v2-json", "v2-binary", "v2-grpc", "tf-serving", "template"]


def _address(value: str) -> str:
    if set(value) & set("@?#"):
        secret = "a secret goes into headers, by an environment variable"
        raise fault(f"must have no user, password, query or fragment; {secret}", shown=False)
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https", "grpc", "grpcs") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("must be an address such as https://ranking.shop:8000")
    return value


def _headers(value: Any) -> Any:
    """What is wrong is never shown: it may be a secret."""
    right = "must name an environment variable, as in {Authorization: Bearer env:TOKEN}"
    if not isinstance(value, dict):
        raise fault(right, shown=False)
    for name, held in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise fault(f"holds a name that is no header's; it {right}", shown=False)
        if not isinstance(held, str) or not re.match(HEADER_PATTERN, held):
            raise fault(right, name, shown=False)
    return value


def _ca_file(value: Any, info: ValidationInfo) -> Any:
    if value is None or Reading.of(info).restored:
        return value
    if not isinstance(value, str):
        raise ValueError("must be the path of a PEM file")
    path = (Reading.of(info).folder / Path(value).expanduser()).absolute()
    if not path.is_file():
        raise ValueError(f"no such file (looked for {path})")
    return str(path)


def _connections(value: Any) -> Any:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else as_tuple(value)


Names = dict[Annotated[str, Field(min_length=1, max_length=200)], Annotated[str, Field(min_length=1, max_length=200)]]
_COUNT = {"type": "integer", "minimum": 1, "maximum": 256}


class Template(Part):
    """How a REST server of its own kind is asked, and where its reply holds the outputs."""

    body: dict[str, Any] | list[Any] = Field(
        description="The JSON that is posted. $NAME stands for an input, as nested lists; {$each: ...} for a list with"
        " what follows once for each item, in which $NAME is that item's.",
        examples=[{"dense": "$dense", "ids": "$ids"}],
    )
    answer: Annotated[Names, Field(min_length=1)] = Field(
        description="Where the reply holds each output: keys and places joined by dots, * for every one of a list.",
        examples=[{"score": "result.scores"}],
    )
    ready: str | None = Field(
        default=None,
        pattern="^/",
        max_length=500,
        description="A path that answers 200 once the server is ready. Default: not asked.",
        examples=["/health"],
    )


class Endpoint(Part):
    """A server that is running already, as a candidate."""

    url: Annotated[str, AfterValidator(_address)] = Field(
        description="Where it is: http:// or https:// (grpc:// or grpcs:// for v2-grpc), host, port, and what stands"
        " before the protocol's own path; for a template the whole address.",
        examples=["https://ranking.shop:8000"],
    )
    protocol: Protocol = Field(
        default="v2-json",
        description="Open Inference Protocol v2 as HTTP with JSON, HTTP with binary tensors or gRPC; TensorFlow"
        " Serving's REST (KServe's v1 too); or template: JSON of your own.",
    )
    model: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$",
        max_length=200,
        description="The model's name on the server. Required but for a template.",
        examples=["ranker"],
    )
    model_version: str | None = Field(
        default=None,
        alias="version",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=100,
        description="The model's version on the server, as text. Default: the server's own choice.",
        examples=["3"],
    )
    headers: Annotated[
        dict[str, str],
        BeforeValidator(_headers),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": "string", "pattern": HEADER_PATTERN}}),
    ] = Field(
        default={},
        description="Headers of every request (gRPC: metadata). A value names an environment variable, perhaps after a"
        " word, and is nowhere stored.",
        examples=[{"Authorization": "Bearer env:TOKEN"}],
    )
    ca_file: Annotated[str | None, BeforeValidator(_ca_file)] = Field(
        default=None,
        description="A PEM file (relative to this file) with the authorities to trust. Default: the system's.",
        examples=["ca.pem"],
    )
    timeout_s: Seconds = Field(
        default=10.0,
        alias="timeout",
        description="How long one request may take before it counts as failed.",
        json_schema_extra={"default": "10s"},
    )
    connections: Annotated[
        tuple[Annotated[int, Field(ge=1, le=256)], ...],
        Field(min_length=1, max_length=8),
        BeforeValidator(_connections),
        WithJsonSchema({"anyOf": [_COUNT, {"type": "array", "items": _COUNT, "minItems": 1, "maxItems": 8}]}),
    ] = Field(
        default=(USUAL_CONNECTIONS,),
        description="Connections in flight, each with one request at a time; of a list, each is a setting to try.",
        examples=[[4, 16]],
        json_schema_extra={"default": USUAL_CONNECTIONS},
    )
    precision: Word = Field(
        default="fp32",
        description="The precision that it serves, which cannot be seen: all but fp32 counts as lossy.",
        examples=["int8"],
    )
    variant: VariantName = Field(
        default=BASE, description="The variant of the workload that it serves, by its name among the variants."
    )
    cpus: int | None = Field(
        default=None,
        gt=0,
        le=4096,
        examples=[2],
        description="Cores that the server holds, for its cost. Default: not known, so that it has none and cannot win"
        " (but at a price per host-hour).",
    )
    inputs: Names = Field(
        default={}, description="The server's names of the model's inputs, where they differ.", examples=[{"x": "X__0"}]
    )
    outputs: Names = Field(
        default={},
        description="The server's names of the model's outputs, where they differ.",
        examples=[{"y": "Y__0"}],
    )
    template: Template | None = Field(
        default=None,
        description="For protocol: template, what is sent and where the answer is.",
        examples=[{"body": {"dense": "$dense"}, "answer": {"score": "scores"}}],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Endpoint:
        schemes, of_template = _SCHEMES.get(self.protocol, _HTTP), self.protocol == "template"
        if urlsplit(self.url).scheme not in schemes:
            raise fault(f"must begin with {schemes[0]}:// or {schemes[1]}:// for protocol: {self.protocol}", "url")
        if of_template != (self.template is not None):
            raise fault("goes with protocol: template, and that with a template", "template")
        if of_template == (self.model is not None):
            raise fault("goes with every protocol but template, whose url is the whole address", "model")
        if self.model_version is not None and self.model is None:
            raise fault("goes with a model", "version")
        if of_template and (self.inputs or self.outputs):
            raise fault("goes with a model; a template names inputs and outputs itself", "inputs")
        if self.ca_file is not None and not urlsplit(self.url).scheme.endswith("s"):
            raise fault(f"goes with {schemes[1]}://", "ca_file")
        if len(set(self.connections)) < len(self.connections):
            raise fault("must name each number once", "connections")
        return self

    def options(self) -> dict[str, Any]:
        """What the backend has to know, as JSON-able values."""
        return self.model_dump(mode="json", exclude={"cpus", "variant"})


def check_endpoint_name(name: str) -> str:
    """The name as it is; raises ValueError unless it can stand in a candidate's id."""
    if not re.match(NAME_PATTERN, name):
        raise ValueError(f"{name}: must be a name of yours of letters, digits, dots, dashes and _, as in triton")
    return name
