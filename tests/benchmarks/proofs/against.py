"""The self-test against MLPerf LoadGen: the same worker through both, interleaved; here it is held to its bars."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from proofs import children
from proofs.proof import Proof

REPEATS = 16
P50_ERROR, P99_ERROR, LATENESS_P99 = 0.5, 1.0, 1.0
LATENESS_P50_US = 2.0


def against(repeats: int = REPEATS) -> Proof:
    """`bakeoff selftest --against loadgen`, at both of its loads."""
    done = subprocess.run(
        children.python("-m", "bakeoff", "selftest", "--against", "loadgen", "--json", "--repeats", str(repeats)),
        env=children.environment(),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"the self-test ended with status {done.returncode}")
    return judged(json.loads(done.stdout), repeats)


def judged(found: Mapping[str, Any], repeats: int) -> Proof:
    """What the self-test printed, held against the bars at each load."""
    loads: Mapping[str, Any] = found["loads"]
    lines = [
        f"{load}: p50 {each['ratios']['p50_error']:.2f}, p99 {each['ratios']['p99_error']:.2f}; lateness"
        f" p50 {each['ours']['lateness_p50_us']:.2f} us, p99 {each['ratios']['lateness_p99']:.2f}"
        for load, each in loads.items()
    ]
    return Proof(
        f"error of p50 and p99 over LoadGen's, and lateness, on the same worker ({repeats} interleaved repeats)",
        f"p50 at most {P50_ERROR:g}, p99 at most {P99_ERROR:g}; lateness p50 under {LATENESS_P50_US:g} us, p99 at most"
        f" {LATENESS_P99:g} of LoadGen's",
        "; ".join(lines),
        all(_clears(each) for each in loads.values()),
        {f"{load}_{name}": value for load, each in loads.items() for name, value in each["ratios"].items()},
    )


def _clears(load: Mapping[str, Any]) -> bool:
    ratios = load["ratios"]
    return bool(
        ratios["p50_error"] <= P50_ERROR
        and ratios["p99_error"] <= P99_ERROR
        and ratios["lateness_p99"] <= LATENESS_P99
        and load["ours"]["lateness_p50_us"] < LATENESS_P50_US
    )
