"""The scenario: the question that a run answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from bakeoff.scenario.fields import MODEL_SUFFIXES, Fraction, Part, Variants, Word, WorkloadReference, fault, is_model
from bakeoff.scenario.gate import Gate
from bakeoff.scenario.parts import (
    CandidateFilter,
    Fleet,
    FloorField,
    IncumbentField,
    PriceField,
    RequestsField,
    Resources,
)
from bakeoff.scenario.recipe import BASE, Recipe
from bakeoff.scenario.sla import Sla
from bakeoff.scenario.traffic import Traffic

Objective = Literal["cost", "throughput", "p99", "memory", "energy"]


class Scenario(Part):
    """Which engine, compression and settings should serve this model, for this traffic?"""

    version: Literal[1] = Field(default=1, description="Version of the scenario format.")
    name: Word = Field(default="scenario", description="Name in tables and reports. Default: the file's name.")
    description: str = Field(default="", max_length=2000, description="What the scenario stands for, in a sentence.")
    workload: WorkloadReference = Field(
        default=None,
        description="The model in question: a built-in workload by name, a .onnx or .pt2 file (relative to this file),"
        " or package.module:factory.",
    )
    variants: Variants = Field(
        default={},
        description="What techniques make of the model, as in [prune-neurons:0.5, distill > int8]"
        " (`bakeoff techniques` lists them), or your compressed files by name, as in {base: a.onnx, student: b.onnx};"
        " either one of them is named base, or a workload is given and its model is the base.",
        examples=[["prune-neurons:0.5", "lowrank:16"], {"base": "model.onnx", "student": "student.onnx"}],
    )
    requests: RequestsField = Field(
        default=None, description="Recorded requests for a model of yours: a file, or {file, label, group}."
    )
    include_preparation: bool = Field(
        default=False,
        strict=True,
        description="Whether preparing a request's features (id lookup, hashing, tokenising) is timed with it; for"
        " workloads that have a preparation.",
    )
    traffic: Traffic = Field(description="The load on one replica.", examples=[{"kind": "server", "qps": 200}])
    sla: Sla | None = Field(
        default=None,
        description="The latency limit and the error rate. Required where requests come at their own times.",
        examples=[{"p99": "20ms", "error_rate": "0.1%"}],
    )
    quality: dict[Word, FloorField] = Field(
        default={},
        description="Metric -> the largest loss against the base model at fp32, in the metric's own units, or relative"
        " to the base as in 1%. Where lower is better (logloss, normalized_entropy, top10_changed) a rise is the loss.",
        examples=[{"auc": 0.002, "logloss": 0.002}],
        json_schema_extra={"additionalProperties": False},
    )
    resources: Resources = Field(default=Resources(), description="What one replica may use.", examples=[{"cpus": 2}])
    fleet: Fleet = Field(
        default=Fleet(),
        description="How the shop's replicas are counted, where traffic.fleet_qps is given: as many as carry it with"
        " headroom, and spare ones.",
        examples=[{"headroom": "20%", "spare": 1}],
    )
    price: PriceField = Field(
        default=None, description="What the machine costs. Without it, cost is in core-seconds, or in GPU-seconds."
    )
    incumbent: IncumbentField = Field(
        default=None,
        description="What serves today: a candidate's id, with its p99 in production where that is known, as in"
        " {candidate: torch/fp32/1x1, p99: 35ms}; or production's figures as in"
        " {name: today, p99: 35ms, qps: 120, cpus: 2}.",
    )
    matters: Fraction = Field(
        default=0.02,
        description="The smallest difference in cost (or in what else the objective counts) that is worth a switch.",
        json_schema_extra={"default": "2%"},
    )
    objective: Objective = Field(
        default="cost",
        description="What the best has the least of, among those that pass every gate. cost: of a million items at the"
        " SLA; throughput: time for a million items on a replica, whatever it costs; p99: latency, at the SLA's"
        " percentile; memory: of a replica, at its peak; energy: of a million items, as the machine's counters tell.",
        examples=["cost"],
    )
    exhaustive: bool = Field(
        default=False,
        strict=True,
        description="Whether every candidate plays every round, and none is dropped for being dearer.",
    )
    gate: Gate = Field(
        default=Gate(),
        description="What decides in the nightly check, each from which change on: service time, artifact size and"
        " quality unless they are switched off, the others where they are named; the rest is reported.",
        examples=[{"service_time": "2%", "artifact_size": "5%", "memory": "10%"}],
    )
    candidates: CandidateFilter = Field(
        default=CandidateFilter(),
        description="Which candidates take part. Default: all that apply.",
        examples=[{"backends": ["onnxruntime", "openvino"]}],
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Seed of all that is random: arrivals, order, generated data."
    )

    _source: Path | None = PrivateAttr(default=None)

    @property
    def source(self) -> Path | None:
        """The file that it was read from, if any."""
        return self._source

    @property
    def own_variants(self) -> dict[str, Path]:
        """The person's own compressed files by name."""
        return {
            name: Path(source)
            for name, source in self.variants.items()
            if name != BASE and Path(source).suffix in MODEL_SUFFIXES
        }

    @property
    def recipes(self) -> dict[str, frozenset[str | None]]:
        """The variants to be made by techniques, each by its recipe, and the precisions that it is wanted at; None
        stands for the usual ones."""
        asked: dict[str, set[str | None]] = {}
        for recipe in self._recipes().values():
            asked.setdefault(recipe.name, set()).add(recipe.precision)
        return {name: frozenset(pins) for name, pins in asked.items()}

    def _recipes(self) -> dict[str, Recipe]:
        return {
            name: Recipe.parse(source)
            for name, source in self.variants.items()
            if Path(source).suffix not in MODEL_SUFFIXES
        }

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        if self.workload is None and not self.variants:
            raise fault(
                "missing; name a built-in workload such as ctr-dlrm, a model file or package.module:factory", "workload"
            )
        if self.workload is None and BASE not in self.variants:
            raise fault("must have a base, as in {base: a.onnx, student: b.onnx}, or stand with a workload", "variants")
        if self.workload is not None and BASE in self.variants:
            raise fault(f"has a {BASE}, and the workload is one too; keep one of them", "variants", BASE)
        self._check_recipes()
        if self.requests and self.workload and not is_model(self.workload):
            raise fault(f"goes with a model of yours; {self.workload} brings its own requests", "requests")
        if self.include_preparation and (self.workload is None or Path(self.workload).suffix in MODEL_SUFFIXES):
            raise fault("goes with a workload that prepares its requests; a model file has none", "include_preparation")
        if self.sla is None and self.traffic.open_loop:
            raise fault(f"missing; {self.traffic.kind} traffic needs a latency limit, as in {{p99: 20ms}}", "sla")
        self._check_batching()
        self._check_endpoints()
        self._check_price()
        self._check_gate()
        if self.objective == "p99" and self.traffic.asks_capacity:
            raise fault("p99 goes with one rate for all, as in qps: 400, not with max", "objective")
        return self

    def _check_endpoints(self) -> None:
        """A server serves one of the variants there are."""
        known = {BASE, *self.own_variants, *self.recipes}
        for name, endpoint in self.candidates.endpoints.items():
            if endpoint.variant not in known:
                there = f"no such variant; there are {', '.join(sorted(known))}"
                raise fault(there, "candidates", "endpoints", name, "variant")

    def _check_recipes(self) -> None:
        """A recipe makes another model, and is its own name."""
        for name, recipe in self._recipes().items():
            if not recipe.steps:
                raise fault(f"{recipe.precision} is a precision; name it in candidates.precisions", "variants", name)
            if name != str(recipe):
                listed = f"as in variants: [{recipe}]"
                raise fault(f"must be a model file; a technique has no other name: list it, {listed}", "variants", name)

    def _check_batching(self) -> None:
        """A batcher joins requests that wait, which they do where they arrive by themselves, and two must fit."""
        batching, smallest = self.candidates.batching, min(share.items for share in self.traffic.batch_size)
        if batching and not self.traffic.open_loop:
            raise fault(
                f"goes with requests that arrive at a rate, not with {self.traffic.kind}", "candidates", "batching"
            )
        for number, batcher in enumerate(batching):
            if batcher.items < 2 * smallest:
                few = f"must be at least {2 * smallest}, for two requests of {smallest} items"
                raise fault(few, "candidates", "batching", number, "items")

    def _check_price(self) -> None:
        """What is paid for must be what a replica holds, and what production holds."""
        on_gpu, per, today = self.resources.gpus > 0, self.price.per if self.price else None, self.incumbent
        if per == "gpu-hour" and not on_gpu:
            raise fault("a gpu-hour goes with a GPU, as in resources: {device: cuda}; price cores or the host", "price")
        if per == "core-hour" and on_gpu:
            raise fault("a core-hour leaves the GPU out; price a gpu-hour (with its cores) or a host-hour", "price")
        if today is None or today.candidate is not None:
            return
        if on_gpu and per != "host-hour" and today.gpus is None:
            raise fault("must say how many GPUs a replica of production holds, as in gpus: 1", "incumbent")
        if not on_gpu and today.gpus is not None:
            raise fault("goes with a GPU, as in resources: {device: cuda}", "incumbent", "gpus")

    def _check_gate(self) -> None:
        """What decides at night must be measured then."""
        if self.gate.p99 is not None and self.traffic.rate is None:
            raise fault("goes with traffic at a rate, as in kind: server with qps: 400", "gate", "p99")
        if self.gate.capacity is not None and not self.traffic.open_loop:
            raise fault(f"goes with requests that arrive at a rate, not with {self.traffic.kind}", "gate", "capacity")

    def definition(self) -> dict[str, Any]:
        """All of it as JSON-able values in the program's units (`limit_ms`, not `p99`), for the store."""
        return self.model_dump(mode="json") | {"source": str(self._source) if self._source else None}

    def from_file(self, path: Path) -> Scenario:
        """The same scenario, with `source` set."""
        copy = self.model_copy()
        copy._source = path
        return copy
