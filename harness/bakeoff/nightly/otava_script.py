"""Runs in Apache Otava's own environment, as a program: `otava_script.py ASKED FOUND`, two files of JSON.

Otava 0.8 needs another numpy than the engines that are measured, so it never comes into this environment. Imports
nothing of bakeoff.
"""

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otava.analysis import compute_change_points


def change_points(series: Sequence[float], most_p: float) -> list[dict[str, Any]]:
    """Each change point's place (its first value's), p, and the means before and behind it, to the next ones."""
    found, _ = compute_change_points(series, max_pvalue=most_p)
    return [
        {
            "place": int(each.index),
            "p": float(each.stats.pvalue),
            "before": float(each.stats.mean_1),
            "after": float(each.stats.mean_2),
        }
        for each in found
    ]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = [change_points(each, asked["most_p"]) for each in asked["series"]]
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")
