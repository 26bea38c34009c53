"""What `bakeoff verify` says of a bundle, in words and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from bakeoff.decide.bundles.bundling import Checked
from bakeoff.show.numbers import clean
from bakeoff.show.terminal import standard_output


def render(checked: Checked, console: Console | None = None) -> None:
    """A line for each verdict that holds, or one on what does not."""
    to = console or standard_output()
    for line in _lines(checked):
        to.print(Text(clean(line)), soft_wrap=True)


def as_json(checked: Checked) -> dict[str, Any]:
    """What `bakeoff verify --json` prints."""
    return {
        "verified": not checked.problem,
        "problem": checked.problem or None,
        "run": checked.run,
        "bakeoff": checked.bakeoff,
        "sha256": checked.sha256,
        "scenarios": [
            {
                "scenario": one.scenario,
                "verdict": one.verdict,
                "choice": one.choice.candidate if one.choice else None,
                "headline": one.headline,
            }
            for one in checked.verdicts
        ],
    }


def _lines(checked: Checked) -> list[str]:
    if checked.problem:
        return [f"NOT verified: {checked.problem}"]
    told = [f"verified: {one.scenario}: {one.verdict}: {one.headline}" for one in checked.verdicts]
    return [*told, f"run {checked.run}, bundle made by bakeoff {checked.bakeoff}, sha256 {checked.sha256}"]
