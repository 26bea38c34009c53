"""A run's record as JSON texts and back, checked as what strangers send; the stamps of its blocks lie elsewhere.

`run.json` holds the run with its host and environment, `scenarios.json` each question with its candidates, their
facts, quality and blocks, `ledger.json` a row for each stage that a candidate went through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bakeoff.candidates import Candidate
from bakeoff.measure.block import Block
from bakeoff.store.masking import Hide, masked
from bakeoff.store.plain import candidate_definition, nan, plain
from bakeoff.store.record import BlockRecord, CandidateRecord, LedgerRow, Quality, RunRecord, ScenarioRecord

RUN, SCENARIOS, LEDGER = "run.json", "scenarios.json", "ledger.json"
MOST_REQUESTS = 50_000_000
"""In one block: far more than any run plays, few enough to hold."""

_T = TypeVar("_T")

Facts = dict[str, Any]
Where = tuple[str, str, int, int]
"""A block's scenario, candidate, round and position."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Head(_Part):
    """All of a block but its requests' stamps."""

    round: int
    position: int
    requests: int = Field(ge=0, le=MOST_REQUESTS)
    kind: Literal["open", "closed"]
    offered_qps: float | None
    wall_ns: int
    cpu_ns: int
    facts: Facts


class _Quality(_Part):
    metric: str
    value: float | None
    base: float | None
    delta: float | None
    low: float | None
    high: float | None
    examples: int
    higher_is_better: bool


class _Candidate(_Part):
    definition: Candidate
    facts: Facts
    quality: tuple[_Quality, ...]
    blocks: tuple[Head, ...]


class _Scenario(_Part):
    name: str
    definition: Facts
    workload: Facts
    candidates: tuple[_Candidate, ...]


class _Row(_Part):
    scenario: str
    candidate: str | None
    stage: str
    outcome: str
    reason: str
    seconds: float | None
    command: str
    at: datetime | None
    facts: Facts


class _Run(_Part):
    run: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    command: str
    budget_s: float | None
    seed: int
    host: Facts
    environment: Facts


Fetch = Callable[[int, Where, Head], Block]
_RUN, _SCENARIOS = TypeAdapter(_Run), TypeAdapter(tuple[_Scenario, ...])
_LEDGER = TypeAdapter(tuple[_Row, ...])


def texts(record: RunRecord, hide: Hide) -> dict[str, bytes]:
    """The three JSON texts by their names, with everything hidden that `hide` hides."""
    found = {
        RUN: {name: getattr(record, name) for name in _Run.model_fields},
        SCENARIOS: [_scenario_value(one) for one in record.scenarios],
        LEDGER: [row for one in record.scenarios for row in _ledger_values(one)],
    }
    return {name: json_text(masked(plain(value), hide)) for name, value in found.items()}


def json_text(value: Any) -> bytes:
    """Strict JSON, for people to read, too."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def record_from(texts: Mapping[str, bytes], fetch: Fetch) -> RunRecord:
    """The record that `texts` was written from; `fetch` gives a block by its number, where it belongs, and its head.

    Raises ValueError for anything else.
    """
    run, rows = _read(_RUN, texts, RUN), _read(_LEDGER, texts, LEDGER)
    numbers = count()
    scenarios = tuple(
        ScenarioRecord(
            name=one.name,
            definition=one.definition,
            workload=one.workload,
            candidates=tuple(_candidate(each, one.name, rows, numbers, fetch) for each in one.candidates),
            ledger=_ledger(rows, one.name, None),
        )
        for one in _read(_SCENARIOS, texts, SCENARIOS)
    )
    return RunRecord(**dict(run), scenarios=scenarios)


def complaint(error: ValidationError) -> str:
    """Where in a JSON text the first mistake is, and what; names in it are a stranger's."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))!a}: {first['msg']}" if first["loc"] else first["msg"]


def _read(form: TypeAdapter[_T], texts: Mapping[str, bytes], name: str) -> _T:
    try:
        return form.validate_json(texts[name])
    except ValidationError as error:
        raise ValueError(f"{name}: {complaint(error)}") from None


def _scenario_value(scenario: ScenarioRecord) -> Facts:
    return {
        "name": scenario.name,
        "definition": scenario.definition,
        "workload": scenario.workload,
        "candidates": [
            {
                "definition": candidate_definition(each.candidate),
                "facts": each.facts,
                "quality": [{name: getattr(one, name) for name in _Quality.model_fields} for one in each.quality],
                "blocks": [_head_value(entry, entry.block) for entry in each.blocks],
            }
            for each in scenario.candidates
        ],
    }


def _head_value(entry: BlockRecord, block: Block) -> Facts:
    where = {"round": entry.round, "position": entry.position, "requests": len(block)}
    return {name: where[name] if name in where else getattr(block, name) for name in Head.model_fields}


def _ledger_values(scenario: ScenarioRecord) -> Iterator[Facts]:
    whose = [(None, scenario.ledger), *((each.id, each.ledger) for each in scenario.candidates)]
    for candidate, rows in whose:
        for row in rows:
            own = {name: getattr(row, name) for name in _Row.model_fields if name not in ("scenario", "candidate")}
            yield {"scenario": scenario.name, "candidate": candidate, **own}


def _candidate(
    given: _Candidate, scenario: str, rows: tuple[_Row, ...], numbers: Iterator[int], fetch: Fetch
) -> CandidateRecord:
    name = given.definition.id

    def record_of(head: Head) -> BlockRecord:
        where = (scenario, name, head.round, head.position)
        return BlockRecord(head.round, head.position, partial(fetch, next(numbers), where, head))

    return CandidateRecord(
        candidate=given.definition,
        facts=given.facts,
        ledger=_ledger(rows, scenario, name),
        blocks=tuple(record_of(head) for head in given.blocks),
        quality=tuple(_quality_from(one) for one in given.quality),
    )


def _quality_from(given: _Quality) -> Quality:
    value, base, delta, low, high = map(nan, (given.value, given.base, given.delta, given.low, given.high))
    return Quality(given.metric, value, base, delta, low, high, given.examples, given.higher_is_better)


def _ledger(rows: tuple[_Row, ...], scenario: str, candidate: str | None) -> tuple[LedgerRow, ...]:
    return tuple(
        LedgerRow(row.stage, row.outcome, row.reason, nan(row.seconds), row.command, row.at, row.facts)
        for row in rows
        if (row.scenario, row.candidate) == (scenario, candidate)
    )
