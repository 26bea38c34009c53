"""The winner behind a real server: the capacity measured there beside the one predicted from its own process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from proofs import shop
from proofs.proof import Proof

from bakeoff.api import Run
from bakeoff.backends import Artifact, Setting
from bakeoff.candidates import Candidate
from bakeoff.contest import artifacts
from bakeoff.contest.plan import Entry
from bakeoff.decide import stamps
from bakeoff.decide.capacity import made_up
from bakeoff.decide.evidence import fact
from bakeoff.decide.judgement import Judgement
from bakeoff.decide.replica import Alone, read
from bakeoff.measure import host
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario
from bakeoff.show.endpoints import SERVERS_PART
from bakeoff.show.numbers import number
from bakeoff.store.record import OK, SCREEN_ROUND, CandidateRecord
from deciding import serving
from deciding.asked import Asked

WITHIN = 0.1
AROUND = (1.0 - WITHIN, 1.0 + WITHIN)
FATES = {OK: "held", "sla-missed": "missed"}
MOST = {"qps": "max"}
ONE_AT_A_TIME = {"kind": "single_stream", "qps": None, "fleet_qps": None}
NAME = "deployed"
STEPS = ("beside", "served", "below", "above")
Serving = Callable[[Entry, Artifact, Sequence[int], Path], AbstractContextManager[serving.Served]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the server adds to a request by its number of items, and its client's own part of the latency (seconds)."""

    server_s: Mapping[int, float]
    client_s: float


@dataclass(frozen=True, slots=True)
class Deployed:
    """The winner's capacity (requests/s) in its own process, predicted behind the server, and measured there; and what
    became of the SLA at rates a little below and above the predicted one."""

    winner: str
    inside_qps: float
    predicted_qps: float
    measured: Judgement
    around: tuple[Judgement, ...]
    server_ms: float
    client_ms: float
    said: bool

    @property
    def ratio(self) -> float:
        """Measured over predicted; NaN where nothing was measured."""
        return (self.measured.capacity_qps or math.nan) / self.predicted_qps


def deployed(asked: Asked, serve: Serving = serving.kserve) -> Proof:
    """Runs of the winner in its own process, beside its server one request at a time, of the server's capacity, and at
    the ends of what is near enough to the predicted one."""
    found = measured(asked, serve)
    one, fates = found.measured, [FATES.get(each.outcome, "undecided") for each in found.around]
    held, failed, now = map(number, (one.capacity_low_qps, one.capacity_high_qps, one.capacity_qps))
    return Proof(
        f"{found.winner} behind a real server ({asked.connections} connections), against its capacity in a process of"
        " its own with the server's measured cost added",
        f"within {WITHIN:.0%}, or the page says what the server costs",
        f"{now} requests/s ({held} held, {failed} did not), predicted {number(found.predicted_qps)}:"
        f" {found.ratio - 1.0:+.0%}; the SLA at {AROUND[0]:g} times that: {fates[0]}, at {AROUND[1]:g}: {fates[1]}."
        f" Without the server {number(found.inside_qps)}; it takes {found.server_ms:.2f} ms"
        f" of a request, its client {found.client_ms:.2f}, which the page {'says' if found.said else 'does not say'}",
        fates == list(FATES.values()) or found.said,
        {name: getattr(found, name) for name in ("inside_qps", "predicted_qps", "server_ms", "client_ms", "ratio")}
        | {name: getattr(one, name) for name in ("capacity_qps", "capacity_low_qps", "capacity_high_qps")},
    )


def measured(asked: Asked, serve: Serving) -> Deployed:
    """The runs, those in the store as they are, and what follows from them."""
    choice, _ = asked.chosen()
    question = asked.question([choice], traffic=MOST, incumbent=None)
    inside = asked.kept("inside") or asked.hold("inside", question, asked.deployed_s)
    (verdict,) = inside.verdict()
    winner = verdict.leader
    if winner is None or winner.candidate != choice or winner.capacity_qps is None:
        raise SystemExit(f"{choice} cannot be deployed by what {asked.store}/inside.db holds: {verdict.headline}")
    entry = next(each for each in question.entries if each.candidate.id == choice)
    artifact, _ = artifacts.kept_or_fail(shop.build(question, entry))
    server = server_of(entry.candidate, asked.connections).id

    def expected(beside: Run) -> tuple[Cost, float]:
        cost = cost_of(beside, winner.candidate, server)
        return cost, predicted(inside, winner.candidate, cost, question.scenario, queued=asked.connections > 1)

    beside, *alone = _served(asked, entry, artifact, serve, lambda run: expected(run)[1])
    cost, predicted_qps = expected(beside)
    judged, *around = (run.verdict()[0].candidates[0] for run in alone)
    page = beside.report(asked.store / "page").read_text(encoding="utf-8")
    items = question.scenario.traffic.batch_size
    server_s = sum(share.weight * cost.server_s[share.items] for share in items) / sum(each.weight for each in items)
    return Deployed(
        winner.candidate,
        winner.capacity_qps or math.nan,
        predicted_qps,
        judged,
        tuple(around),
        server_s * 1e3,
        cost.client_s * 1e3,
        SERVERS_PART in page,
    )


def server_of(candidate: Candidate, connections: int) -> Candidate:
    """The candidate that stands for the server of another."""
    setting = Setting(f"c{connections}", instances=connections)
    return Candidate(f"endpoint@{NAME}", candidate.precision, setting, candidate.variant)


