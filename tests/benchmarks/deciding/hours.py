"""A choice held against later hours: all contenders measured again, and what the choice loses against the best then."""

from __future__ import annotations

import math
import statistics
import sys
import time
from datetime import UTC, datetime

from proofs.proof import Proof

from bakeoff.api import Run
from bakeoff.decide.court import convene
from bakeoff.store.record import ScenarioRecord
from deciding.asked import Asked
from deciding.regrets import regret

LIKE = 0.05
AT_LEAST = 0.95


def hours(asked: Asked) -> Proof:
    """One repeat more (or all of them, with a time between), and the regrets of all so far."""
    first = asked.kept("choice") or asked.hold("choice", asked.question(), asked.budget_s)
    (verdict,), (record,) = first.verdict(), first.record().scenarios
    if verdict.choice is None:
        raise SystemExit(f"the first run chose nothing: {verdict.headline}")
    choice = verdict.choice.candidate
    runs = repeated(asked, contenders(record, choice, asked.contenders), first)
    return judged(choice, runs, asked.repeats)


def judged(choice: str, runs: list[Run], repeats: int) -> Proof:
    """What these runs say of the choice."""
    found = [regret(run.record().scenarios[0], choice) for run in runs]
    begun = [run.record().started_at for run in runs]
    good, span_h = sum(each.value <= LIKE for each in found), (max(begun) - min(begun)).total_seconds() / 3600.0
    values = [each.value for each in found]
    enough = math.ceil(AT_LEAST * repeats)
    return Proof(
        f"{choice}, chosen once, against the best of all contenders at other hours",
        f"at most {LIKE:.0%} regret in {enough} of {repeats} hours",
        f"{good} of {len(found)} over {span_h:.1f} h (regret {statistics.median(values):.1%} in the median,"
        f" {max(values):.1%} at most; the best itself in {sum(each.best == choice for each in found)})",
        good >= enough,
        {f"regret_{number}": value for number, value in enumerate(values)}
        | {f"best_{number}": each.best for number, each in enumerate(found)}
        | {f"why_{number}": each.why for number, each in enumerate(found) if each.why},
    )


def contenders(record: ScenarioRecord, choice: str, most: int) -> list[str]:
    """The choice, and the cheapest of those that missed no gate, whether or not the race dropped them."""
    court = convene(record)
    scored = sorted(
        (score, name)
        for name, one in court.evidence.items()
        if court.gates[name].status != "failed" and name != choice and (score := one.mean_score) is not None
    )
    return [choice, *(name for _, name in scored[: most - 1])]


def repeated(asked: Asked, names: list[str], first: Run) -> list[Run]:
    """The repeats in the store, and those of this call: one, or as many as are missing, with a time between them."""
    runs: list[Run] = []
    while len(runs) < asked.repeats and (run := asked.kept(f"hour-{len(runs)}")):
        runs.append(run)
    missing = asked.repeats - len(runs)
    for _ in range(missing if math.isfinite(asked.every_s) else min(1, missing)):
        _wait(asked, (runs or [first])[-1])
        question = asked.question(names, exhaustive=True, incumbent=None)
        runs.append(asked.hold(f"hour-{len(runs)}", question, asked.hour_s))
        sys.stderr.write(f"{len(runs)} of {asked.repeats} repeats\n")
    return runs


def _wait(asked: Asked, last: Run) -> None:
    """Until another hour has come; raises SystemExit where nobody asked to wait for it."""
    ago_s = (datetime.now(UTC) - last.record().started_at).total_seconds()
    if math.isfinite(asked.every_s):
        time.sleep(max(0.0, max(asked.every_s, asked.apart_s) - ago_s))
    elif ago_s < asked.apart_s:
        raise SystemExit(f"the run before began {ago_s / 60:.0f} min ago; wait until it is {asked.apart_s / 60:.0f}")
