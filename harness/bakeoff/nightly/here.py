"""What is here now in a benchmark's place: its scenario asked anew, the candidate as it is offered, its artifact."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bakeoff.backends import registered
from bakeoff.contest import artifacts, contest
from bakeoff.contest.budget import Budget
from bakeoff.contest.plan import Entry, Question
from bakeoff.contest.reporter import Reporter
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario.environment import APART
from bakeoff.workloads import prepare
from bakeoff.workloads.pool import beyond_caches_bytes

_BEHIND = 3
"""Parts of an id before what is named where it is not the base and the CPU."""


def backend_of(candidate: str) -> str:
    """The backend in a candidate's id, with its environment where it has one of its own."""
    return candidate.partition("/")[0]


def asked(
    scenario: Scenario, candidates: Collection[str], reporter: Reporter, pool_bytes: int | None = None
) -> Question:
    """The scenario, asked of those of the candidates' backends that are installed, here or in an environment of their
    own, by requests of at least `pool_bytes` (default: more than this CPU's caches hold); raises UserError where none
    is."""
    wanted, here = {backend_of(name) for name in candidates}, set(registered())
    there = {name for name in wanted if name.partition(APART)[0] in here}
    definition = scenario.definition()
    environments = definition["candidates"]["environments"]
    apart = {name: environments[name] for name in sorted(there & environments.keys())}
    backends = sorted({name.partition(APART)[0] for name in there})
    if not backends:
        raise UserError(f"none of its backends is installed: {', '.join(sorted(wanted))}; `bakeoff doctor` says more")
    definition["candidates"] |= {"backends": backends, "environments": apart}
    definition["incumbent"] = None
    question = contest.still_offered(restore(definition, scenario.name), list(candidates), reporter)
    if pool_bytes in (None, beyond_caches_bytes()):
        return question
    return replace(question, prepared=prepare(question.scenario, pool_bytes, reporter.stage))


def offered(question: Question, candidate: str) -> Entry | str:
    """The candidate as it is offered now, or why it is not."""
    found = {entry.candidate.id: entry for entry in question.entries}
    entry = found.get(candidate) or next((each for each in found.values() if _bars(each, candidate)), None)
    if entry is None:
        there = backend_of(candidate).partition(APART)[0] in registered()
        return "its backend does not offer it any more" if there else "its backend is not installed"
    if entry.failure is None:
        return entry
    return f"{entry.failure.reason}; {entry.failure.remedy}" if entry.failure.remedy else entry.failure.reason


def _bars(entry: Entry, candidate: str) -> bool:
    """Whether what failed is the candidate's whole backend there, or its variant."""
    if entry.failure is None or entry.candidate.backend != backend_of(candidate):
        return False
    return entry.failure.stage == "probe" or entry.candidate.id.split("/")[_BEHIND:] == candidate.split("/")[_BEHIND:]


def built(question: Question, entry: Entry, log: Path, budget: Budget, reporter: Reporter) -> Path:
    """Where its artifact lies, built where it is not; raises StageFailed."""
    place = artifacts.folder(question.prepared, entry, " ".join(host.cpu_flags()), "")
    limit_s = min(artifacts.BUILD_LIMIT_S, budget.left)
    artifacts.made(question.prepared, entry, place, log, limit_s, reporter.stage)
    return place
