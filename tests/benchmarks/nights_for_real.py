"""Whole nights run for real, under load from outside: who cries wolf, who finds what was made slower, and in what time.

    python tests/benchmarks/nights_for_real.py [--only alarms|slowdowns|many]... [--baseline results/baseline]
        [--nights 5] [--trials 20] [--file results/evidence/slowdowns.csv] [--benchmarks 50] [--json]
        [--into docs/nightly.md]

`alarms`: so many nights of `bakeoff check`, each a process of its own, over all pins, in one store. `slowdowns`: so
many nights for each of 5, 10 and 20 %, in which a pinned candidate (onnxruntime's if there is one) with so much extra
work (proofs/slowed.py) stands beside itself without it, after some nights without for the spread; a line of `--file` is
on disk when its night ends, and what was run here is not run again. `many`: one night of so many benchmarks, the pinned
ones over and over, each made to take nearly 5 ms a call.

The pins must be of what is installed here. `--into` puts the rows between the marks of a Markdown file. The status is 1
where a bar was missed. With eight pins: alarms some 5 minutes a night, slowdowns a minute a trial, many 25 minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trial
from false_alarms import SLOWED
from proofs import children
from proofs.machine import cpu
from proofs.pinned import pinned
from proofs.proof import Proof
from proofs.slowed import slowed
from proofs.telling import tell
from proofs.twins import outside_load
from trial import Trial

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Silent
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import EXITS, SERVICE_TIME, Answer, Session
from bakeoff.nightly import pin_files, session
from bakeoff.nightly.night import Case, Night, Play
from bakeoff.nightly.session import Sides
from bakeoff.scenario import override

COMMAND = "python tests/benchmarks/nights_for_real.py"
MARK = "nights"
NIGHTS, TRIALS, EARLIER, BENCHMARKS = 5, 20, 5, 50
CALL_S, SCREEN_MINUTES = 5e-3, 30.0
NEARLY, LOAD = 0.96, 0.5
NIGHT_LIMIT_S = 7200.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    baseline: Path = pin_files.DEFAULT_FOLDER
    nights: int = NIGHTS
    trials: int = TRIALS
    file: Path = trial.FILE
    benchmarks: int = BENCHMARKS


def alarms(asked: Asked) -> Proof:
    """Whole nights of the command under outside load, with nothing to find."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-nights-") as folder, outside_load():
        store = str(Path(folder) / "nights.db")
        return alarmed([_checked(asked.baseline, store) for _ in range(asked.nights)])


def _checked(baseline: Path, store: str) -> tuple[float, dict[str, Any]]:
    """One night as a process: its minutes, and its answers as `--json` tells them."""
    words = ("-m", "bakeoff", "check", "--baseline", str(baseline), "--store", store, "--json")
    began_s = time.monotonic()
    done = subprocess.run(children.python(*words), capture_output=True, text=True, timeout=NIGHT_LIMIT_S)
    if not done.stdout:
        raise SystemExit(f"a night ended with {done.returncode}: {done.stderr[-500:]}")
    night: dict[str, Any] = json.loads(done.stdout)
    return (time.monotonic() - began_s) / 60.0, night


def alarmed(nights: Sequence[tuple[float, Mapping[str, Any]]]) -> Proof:
    """What so many nights, each with its minutes, said of what had not changed. Half of the answers must be ok: nights
    that can tell of nothing cry no wolf either."""
    answers = [answer for _, night in nights for answer in night["answers"]]
    counts: dict[str, int] = {status: sum(each["status"] == status for each in answers) for status in EXITS}
    false = sum(any(each["status"] == "regression" for each in night["answers"]) for _, night in nights)
    sessions = sum(len(each["sessions"]) for each in answers)
    minutes = sorted(each for each, _ in nights)
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return Proof(
        f"whole nights of {len(answers) // len(nights)} benchmarks, run for real under outside load, that cry wolf",
        f"0 of {len(nights)}",
        f"{false} of {len(nights)} ({told}; {sessions} sessions; {minutes[0]:.1f} to {minutes[-1]:.1f} minutes each)",
        not (false or counts["missing"]) and 2 * counts["ok"] >= len(answers),
        {"false": false, "sessions": sessions, "minutes": sum(minutes), **counts},
    )


