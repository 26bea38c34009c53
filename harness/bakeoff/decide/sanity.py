"""Speed ratios held against published bands: one outside raises a named suspicion, which is a thing to check, no gate.

Compared are candidates alike in all else (setting, device, variant or engine), by the mean time of a call at one load.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from bakeoff.backends import FP32
from bakeoff.candidates import BASE, Candidate
from bakeoff.decide.court import CLOSE, Court
from bakeoff.decide.evidence import Evidence
from bakeoff.decide.features import EXACT
from bakeoff.decide.judgement import Suspicion
from bakeoff.decide.wording import milliseconds
from bakeoff.scenario.environment import APART
from bakeoff.scenario.recipe import Recipe

OVERHEAD_MS = 1.0
"""A shorter call is bound by what every call costs, whatever it computes: engines differ by more there."""
FEW_ROWS = 16
ENCODERS = frozenset({"feed-sasrec", "product-category", "search-biencoder"})
"""The built-in workloads that are transformers; all others, and models that nobody knows, count as MLPs."""
INT8_THROUGHOUT = frozenset({"int8-dynamic", "int8-static"})
"""The kinds of int8 that compute in it: of others, all or some layers compute in fp32, so no gain is due."""
ZEROING = frozenset({"prune", "prune-sensitive", "prune-2of4", "finetune"})
"""Techniques that put zeros into a model and leave its shape: nothing here skips them."""


@dataclass(frozen=True, slots=True)
class Band:
    """Between what ratios (None: no end) a speed-up was published, for what, and what a ratio outside calls for."""

    name: str
    low: float | None
    high: float
    where: str
    check: str
    source: str


_SAME = "check that both compute the same thing: outputs, inputs, precision and threads"
_BYTES = (
    "check that the layers of both are the same, that int8 ones use the CPU's instructions for it,"
    " and that neither is held back: threads, fused operators"
)
ORT_OVER_TORCH = Band(
    "onnxruntime-over-torch", 0.9, 2.0, "encoders and larger models", _SAME,
    "sentence-transformers, efficiency of ONNX on CPU: 1.39 on short texts; usually 1.1 to 1.5",
)  # fmt: skip
INT8_ENCODER = Band(
    "int8-over-fp32", 1.5, 3.3, "encoders with VNNI or AMX", _BYTES,
    "onnxruntime#6695: BERT 1.59 on Cascade Lake; MiniLM 2.08 on a Xeon 8480+",
)  # fmt: skip
INT8_FEW_ROWS = Band(
    "int8-over-fp32", None, 5.0, f"MLPs of at most {FEW_ROWS} rows with VNNI or AMX", _BYTES,
    "MLPs with AMX: up to 5 at 1 to 16 rows",
)  # fmt: skip
INT8_MANY_ROWS = Band(
    "int8-over-fp32", None, 20.0, "MLPs of many rows with VNNI or AMX", _BYTES, "MLPs with AMX: up to 20 at 270 rows"
)
INT8_AVX2 = Band(
    "int8-over-fp32", 1.0, 1.6, "CPUs without VNNI and AMX", _BYTES,
    "onnxruntime#6695: BERT 1.08 on a Ryzen without VNNI",
)  # fmt: skip
ZEROS = Band(
    "zeros-in-a-dense-engine", 0.85, 1.05, "unstructured pruning", "check that the pruned model has the base's shape",
    "a dense kernel multiplies zeros, too: no gain may be credited",
)  # fmt: skip


def suspicions(court: Court, cpu_flags: Collection[str] = ()) -> tuple[Suspicion, ...]:
    """What lies outside its band, in the order of the candidates. `cpu_flags` are those of the host that measured; of
    an unknown one the widest band holds."""
    found = []
    for name, one in court.evidence.items():
        for band, twin in _bands(one.record.candidate, court, cpu_flags):
            other = court.evidence.get(twin.id)
            if other is not None:
                found += _outside(band, name, one, other)
    return tuple(found)


def _bands(candidate: Candidate, court: Court, cpu_flags: Collection[str]) -> Iterator[tuple[Band, Candidate]]:
    """The bands that a candidate's speed must keep to, each with whom it is over. Calls that a batcher joined differ in
    size, and what a server does cannot be seen: neither is held to any."""
    if candidate.remote or candidate.device != "cpu" or candidate.setting.batching is not None:
        return
    engine, precision = candidate.backend.partition(APART)[0], candidate.precision
    if engine == "onnxruntime" and precision == FP32:
        yield ORT_OVER_TORCH, replace(candidate, backend="torch")
    if precision.startswith("int8"):
        band = _int8(court, cpu_flags)
        yield band if precision in INT8_THROUGHOUT else replace(band, low=None), replace(candidate, precision=FP32)
    if _only_zeros(candidate.variant):
        yield ZEROS, replace(candidate, variant=BASE)


def _int8(court: Court, cpu_flags: Collection[str]) -> Band:
    if cpu_flags and not any(flag in cpu_flags for flag in EXACT):
        return INT8_AVX2
    if court.record.workload.get("name") in ENCODERS:
        return INT8_ENCODER if cpu_flags else replace(INT8_ENCODER, low=INT8_AVX2.low)
    return INT8_FEW_ROWS if court.scenario.traffic.mean_items <= FEW_ROWS else INT8_MANY_ROWS


def _only_zeros(variant: str) -> bool:
    try:
        steps = Recipe.parse(variant).steps
    except ValueError:  # a file's name
        return False
    return bool(steps) and all(step.name in ZEROING for step in steps)


def _outside(band: Band, name: str, one: Evidence, other: Evidence) -> list[Suspicion]:
    """Blocks of other rounds saw another machine: a ratio of theirs must be farther outside."""
    if not one.mean_ms or not other.mean_ms:
        return []
    ratio, together = other.mean_ms / one.mean_ms, one.round_costs.keys() & other.round_costs.keys()
    slack = 1.0 if together else 1.0 + CLOSE
    if (band.low or 0.0) / slack <= ratio <= band.high * slack:
        return []
    sentence = _sentence(band, name, other.record.id, ratio, one.mean_ms, other.mean_ms)
    return [Suspicion(band.name, name, other.record.id, ratio, band.low, band.high, sentence)]


def _sentence(band: Band, name: str, against: str, ratio: float, mine_ms: float, theirs_ms: float) -> str:
    published = f"{band.low:g} to {band.high:g}" if band.low is not None else f"up to {band.high:g}"
    calls = f"{milliseconds(mine_ms)} against {milliseconds(theirs_ms)} ms a call"
    told = f"{name} is {ratio:.3g} times as fast as {against} ({calls})"
    outside = f"outside the published {published} for {band.where} ({band.source})"
    shortest_ms = min(mine_ms, theirs_ms)
    innocent = (
        f" Calls of {milliseconds(shortest_ms)} ms are bound by their overhead, where such ratios are ordinary."
        if shortest_ms < OVERHEAD_MS
        else ""
    )
    return f"Suspicion {band.name}: {told}, {outside}; {band.check}.{innocent}"