def _served(
    asked: Asked, entry: Entry, artifact: Artifact, serve: Serving, expected: Callable[[Run], float]
) -> list[Run]:
    """The runs before the server: it has the engine's CPUs, and its clients have the others. `expected` says what rate
    it likely carries, of the first of them."""
    kept = [found for step in STEPS if (found := asked.kept(step))]
    if len(kept) == len(STEPS):
        return kept
    cpus, _ = host.engine_cpus(asked.changed().resources.cpus)
    others = sorted(set(host.allowed_cpus()) - set(cpus))
    if not others:
        raise SystemExit("a server and its clients need a CPU each")
    with serve(entry, artifact, cpus, asked.store) as server, serving.only(others):
        one = entry.candidate
        about = {"cpus": len(cpus), "connections": [asked.connections], "precision": one.precision}
        endpoint = {NAME: {**server, **about, "variant": one.variant}}

        def run(step: str, backends: Sequence[str], names: Sequence[str], **changes: Any) -> Run:
            if found := asked.kept(step):
                return found
            field = {"backends": backends, "endpoints": endpoint}
            wanted = {"incumbent": None, "quality": {}, "candidates": field}
            return asked.hold(step, asked.question(names, ready=False, **wanted, **changes), asked.deployed_s)

        name = server_of(one, asked.connections).id
        both = (one.id, name)
        beside = run(STEPS[0], [one.backend], both, traffic=ONE_AT_A_TIME, exhaustive=True)
        rates = [{"qps": share * expected(beside)} for share in AROUND]
        return [
            beside,
            run(STEPS[1], ["endpoint"], [name], traffic=MOST),
            *(
                run(step, ["endpoint"], [name], traffic=rate, exhaustive=True)
                for step, rate in zip(STEPS[2:], rates, strict=True)
            ),
        ]


def cost_of(run: Run, inside: str, server: str) -> Cost:
    """What a request takes more before the server than in the engine's own process: the same requests, one at a time,
    in blocks of both by turns."""
    by_id = {each.id: each for each in run.record().scenarios[0].candidates}
    mine, theirs = (_rounds(by_id[name]) for name in (inside, server))
    more_s: dict[int, list[float]] = {}
    for place in mine.keys() & theirs.keys():
        items, seconds = _more_s(mine[place], theirs[place])
        for size in np.unique(items).tolist():
            more_s.setdefault(size, []).extend(seconds[items == size].tolist())
    if not more_s:
        raise SystemExit(f"{run.id}: {server} has no block beside one of {inside}")
    client_s = (fact(by_id[server], "client_ns") or 0.0) / stamps.S
    return Cost({size: max(0.0, float(np.mean(each)) - client_s) for size, each in more_s.items()}, client_s)


def _rounds(record: CandidateRecord) -> dict[tuple[int, int], Block]:
    return {(each.round, each.position): each.block for each in record.blocks if each.round > SCREEN_ROUND}


def _more_s(mine: Block, theirs: Block) -> tuple[Any, Any]:
    """The items of the requests that both were sent in the same place, and how much longer the second took for each:
    both walk alike, but for those whose answers are kept."""
    count = min(len(mine), len(theirs))
    alike = (mine.request[:count] == theirs.request[:count]) & stamps.answered(mine)[:count]
    alike &= stamps.answered(theirs)[:count]
    one, other = ((block.done_ns - block.started_ns)[:count][alike] for block in (mine, theirs))
    return mine.items[:count][alike], (other - one) / stamps.S


def predicted(run: Run, name: str, cost: Cost, scenario: Scenario, queued: bool) -> float:
    """The capacity of one lane that takes the engine's service times with the server's cost; the geometric mean of the
    rounds. The client's part is in the latency, and in the lane's time where there is but one connection."""
    record = next(each for each in run.record().scenarios[0].candidates if each.id == name)
    sla, lane_s, waiting_s = scenario.sla, *((0.0, cost.client_s) if queued else (cost.client_s, 0.0))
    if sla is None:
        raise ValueError("live traffic has an sla")
    found: list[float] = []
    for played, blocks in groupby(sorted(_rounds(record).items()), key=lambda each: each[0][0]):
        replica = _behind([block for _, block in blocks], record.candidate.setting, cost, lane_s, waiting_s)
        found += filter(None, [replica.capacity_qps(sla, scenario.seed + played, made_up(scenario.traffic))])
    if not found:
        raise SystemExit(f"{run.id}: no rate of {name} holds the SLA with the server's cost added")
    return math.exp(sum(map(math.log, found)) / len(found))


def _behind(blocks: Sequence[Block], setting: Setting, cost: Cost, lane_s: float, waiting_s: float) -> Alone:
    """The replica that these blocks are of, as it would be behind the server."""
    blocks = stamps.busy(blocks)
    replica = read(blocks, setting, 1)
    if not isinstance(replica, Alone):
        raise ValueError("a batcher of ours does not go into a server")
    items = stamps.joined([block.items[stamps.answered(block)] for block in blocks])
    more_s = np.array([cost.server_s[size] for size in items.tolist()]) + lane_s
    return replace(replica, services_s=replica.services_s + more_s, dispatch_s=replica.dispatch_s + waiting_s)
