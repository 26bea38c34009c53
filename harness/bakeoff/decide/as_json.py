"""Verdicts as JSON for other programs. Absent figures are null, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bakeoff.decide.judgement import Verdict
from bakeoff.decide.noise import measuring
from bakeoff.store.plain import plain
from bakeoff.store.record import RunRecord

SCHEMA_VERSION = 1


def to_json(record: RunRecord, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What `bakeoff verdict --json` prints; every value is strict JSON."""
    known = {scenario.name: asdict(measuring(scenario)) for scenario in record.scenarios}
    found: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "run": record.run,
            "status": record.status,
            "started_at": record.started_at.isoformat(),
            "finished_at": record.finished_at.isoformat() if record.finished_at else None,
            "command": record.command,
            "host": record.host,
            "environment": record.environment,
            "scenarios": [_scenario(verdict) | {"measuring": known.get(verdict.scenario)} for verdict in verdicts],
        }
    )
    return found


def _scenario(verdict: Verdict) -> dict[str, Any]:
    leaderboard = verdict.leaderboard
    return {
        "scenario": verdict.scenario,
        "verdict": verdict.verdict,
        "provisional": verdict.provisional,
        "choice": verdict.choice.candidate if verdict.choice else None,
        "leader": verdict.leader.candidate if verdict.leader else None,
        "nearest": verdict.nearest.candidate if verdict.nearest else None,
        "incumbent": verdict.incumbent.candidate if verdict.incumbent else None,
        "production": verdict.production,
        "answer": verdict.answer,
        "today": asdict(verdict.today) if verdict.today else None,
        "set": verdict.set,
        "headline": verdict.headline,
        "reasons": verdict.reasons,
        "objective": verdict.objective,
        "score_unit": verdict.score_unit,
        "suspicions": [asdict(one) for one in verdict.suspicions],
        "cost_unit": verdict.cost_unit,
        "margin": verdict.margin,
        "regret_high": verdict.regret_high,
        "more_needed_s": verdict.more_needed_s,
        "leaderboard": asdict(leaderboard) if leaderboard else None,
        "kind": verdict.kind,
        "sla": verdict.sla,
        "traffic": verdict.traffic,
        "fleet": verdict.fleet,
        "floors": verdict.floors,
        "workload": verdict.workload,
        "candidates": [asdict(judged) for judged in verdict.candidates],
    }
