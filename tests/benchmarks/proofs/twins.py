"""Two copies of one engine under two names, through the whole contest: what differs between them is measuring alone."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff.contest.contest import hold
from bakeoff.contest.plan import Question
from bakeoff.decide.compare import Field, Interval
from bakeoff.decide.court import ERROR_AT_THE_END, convene
from bakeoff.decide.verdict import verdicts
from bakeoff.measure import procs
from bakeoff.store.store import Store
from proofs import children, shop
from proofs.proof import Proof

RUNS = 20
BUDGET_S = 120.0
LIKE = 0.02
AT_LEAST = 0.95
ITEMS = 700
TRAFFIC = {"qps": 200.0, "duration_s": 0.25}
"""Many short blocks in turn, for a machine's moods last from milliseconds to minutes; and requests of MLPerf's largest
size, for an idle CPU of a virtual machine takes tens of microseconds, now more, now less, to wake up."""
LENIENT_SLA = {"limit_ms": 200.0, "error_rate": 0.05}
"""Under outside load the latency is the machine's, not the engine's; what is compared is cost."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """One run's twins: how far apart their p50 are (a fraction), and how much dearer the second seems, if it says."""

    apart: float
    dearer: Interval | None
    verdict: str

    @property
    def no_difference(self) -> bool:
        """Whether the interval covers it."""
        return self.dearer is not None and self.dearer.low <= 0.0 <= self.dearer.high


def twins_quiet(runs: int = RUNS) -> Proof:
    """How far apart the twins' p50 are, on a machine that does nothing else."""
    asked = paired(shop.question([shop.ENGINE], batch_size=ITEMS, traffic=TRAFFIC))
    found = [run(asked) for _ in range(runs)]
    like = sum(each.apart < LIKE for each in found)
    median, worst = sorted(each.apart for each in found)[runs // 2], max(each.apart for each in found)
    return Proof(
        f"runs of two copies of {shop.ENGINE} whose p50 differ by less than {LIKE:.0%}, on a quiet machine",
        f"at least {math.ceil(AT_LEAST * runs)} of {runs}",
        f"{like} of {runs} (median {median:.2%}, largest {worst:.2%})",
        like >= AT_LEAST * runs,
        _figures(found) | {"like": like, "median": median, "worst": worst},
    )


def twins_loaded(runs: int = RUNS) -> Proof:
    """How often the interval of the twins' costs covers "no difference" while others use the machine."""
    asked = paired(shop.question([shop.ENGINE], batch_size=ITEMS, traffic=TRAFFIC, sla=LENIENT_SLA))
    with outside_load():
        found = [run(asked) for _ in range(runs)]
    covered = sum(each.no_difference for each in found)
    figures = _figures(found) | {"covered": covered}
    return Proof(
        f"runs of two copies of {shop.ENGINE} whose interval of cost covers no difference, under outside load",
        f"at least {math.ceil(AT_LEAST * runs)} of {runs}",
        f"{covered} of {runs} (median half-width {figures['median_half_width']:.1%})",
        covered >= AT_LEAST * runs,
        figures,
    )


def paired(asked: Question) -> Question:
    """The question with its one candidate under a second name as well."""
    (entry,) = asked.entries
    twin = replace(entry, candidate=replace(entry.candidate, backend=f"{entry.candidate.backend}-twin"))
    shop.build(asked, twin)
    return replace(asked, entries=(entry, twin))


def run(asked: Question, budget_s: float = BUDGET_S) -> Likeness:
    """One whole run of the contest."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as folder, Store.open(Path(folder) / "runs.db") as store:
        name = hold([asked], store, budget_s=budget_s, logs=Path(folder))
        court = convene(store.load(name).scenarios[0])
        (verdict,) = verdicts(store.load(name))
    one, other = (court.evidence[entry.candidate.id] for entry in asked.entries)
    costs = {each.record.id: each.round_costs for each in (one, other)}
    bounds = {each.record.id: each.bounds for each in (one, other)}
    dearer = Field(costs, ERROR_AT_THE_END, bounds).dearer(*costs)
    if one.p50_ms is None or other.p50_ms is None:
        return Likeness(math.inf, dearer, verdict.verdict)
    return Likeness(abs(math.log(one.p50_ms / other.p50_ms)), dearer, verdict.verdict)


@contextmanager
def outside_load() -> Iterator[subprocess.Popen[bytes]]:
    """A process for each CPU that computes and rests by turns, as other people's do."""
    with subprocess.Popen(children.python("-m", "proofs.outside_load"), env=children.environment()) as process:
        try:
            yield process
        finally:
            process.terminate()


def load_s(process: subprocess.Popen[bytes]) -> float:
    """The CPU time in seconds that the load's processes used so far."""
    return sum(map(procs.cpu_ns, procs.descendants(process.pid))) / 1e9


def _figures(found: list[Likeness]) -> dict[str, float | int]:
    intervals = [each.dearer for each in found if each.dearer is not None]
    return {
        "runs": len(found),
        "wins": sum(each.verdict == "WIN" for each in found),
        "intervals": len(intervals),
        "median_half_width": sorted((i.high - i.low) / 2 for i in intervals)[len(intervals) // 2]
        if intervals
        else math.inf,
    }
