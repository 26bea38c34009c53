"""The pin: what the nightly check takes for the baseline of a scenario (its file: see `pin_files`).

It names no machine, no user and no absolute path. The bytes that it names lie in the cache (see `objects`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bakeoff.backends import LOSSLESS, Option, Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.drift.answers import MEASURED
from bakeoff.errors import UserError
from bakeoff.measure import gpu, host
from bakeoff.nightly import project
from bakeoff.nightly.lock import Lock
from bakeoff.nightly.portable import located, portable
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario.device import CPU, check_device
from bakeoff.scenario.fields import Part, fault
from bakeoff.scenario.wording import one_line

FORMAT: Literal["bakeoff-pin"] = "bakeoff-pin"
VERSION: Literal[1] = 1

Sum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_LATER = frozenset({"model", "pool_bytes"})
"""What a part has that older pins do not: where it is absent, it is no part of a digest, which so stays as it was."""
_TARGET = re.compile(r"[\w.]+:[\w.]+(\?.*)?", re.DOTALL)


def _measured(metric: str) -> str:
    if metric not in MEASURED:
        raise ValueError(f"must be one of {', '.join(MEASURED)}")
    return metric


Metric = Annotated[str, AfterValidator(_measured)]


class PinnedBatching(Part):
    """A batcher in front of the engine."""

    most_items: int = Field(gt=0)
    wait_ms: float = Field(ge=0)


class PinnedSetting(Part):
    """The engine's knobs."""

    name: str = Field(min_length=1)
    threads: int = Field(gt=0)
    instances: int = Field(gt=0)
    options: dict[str, Option] = Field(default={})
    batching: PinnedBatching | None = None
    on_request: bool = False

    def setting(self) -> Setting:
        """As engines take it."""
        return Setting.of(self.model_dump())


class PinnedArtifact(Part):
    """What was deployed: the digest of its kept bytes, and how many they are."""

    digest: Sum
    bytes: int = Field(gt=0)


class PinnedCandidate(Part):
    """One benchmark: a candidate as it was when it was pinned.

    `instances` is how the backend uses more than one core, `place` what the prepared workload calls the variant.
    `model` is the digest of the model files there, which older pins do not have.
    `quality` holds each metric's value. `stored` holds figures of whole sessions on the pin's host by metric (for
    service_time, 25th percentiles in seconds), one a session, for where the baseline cannot be run.
    """

    id: str
    backend: str = Field(min_length=1)
    target: str
    variant: str
    place: str
    precision: str
    setting: PinnedSetting
    device: str
    instances: str = Field(pattern="^(threads|streams|processes)$")
    version: str
    artifact: PinnedArtifact
    quality: dict[str, float] = Field(default={})
    stored: dict[Metric, tuple[Annotated[float, Field(gt=0)], ...]] = Field(default={})
    lock: Lock
    model: Sum | None = None

    @property
    def candidate(self) -> Candidate:
        """What was pinned."""
        return Candidate(self.backend, self.precision, self.setting.setting(), self.variant, self.device)

    @property
    def stands_in(self) -> dict[str, float]:
        """The median of the stored sessions by metric, in the metric's own unit."""
        return {metric: statistics.median(values) for metric, values in self.stored.items() if values}

    @property
    def lossless(self) -> bool:
        """Whether its precision is one that keeps the answers."""
        return self.precision in LOSSLESS

    def has_knobs(self, setting: Setting) -> bool:
        """Whether a setting is the pinned one in all that an engine is told."""
        return replace(setting, on_request=self.setting.on_request) == self.setting.setting()

    @model_validator(mode="after")
    def _is_one(self) -> PinnedCandidate:
        check_device(self.device)
        if self.candidate.id != self.id:
            raise fault(f"is none; its parts make {self.candidate.id}", "id")
        if not _TARGET.fullmatch(self.target):
            raise fault("must be a plugin, as in package.module:Class", "target")
        if Path(self.place).is_absolute() or ".." in Path(self.place).parts:
            raise fault("must be a place in the prepared workload, as in base", "place")
        return self


class PinnedWorkload(Part):
    """The prepared workload: its key, the digest of the base model's bytes, and that of all that was kept of it.

    `pool_bytes` is the least size of its requests, which the pin's host decided; older pins do not have it.
    """

    key: str = Field(min_length=1)
    model: Sum
    kept: Sum
    pool_bytes: int | None = Field(default=None, gt=0)


