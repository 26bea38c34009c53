"""A summary of a run in Markdown, for a pull request or a CI step: safe in GitHub's tables whatever a name holds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bakeoff.decide.judgement import Verdict
from bakeoff.show import views
from bakeoff.show.endpoints import endpoint_words
from bakeoff.show.gates import gates
from bakeoff.show.measuring import preparation_words
from bakeoff.show.numbers import ABSENT, clean, ms, shorten
from bakeoff.show.provenance import engine_words, host_words
from bakeoff.show.scale import readable
from bakeoff.show.today import saving_words
from bakeoff.store.record import RunRecord

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&@])")
_MOST_ROWS = 20
_LONGEST = 240


def markdown(record: RunRecord, verdicts: Sequence[Verdict]) -> str:
    """Headline, gates and candidates of each scenario, then what the figures rest on."""
    parts = [_scenario(readable(verdict), record) for verdict in verdicts] or ["This run holds no scenario."]
    when = record.started_at.strftime("%Y-%m-%d %H:%M %Z").strip()
    parts.append(
        f"Run {escape(record.run)}, {when}, on {escape(host_words(record))}. Reproduce: {code(record.command)}\n"
    )
    return "\n".join(parts)


def escape(text: object) -> str:
    """Text that Markdown and HTML take as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", shorten(text, _LONGEST * 2))


def code(text: object) -> str:
    """Text as code, its backticks out of the way; safe in a table too."""
    return "`" + clean(text).replace("`", "'").replace("|", "\\|") + "`"


def _scenario(verdict: Verdict, record: RunRecord) -> str:
    badges = " ".join(f"**{word}**" for word, _ in views.badges(verdict))
    lines = [
        f"### {badges} {escape(verdict.scenario)}",
        "",
        f"**{escape(verdict.headline)}**",
        "",
        escape(views.question(verdict)) + f" · data: {escape(views.data_words(verdict))}",
        "",
    ]
    if verdict.provisional:
        lines += [f"> **PROVISIONAL**: {views.PROVISIONAL}.", ""]
    lines += [*_gates(verdict), *_candidates(verdict), *_notes(verdict)]
    lines += [f"Engines: {escape(engine_words(record, verdict))}", ""]
    return "\n".join(lines)


def _gates(verdict: Verdict) -> list[str]:
    shown = gates(verdict)
    if not shown:
        return []
    rows = [
        _row(escape(gate.name), gate.status, f"{escape(gate.figure)} {escape(gate.limit)}", escape(gate.margin))
        for gate in shown
    ]
    return ["| gate | | figure | margin |", "|---|---|---|---|", *rows, ""]


def _candidates(verdict: Verdict) -> list[str]:
    score = views.score_title(verdict)
    rows = [
        _row(
            str(row.number),
            code(shorten(row.judged.candidate, 90)),
            f"{row.p99} [{row.p99_ends}]" if row.p99_ends else row.p99,
            row.capacity,
            *([row.score] if score else []),
            row.cost,
            escape(row.quality),
            escape(shorten(f"{row.fate}: {row.why_not}" if row.why_not else row.fate, _LONGEST)),
        )
        for row in views.rows(verdict)[:_MOST_ROWS]
    ]
    titles = "#", "candidate", f"{views.tail_name(verdict)}, ms", views.capacity_title(verdict)
    scores = [escape(score)] if score else []
    title = _row(*titles, *scores, f"cost, {escape(verdict.cost_unit)}", "quality", "outcome")
    more, rule = len(verdict.candidates) - len(rows), f"|---:|---|---:|---:|{'---:|' * len(scores)}---:|---:|---|"
    return [title, rule, *rows, *([f"\nand {more} more"] if more > 0 else []), ""]


def _notes(verdict: Verdict) -> list[str]:
    notes = [clean(note) for note in (*verdict.reasons, *views.doubts(verdict))]
    notes += [views.certainty(verdict), saving_words(verdict), views.money_words(verdict)]
    notes.append(preparation_words(verdict))
    if verdict.leaderboard is not None:
        board = verdict.leaderboard
        notes.append(
            f"A leaderboard of mean latencies would have picked {clean(board.candidate)} (mean {ms(board.mean_ms)}). "
            f"{views.sentence(board.consequence)}"
        )
    notes += [*endpoint_words(verdict), *views.trust(verdict)]
    lines = [f"- {escape(note)}" for note in notes if note and note != ABSENT]
    return [*lines, ""] if lines else []


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