def slowdowns(asked: Asked) -> Proof:
    """Nights of one candidate with extra work beside itself without it, under outside load."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-nights-") as logs, outside_load():
        cases = pinned(asked.baseline, Path(logs))
        first = min(cases, key=lambda case: not case.known.candidate.startswith("onnxruntime/"))
        return found_slower(trials(first, asked.trials, asked.file))


def trials(case: Case, count: int, file: Path, play: Play = session.play) -> list[Trial]:
    """So many of each slowdown, by turns; all judge by the spread of the same earlier nights, in which nothing was
    slower. What the file has of this benchmark on this CPU is among them."""
    here = cpu()
    found = [each for each in trial.read(file) if (each.benchmark, each.cpu) == (case.name, here)]
    turns = [0.0] * EARLIER + [*SLOWED] * count
    for each in found:
        if each.slower in turns:
            turns.remove(each.slower)
    for slower in turns:
        past = [each.sessions for each in found if not each.slower]
        found.append(Trial.of(_night(case, slower, past, play), here, slower))
        trial.append(file, found[-1])
        sys.stderr.write(f"+{slower:.0%}: {found[-1].status} ({_of(found[-1])})\n")
    return found


def _night(case: Case, slower: float, past: Sequence[Sequence[Session]], play: Play) -> Answer:
    """A night of one benchmark, slower by a fraction than itself."""
    if case.sides is None:
        raise SystemExit(f"{case.name}: {case.known.reason}")
    order = case.sides.now
    without = replace(order, log=order.log.with_name(f"{order.log.stem}-without{order.log.suffix}"))
    sides = replace(case.sides, now=slowed(order, slower), baseline=slowed(without, 0.0))
    gates = {SERVICE_TIME: case.known.gates.get(SERVICE_TIME, rule.PRACTICAL)}
    known = rule.Benchmark(case.known.scenario, case.known.candidate, gates=gates, history=past)
    (answer,) = Night([Case(known, sides)], Budget(None), lambda *_: None, Silent(), play).hold()
    return answer


def _of(night: Trial) -> str:
    return "nothing measured" if night.change is None else f"{night.change:+.1%}, MDE {night.mde or math.inf:.1%}"


def found_slower(nights: Sequence[Trial]) -> Proof:
    """The share found, of all and of those whose printed MDE was no larger than the slowdown: of each at least half."""
    told, held, figures = [], True, dict[str, int]()
    for slower, share in SLOWED.items():
        answers = [each for each in nights if each.slower == slower]
        found = np.array([each.status == "regression" for each in answers], bool)
        above = np.array([(each.mde or math.inf) <= slower for each in answers], bool)
        measured = [each.change for each in answers if each.change is not None]
        seen = f", measured {np.median(measured):+.1%}" if measured else ""
        told.append(f"+{slower:.0%}: {_share(found[above])} (of all {found.sum()} of {len(found)}{seen})")
        held &= bool(2 * above.sum() >= max(1, len(answers)) and found[above].mean() >= share)
        figures |= {f"found_{slower}": int(found[above].sum()), f"above_{slower}": int(above.sum())}
    return Proof(
        "slowdowns by extra work in one candidate, under outside load, confirmed where the printed MDE is below them",
        ", ".join(f"+{slower:.0%}: {share:.0%}" for slower, share in SLOWED.items()),
        "; ".join(told),
        held,
        figures,
    )


def _share(found: npt.NDArray[np.bool_]) -> str:
    return f"{found.sum()} of {len(found)}" if len(found) else "no printed MDE was below it"


def many(asked: Asked) -> Proof:
    """One night of many benchmarks of calls that are as long as they may be."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-nights-") as logs:
        return screened([_lasting(case) for case in pinned(asked.baseline, Path(logs))], asked.benchmarks)


def _lasting(case: Case) -> Case:
    """The same benchmark with calls that are nearly as long as CALL_S on both sides, at a rate that they can serve."""
    if case.sides is None or case.sides.baseline is None:
        raise SystemExit(f"{case.name}: {case.known.reason}")
    now, baseline = (slowed(order, 0.0, NEARLY * CALL_S) for order in (case.sides.now, case.sides.baseline))
    scenario = case.sides.scenario
    served = scenario if scenario.traffic.rate is None else override(scenario, qps=LOAD / CALL_S)
    return Case(case.known, Sides(served, now, baseline))


def screened(benchmarks: Sequence[Case], count: int, play: Play = session.play) -> Proof:
    """How long the screen of so many benchmarks takes, these over and over."""
    copies = [_numbered(benchmarks[number % len(benchmarks)], number) for number in range(count)]
    began_s, ended_s = time.monotonic(), {"screen": math.nan, "confirm": math.nan}
    calls_s: list[float] = []

    def note(_known: rule.Benchmark, played: Session) -> None:
        ended_s[played.stage] = time.monotonic()
        calls_s.append(max(played.now[SERVICE_TIME], played.baseline[SERVICE_TIME]))

    Night(copies, Budget(None), note, Silent(), play).hold()
    minutes = (ended_s["screen"] - began_s) / 60.0
    whole = (np.nanmax(list(ended_s.values())) - began_s) / 60.0
    cores = len(os.sched_getaffinity(0))
    return Proof(
        f"minutes for the screen of {count} benchmarks of at most {1e3 * CALL_S:g} ms a call, on {cores} cores",
        f"at most {SCREEN_MINUTES:g}",
        f"{minutes:.1f} (with the confirming {whole:.1f}; {len(calls_s)} sessions; {1e3 * min(calls_s):.2g} to"
        f" {1e3 * max(calls_s):.2g} ms a call)",
        minutes <= SCREEN_MINUTES and max(calls_s) <= CALL_S,
        {"minutes": minutes, "whole": float(whole), "sessions": len(calls_s), "cores": cores},
    )


def _numbered(case: Case, number: int) -> Case:
    return Case(replace(case.known, candidate=f"{case.known.candidate} ({number + 1})"), case.sides)


PROOFS: Mapping[str, Callable[[Asked], Proof]] = {"alarms": alarms, "slowdowns": slowdowns, "many": many}


def main(words: Sequence[str] | None = None) -> int:
    """Make the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(PROOFS))
    parser.add_argument("--baseline", type=Path, default=pin_files.DEFAULT_FOLDER, help="the folder of the pins")
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each slowdown")
    parser.add_argument("--file", type=Path, default=trial.FILE, help="keeps the trials")
    parser.add_argument("--benchmarks", type=int, default=BENCHMARKS, help="of the night of many")
    parser.add_argument("--json", action="store_true", help="print the raw figures, too, as one JSON object")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the rows into this Markdown file")
    found = parser.parse_args(words)
    asked = Asked(found.baseline, found.nights, found.trials, found.file, found.benchmarks)
    os.environ["PYTHONPATH"] = children.environment()["PYTHONPATH"]
    names = found.only or PROOFS
    prove: Callable[[str], Proof] = lambda name: PROOFS[name](asked)  # noqa: E731
    return tell(COMMAND, names, prove, PROOFS, MARK, into=found.into, as_json=found.json)


if __name__ == "__main__":
    sys.exit(main())
