"""What a bundle claims follows from its stamps, and whether it does: the verdict and every figure, without the wording.

Sentences are left out, for they hold rounded figures; whoever reads a bundle gets them anew. Whole numbers must be the
same. Other figures may differ by a billionth: the same sums come out differently in their last digits on another CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bakeoff.decide.as_json import to_json
from bakeoff.decide.judgement import Verdict
from bakeoff.store.record import CandidateRecord, RunRecord

RELATIVE, ABSOLUTE = 1e-9, 1e-12
_LEFT_OUT = {
    *("headline", "reasons", "reason", "consequence", "trust_notes", "remedies"),
    *("reproduce", "traffic", "workload"),
}
"""Sentences, what would be if something else were asked, and what is but repeated from the record."""
_SUMS = ("items", "scheduled_ns", "sent_ns", "started_ns", "done_ns")
_NOTHING = object()

Claims = dict[str, Any]


def claims(record: RunRecord, verdicts: Sequence[Verdict]) -> Claims:
    """By scenario its verdict and figures, and by candidate its figures and the sums of its stamps, which change with
    any one of them."""
    found = {}
    for told, scenario in zip(to_json(record, verdicts)["scenarios"], record.scenarios, strict=True):
        sums = {each.id: _sums(each) for each in scenario.candidates}
        judged = {each["candidate"]: _figures(each) | {"sums": sums[each["candidate"]]} for each in told["candidates"]}
        found[told["scenario"]] = _figures(told) | {"candidates": judged}
    return found


def difference(claimed: Any, found: Any) -> str:
    """The first claim that the stamps do not bear out, in a sentence; empty where they bear out all.

    Every scenario, its verdict, choice, answer and regret and every candidate with its sums must be claimed; another
    figure that is not, as by an older bakeoff, is not compared.
    """
    return next(_differences(claimed, found, ()), "")


def _figures(told: Mapping[str, Any]) -> Claims:
    return {
        name: _figures(value) if isinstance(value, Mapping) else value
        for name, value in told.items()
        if name not in _LEFT_OUT
    }


def _sums(candidate: CandidateRecord) -> dict[str, int]:
    sums = dict.fromkeys(("requests", "wall_ns", "cpu_ns", *_SUMS), 0)
    for entry in candidate.blocks:
        block = entry.block
        own = {"requests": len(block), "wall_ns": block.wall_ns, "cpu_ns": block.cpu_ns}
        for name, value in (own | {name: int(getattr(block, name).sum()) for name in _SUMS}).items():
            sums[name] += value
    return sums


def _differences(claimed: Any, found: Any, where: tuple[str, ...]) -> Iterator[str]:
    if isinstance(claimed, Mapping) and isinstance(found, Mapping):
        for name in sorted({*claimed, *found}):
            yield from _differences(claimed.get(name, _NOTHING), found.get(name, _NOTHING), (*where, name))
    elif claimed is _NOTHING:
        if _must_be_claimed(where):
            yield f"{_named(where)}: is not claimed, and the stamps give it"
    elif found is _NOTHING:
        yield f"{_named(where)}: {_shown(claimed)} is claimed, and the stamps give no such thing"
    elif not _alike(claimed, found):
        yield f"{_named(where)}: {_shown(claimed)} is claimed, the stamps give {_shown(found)}"


def _must_be_claimed(where: Sequence[str]) -> bool:
    inner = where[1:]
    if inner and inner[0] == "candidates":
        return len(inner) < 3 or inner[2] == "sums"
    return not inner or inner[0] in ("verdict", "choice", "answer", "regret_high")


def _alike(claimed: Any, found: Any) -> bool:
    if isinstance(found, float) and isinstance(claimed, int | float):
        return math.isclose(claimed, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(found, list) and isinstance(claimed, list):
        return len(claimed) == len(found) and all(map(_alike, claimed, found))
    return type(claimed) is type(found) and bool(claimed == found)


def _named(where: Sequence[str]) -> str:
    return ": ".join(name for name in where if name != "candidates")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"a list of {len(value)}"
    return str(value)
