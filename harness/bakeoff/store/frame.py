"""A run as tidy tables: one row per block, one row per ledger entry. Figures are derived here, never stored.

Columns of `frame` (a figure that a row cannot have is missing, never 0):

run, scenario            which run and scenario
candidate                the id, and its parts: backend, variant, precision, setting, threads, instances, device
stage, outcome, reason   the last ledger entry of the candidate
round, position          the block's place; round 0 is the screening block, -1 those that bracket the
                         capacity; missing where there is no block. Closed loops beside live traffic are sprints, at
                         positions from 64 on in rounds
kind, offered_qps        "open" or "closed" loop; requests per second asked (open loop)
requests, answered       counts
seconds                  length of the block
mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, p999_ms
                         latency from the scheduled arrival to the answer, ms; a percentile is missing where the block
                         is too small for it or it falls on an unanswered request; the mean is over the answered
sent_p99_ms              the same from the moment of sending, ms
service_mean_ms, service_p50_ms
                         time on a lane without the queue, ms
lateness_p99_ms          how late the generator sent, ms
cpu_ms_per_request       CPU time of the worker per answered request, ms; missing for a server elsewhere
items_per_s              items of answered requests per second
preparation_share        the share of the service time that preparing features took, where a scenario includes that
transfer_share           the share in which values went between the devices of a model that is split over several
fact_*                   what else was recorded with the block, such as fact_peak_memory_bytes
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.measure.block import Block
from bakeoff.store.percentile import Floats, percentile_or_none
from bakeoff.store.record import CandidateRecord, LedgerRow, RunRecord, ScenarioRecord

IDENTITY = (
    "run",
    "scenario",
    "candidate",
    "backend",
    "variant",
    "precision",
    "setting",
    "threads",
    "instances",
    "device",
)
FATE = ("stage", "outcome", "reason")
PLACE = ("round", "position", "kind")
COUNTS = ("requests", "answered")
FIGURES = (
    "offered_qps",
    "seconds",
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "sent_p99_ms",
    "service_mean_ms",
    "service_p50_ms",
    "lateness_p99_ms",
    "cpu_ms_per_request",
    "items_per_s",
    "preparation_share",
    "transfer_share",
)
COLUMNS = (*IDENTITY, *FATE, *PLACE, *COUNTS, *FIGURES)
LEDGER_COLUMNS = ("run", "scenario", "candidate", "stage", "outcome", "reason", "seconds", "command", "at")


def frame(record: RunRecord) -> pd.DataFrame:
    """One row per measured block, and one for each candidate without any."""
    rows = [row for scenario in record.scenarios for row in _scenario_rows(record.run, scenario)]
    facts = sorted({name for row in rows for name in row if name.startswith("fact_")})
    table = pd.DataFrame(rows, columns=[*COLUMNS, *facts])
    whole = dict.fromkeys(("round", "position", *COUNTS, "threads", "instances"), "Int64")
    return table.astype({**whole, **dict.fromkeys(FIGURES, "Float64")})


def ledger_frame(record: RunRecord) -> pd.DataFrame:
    """One row per ledger entry, in order; `candidate` is missing where the entry is about the whole scenario."""
    rows = [row for scenario in record.scenarios for row in _ledger_rows(record.run, scenario)]
    return pd.DataFrame(rows, columns=list(LEDGER_COLUMNS)).astype({"seconds": "Float64"})


def _scenario_rows(run: str, scenario: ScenarioRecord) -> Iterator[dict[str, Any]]:
    for candidate in scenario.candidates:
        who = {"run": run, "scenario": scenario.name, **_identity(candidate)}
        if not candidate.blocks:
            yield who
        for entry in candidate.blocks:
            yield {**who, "round": entry.round, "position": entry.position, **_figures(entry.block, candidate)}


def _identity(record: CandidateRecord) -> dict[str, Any]:
    candidate = record.candidate
    last = record.ledger[-1] if record.ledger else LedgerRow("plan", "not-reached")
    return {
        "candidate": candidate.id,
        "backend": candidate.backend,
        "variant": candidate.variant,
        "precision": candidate.precision,
        "setting": candidate.setting.name,
        "threads": candidate.setting.threads,
        "instances": candidate.setting.instances,
        "device": candidate.device,
        "stage": last.stage,
        "outcome": last.outcome,
        "reason": last.reason,
    }


def _figures(block: Block, candidate: CandidateRecord) -> dict[str, Any]:
    latency, service = block.latency_ms(), block.service_ms()
    return {
        "kind": block.kind,
        "offered_qps": block.offered_qps,
        "requests": len(block),
        "answered": int(block.answered.sum()),
        "seconds": block.wall_ns / 1e9,
        "mean_ms": _mean(latency),
        "p50_ms": percentile_or_none(latency, 50.0),
        "p90_ms": percentile_or_none(latency, 90.0),
        "p95_ms": percentile_or_none(latency, 95.0),
        "p99_ms": percentile_or_none(latency, 99.0),
        "p999_ms": percentile_or_none(latency, 99.9),
        "sent_p99_ms": percentile_or_none(block.sent_latency_ms(), 99.0),
        "service_mean_ms": _mean(service),
        "service_p50_ms": percentile_or_none(service, 50.0),
        "lateness_p99_ms": percentile_or_none(block.lateness_ms(), 99.0),
        "cpu_ms_per_request": None if candidate.candidate.remote else _known(block.cpu_ms_per_request()),
        "items_per_s": _known(block.throughput_items_per_s()),
        "preparation_share": _known(block.preparation_share()),
        "transfer_share": _known(block.transfer_share()),
        **{f"fact_{name}": value for name, value in block.facts.items()},
    }


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0.0 else None


def _ledger_rows(run: str, scenario: ScenarioRecord) -> Iterator[dict[str, Any]]:
    whose: list[tuple[str | None, tuple[LedgerRow, ...]]] = [(None, scenario.ledger)]
    whose += [(candidate.id, candidate.ledger) for candidate in scenario.candidates]
    for candidate, rows in whose:
        for row in rows:
            yield {
                "run": run,
                "scenario": scenario.name,
                "candidate": candidate,
                **{name: getattr(row, name) for name in ("stage", "outcome", "reason", "seconds", "command", "at")},
            }