class Ground(Part):
    """What decides whether stored figures may be compared with a host's."""

    cpu: str
    cpu_flags: str
    cores: int = Field(gt=0)
    gpus: tuple[str, ...] = ()

    @classmethod
    def here(cls) -> Ground:
        """This host's."""
        flags, cards = " ".join(host.cpu_flags()), tuple(sorted(card["name"] for card in gpu.gpus()))
        return cls(cpu=host.cpu_model(), cpu_flags=flags, cores=os.cpu_count() or 1, gpus=cards)

    def builds_as(self, other: Ground, device: str) -> bool:
        """Whether what an engine builds on one for a device is made for the other, too."""
        return self.cpu_flags == other.cpu_flags and (device == CPU or self.gpus == other.gpus)

    def unlike(self, other: Ground) -> str:
        """What is not the same, such as "cores: 2, now 4"; empty where figures may be compared."""
        mine, its = self.model_dump(), other.model_dump()
        return "; ".join(f"{name}: {mine[name]}, now {its[name]}" for name in mine if mine[name] != its[name])


class Earlier(Part):
    """A pin that this one, or another after it, took the place of."""

    pinned_at: datetime
    reason: str
    digest: str


class Pin(Part):
    """The baseline of a scenario."""

    format: Literal["bakeoff-pin"] = FORMAT
    version: Literal[1] = VERSION
    scenario: dict[str, Any]
    workload: PinnedWorkload
    candidates: Annotated[tuple[PinnedCandidate, ...], Field(min_length=1)]
    host: Ground
    pinned_at: datetime
    bakeoff: str
    reason: Annotated[str, Field(min_length=1)]
    earlier: tuple[Earlier, ...] = ()

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.scenario.get("name", ""))

    @property
    def digest(self) -> str:
        """Of all that the baseline is. The stored figures are no part of it: they may come later."""
        parts = {"workload": _held(self.workload), "candidates": [_held(each) for each in self.candidates]}
        values = self.model_dump(mode="json") | parts
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def digest_of(self, candidate: PinnedCandidate) -> str:
        """Of what the baseline of one candidate is, whenever and for whatever reason it was pinned."""
        values = [_held(self.workload), _held(candidate)]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def asked(self, root: Path | None = None) -> Scenario:
        """The scenario as it was asked, its paths in the project at `root`; raises UserError where it is none."""
        return restore(located(self.scenario, root or project.root()), f"{self.name}: scenario")

    def candidate(self, name: str) -> PinnedCandidate | None:
        """The pinned candidate of that id."""
        return next((each for each in self.candidates if each.id == name), None)

    @model_validator(mode="after")
    def _each_once(self) -> Pin:
        names = [each.id for each in self.candidates]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise fault("occurs twice; keep one", "candidates", number, "id")
        return self


def _held(part: PinnedWorkload | PinnedCandidate) -> dict[str, Any]:
    """What a digest is of: all but stored figures, and what an older pin does not have."""
    values = part.model_dump(mode="json", exclude={"stored"})
    return {name: value for name, value in values.items() if value is not None or name not in _LATER}


def new(
    scenario: Scenario,
    workload: PinnedWorkload,
    candidates: Sequence[PinnedCandidate],
    reason: str,
    former: Pin | None = None,
    root: Path | None = None,
) -> Pin:
    """A pin of now, which takes the place of the `former`; raises UserError for an empty reason."""
    earlier = former.earlier if former else ()
    if former:
        earlier = (*earlier, Earlier(pinned_at=former.pinned_at, reason=former.reason, digest=former.digest))
    return Pin(
        scenario=portable(scenario.definition(), root or project.root()),
        workload=workload,
        candidates=tuple(sorted(candidates, key=lambda each: each.id)),
        host=Ground.here(),
        pinned_at=datetime.now(UTC).replace(microsecond=0),
        bakeoff=host.versions().get("bakeoff", "unknown"),
        reason=require_reason(reason),
        earlier=earlier,
    )


def require_reason(reason: str) -> str:
    """The reason on one line; raises UserError where it says nothing."""
    said = one_line(reason).strip()
    if not said:
        raise UserError("--reason: is empty; say why the baseline moves, as in --reason 'onnxruntime 1.31'")
    return said
