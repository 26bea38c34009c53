"""What `bakeoff why` tells: a candidate's stages, gates and rounds, what it lost by, and what would have to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from bakeoff.decide.compare import Interval
from bakeoff.decide.objective import WORDS
from bakeoff.decide.why import NO_LAP, Lap, Why
from bakeoff.decide.wording import by_how_much
from bakeoff.show import views
from bakeoff.show.gain import gain_words
from bakeoff.show.gates import Gate, headroom_gate, latency_gate, quality_gate
from bakeoff.show.numbers import ABSENT, clean, duration, number, percent, shorten
from bakeoff.show.scale import fitting
from bakeoff.show.sheet import Grid, Sheet
from bakeoff.store.plain import plain
from bakeoff.store.record import SCREEN_ROUND


def sheet(found: Why) -> Sheet:
    """The fate and its reason first, then the evidence for it."""
    verdict, judged = found.verdict, found.judged
    chosen = verdict.choice is not None and verdict.choice.candidate == judged.candidate
    answer = "It is the choice." if chosen else "It leads, and the evidence is not enough to choose it."
    fate = views.fate(judged, verdict)
    grids = (_stages(found), _gates(found), _rounds(found))
    return Sheet(
        f"{shorten(judged.candidate, 120)} for {clean(verdict.scenario)}: {fate}",
        f"Not chosen: {judged.reason}." if judged.reason else answer,
        tuple(grid for grid in grids if grid.rows),
        tuple(_notes(found)),
    )


def to_json(found: Why) -> dict[str, Any]:
    """The same for other programs: figures as the verdict's JSON names them, by round as a list."""
    told: dict[str, Any] = plain(
        {
            "scenario": found.verdict.scenario,
            "verdict": found.verdict.verdict,
            "best": found.best.candidate if found.best else None,
            "score_unit": found.verdict.score_unit,
            "candidate": asdict(found.judged),
            "loss": asdict(found.loss) if found.loss else None,
            "ledger": [asdict(row) | {"at": row.at and row.at.isoformat()} for row in found.ledger],
            "gates": [asdict(gate) for gate in _all_gates(found)],
            "rounds": [
                {"round": turn, "candidate": asdict(mine), "best": asdict(theirs)}
                for turn, (mine, theirs) in found.laps.items()
            ],
        }
    )
    return told


def _stages(found: Why) -> Grid:
    rows = tuple(
        (row.stage, row.outcome, duration(row.seconds) if row.seconds else ABSENT, row.reason) for row in found.ledger
    )
    return Grid(("stage", "outcome", "took", "why"), rows, frozenset({2}))


def _all_gates(found: Why) -> Iterator[Gate]:
    """Latency, each floor by itself, and headroom; those of which nothing was asked are none."""
    verdict, judged = found.verdict, found.judged
    if verdict.sla:
        yield latency_gate(verdict, judged)
    for metric, floor in verdict.floors.items():
        yield replace(quality_gate(replace(verdict, floors={metric: floor}), judged), name=f"Quality {clean(metric)}")
    if verdict.traffic.get("open_loop"):
        yield headroom_gate(verdict, judged)


def _gates(found: Why) -> Grid:
    rows = tuple(
        (gate.name, gate.status, f"{gate.figure} {gate.limit}", gate.margin, gate.detail) for gate in _all_gates(found)
    )
    return Grid(("gate", "", "figure and limit", "margin", ""), rows)


def _rounds(found: Why) -> Grid:
    """Each round's figures, the best's behind them where there is one."""
    scores = [lap.score for pair in found.laps.values() for lap in pair if lap.score is not None]
    factor, unit = fitting(scores, found.verdict.score_unit)
    tail, noun = views.tail_name(found.verdict), WORDS[found.verdict.objective].noun
    titles = (f"{tail}, ms", "capacity, requests/s", unit)
    beside = found.best is not None
    shown = {turn: (_cells(mine, factor), _cells(theirs, factor)) for turn, (mine, theirs) in found.laps.items()}
    rows = tuple(
        (_turn(turn), *mine, *((*theirs, _apart(*found.laps[turn])) if beside else ()))
        for turn, (mine, theirs) in shown.items()
    )
    theirs = (f"choice: {tail}" if found.verdict.choice else f"leader: {tail}", "capacity", noun, "against it")
    whole = ("round", *titles, *(theirs if beside else ()))
    return Grid(whole, rows, frozenset(range(1, len(whole))))


def _turn(number_: int) -> str:
    return "screen" if number_ == SCREEN_ROUND else str(number_)


def _cells(lap: Lap, factor: float) -> tuple[str, str, str]:
    score = None if lap.score is None else lap.score * factor
    return number(lap.tail_ms), number(lap.capacity_qps), number(score)


def _apart(mine: Lap, theirs: Lap) -> str:
    if not mine.score or not theirs.score:
        return ABSENT
    return percent(mine.score / theirs.score - 1.0, signed=True)


def _lost(found: Why) -> str:
    """How much more it has, or less, of what the objective counts; empty where nothing says."""
    words, loss = WORDS[found.verdict.objective], found.loss
    if loss is not None and loss.value < 0.0:
        return f"{by_how_much(Interval(-loss.value, -loss.high, -loss.low), words.less)}, by the rounds that both had"
    if loss is not None:
        return f"{by_how_much(loss, words.more)}, by the rounds that both had"
    mine, theirs = (lap.score for lap in found.laps.get(SCREEN_ROUND, (NO_LAP, NO_LAP)))
    if not mine or not theirs:
        return ""
    return f"{percent(abs(mine / theirs - 1.0))} {words.more if mine >= theirs else words.less} in the screening block"


def _notes(found: Why) -> Iterator[str]:
    judged, lost = found.judged, _lost(found)
    if found.best is not None and lost:
        yield f"Beside {found.best.candidate}: {lost}."
    yield from (views.sentence(f"it {remedy.words}.") for remedy in judged.remedies if remedy.then != "settles")
    yield from (views.sentence(f"{remedy.words}.") for remedy in judged.remedies if remedy.then == "settles")
    gained = gain_words(judged, found.verdict.candidates)
    if gained:
        yield f"Compression: {gained}."
    yield from (f"Marked as doubtful: {note}." for note in judged.trust_notes)
    if judged.reproduce:
        yield f"Reproduce: {judged.reproduce}"
