"""One candidate by itself, outside a trial: built where that was not done before, and started."""

from __future__ import annotations

from pathlib import Path

from bakeoff.contest import artifacts
from bakeoff.contest.fleet import START_LIMIT_S, log_path, order
from bakeoff.contest.plan import Question
from bakeoff.measure import host
from bakeoff.measure.engine_room import Engine


def start(question: Question, name: str, folder: Path) -> Engine:
    """A loaded, verified and warm engine of a candidate (its id); what it prints goes to files in `folder`.

    Raises StageFailed.
    """
    (entry,) = (each for each in question.entries if each.candidate.id == name)
    if entry.failure is not None:
        raise entry.failure
    place = artifacts.folder(question.prepared, entry, " ".join(host.cpu_flags()), run=str(folder))
    artifacts.made(question.prepared, entry, place, log_path(folder, question.scenario.name, name, "build"))
    return Engine.start(
        order(question, name, place, log_path(folder, question.scenario.name, name, "serve")), START_LIMIT_S
    )
