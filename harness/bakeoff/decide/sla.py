"""Does a candidate meet its SLA? An anytime-valid test, so that looking early and stopping early are honest.

Latencies under open-loop load come in clumps, so counts are divided by the clumps' length (the integrated
autocorrelation time) before they are tested, and so are the intervals of percentiles (docs/measurement.md: what they
cover, and how often an engine exactly at its limit passes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from bakeoff.decide import stamps
from bakeoff.decide.wording import percent
from bakeoff.measure.block import Block
from bakeoff.store.percentile import Floats, percentile_or_none

EVIDENCE = 100.0
"""The e-value that decides: a wrong decision has at most one chance in a hundred, however often one looks."""

BATCHES = 10
FEWEST_CLUMPS = 3.0
"""An interval is bounded from above only by a sample that is worth so many independent requests above the value."""
_CAUTION = 1.5
"""Estimates of how long clumps are err on the short side where few were seen: taken so much longer, an engine exactly
at its limit passes in half a per cent of simulated runs instead of one and a half."""
_PRIOR_STRENGTH = 0.5
_FIRST_LAGS, _CHUNK = 512, 1 << 15

Outcome = Literal["pass", "fail", "undecided"]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class SlaResult:
    """The test's outcome and what it rests on: requests, the share over the limit, the share unanswered.

    `effective` is the number of independent requests that the sample is worth, and `needed` how many of them would
    settle an undecided test if the share over the limit stays as it is (None: it never would).
    """

    outcome: Outcome
    requests: int
    effective: float
    exceeding: float
    unanswered: float
    needed: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile in milliseconds with a 95 % interval; None where the sample cannot carry the figure."""

    value: float | None
    low: float | None
    high: float | None


def log_evidence(exceeding: float, count: float, allowed: float, below: bool) -> float:
    """The log e-value against "the true share is not below (not above) `allowed`", for real-valued counts.

    A beta mixture, its mean at `allowed`, cut to the alternative's side; the likelihood ratio is monotone, so the
    mixture is valid against every share on the other side as well. That none may (or all must) one request refutes.
    """
    if not 0.0 < allowed < 1.0:
        refuted = (exceeding < count and allowed >= 1.0) if below else (exceeding > 0.0 and allowed <= 0.0)
        return math.inf if refuted else -math.inf
    a = _PRIOR_STRENGTH
    b = a * (1 - allowed) / allowed
    tail = special.betainc if below else special.betaincc
    after = float(tail(a + exceeding, b + count - exceeding, allowed))
    before = float(tail(a, b, allowed))
    if after <= 0.0:
        return -math.inf
    ratio = special.betaln(a + exceeding, b + count - exceeding) - special.betaln(a, b)
    null = exceeding * math.log(allowed) + (count - exceeding) * math.log1p(-allowed)
    return float(math.log(after) - math.log(before) + ratio - null)


def autocorrelation_time(runs: Sequence[Flags]) -> float:
    """How many requests in a row are worth one: 1 + twice the summed autocorrelation of the flags over all blocks.

    Sokal's window: the sum stops at the first lag beyond five times itself. At least 1; 1 where nothing varies.
    """
    runs = [run for run in runs if len(run) > 1]
    total = sum(len(run) for run in runs)
    mean = sum(int(run.sum()) for run in runs) / total if total else 0.0
    if not 0.0 < mean < 1.0:
        return 1.0
    lags, longest = _FIRST_LAGS, max(len(run) for run in runs)
    while True:
        lags = min(lags, longest)
        covariance = np.zeros(lags)
        for run in runs:
            covariance += _autocovariance(run, mean, lags)
        times = 1.0 + 2.0 * np.cumsum(covariance[1:] / covariance[0])
        inside = np.flatnonzero(np.arange(1, lags) >= 5.0 * np.maximum(times, 1.0))
        if len(inside) or lags == longest:
            return float(max(1.0, times[inside[0] if len(inside) else -1]))
        lags *= 4


def judge_sla(blocks: Sequence[Block], percentile: float, limit_ms: float, error_rate: float) -> SlaResult:
    """Passes when scheduled->done passes, fails when sent->done fails, undecided between; so for the unanswered.

    The generator's lateness so neither blames nor excuses an engine. A request without an answer is over the limit.
    """
    allowed = 1.0 - percentile / 100.0
    full = [stamps.latency_ms(block) for block in blocks]
    sent = [stamps.sent_latency_ms(block) for block in blocks]
    latencies = stamps.joined(full)
    count = len(latencies)
    if not count:
        return SlaResult("undecided", 0, 0.0, math.nan, math.nan, None, "no request was measured")
    late, blamed = (float((stamps.joined(part) > limit_ms).mean()) for part in (full, sent))
    unanswered = float(np.isinf(latencies).mean())
    effective, blamed_effective = (count / _cautious(_clumping(part, percentile, limit_ms)) for part in (full, sent))
    goal = math.log(EVIDENCE)
    figures = (count, effective, late, unanswered)
    if log_evidence(unanswered * effective, effective, error_rate, below=False) >= goal:
        return SlaResult(
            "fail", *figures, None, f"{percent(unanswered)} of its requests failed, {percent(error_rate)} may"
        )
    if log_evidence(blamed * blamed_effective, blamed_effective, allowed, below=False) >= goal:
        return SlaResult("fail", *figures, None, f"{percent(blamed)} of its requests take over {limit_ms:g} ms")
    passes = log_evidence(late * effective, effective, allowed, below=True) >= goal
    if passes and unanswered <= error_rate:
        return SlaResult("pass", *figures, None, "")
    needed = None if passes else requests_needed(late, allowed)
    about = f"{percent(unanswered)} of them failed" if passes else f"{percent(late)} of them took over {limit_ms:g} ms"
    worth = "" if effective > 0.9 * count else f" (worth {effective:,.0f} independent ones)"
    enough = f" (about {needed:,.0f}{' independent ones' if worth else ''} would)" if needed else ""
    return SlaResult("undecided", *figures, needed, f"{count:,} requests{worth} do not settle it{enough}: {about}")


def judge_errors(blocks: Sequence[Block], error_rate: float) -> SlaResult:
    """The test where no latency is limited: only the share of requests without an answer counts."""
    missing = ~stamps.joined([stamps.answered(block) for block in blocks]).astype(bool)
    count = len(missing)
    if not count:
        return SlaResult("undecided", 0, 0.0, math.nan, math.nan, None, "no request was measured")
    share = float(missing.mean())
    figures = (count, float(count), share, share, None)
    reason = f"{percent(share)} of its requests failed, {percent(error_rate)} may"
    if share <= error_rate:
        return SlaResult("pass", *figures, "")
    fails = log_evidence(share * count, count, error_rate, below=False) >= math.log(EVIDENCE)
    return SlaResult("fail" if fails else "undecided", *figures, reason)


def requests_needed(share: float, allowed: float) -> float | None:
    """How many independent requests settle the test if the share over the limit stays; None beyond a million."""
    if not math.isfinite(share):
        return None
    below = share <= allowed
    for count in np.geomspace(100, 1e6, 161):
        if log_evidence(share * count, count, allowed, below) >= math.log(EVIDENCE):
            return float(count)
    return None


def requests_to_pass(share: float, effective: float, allowed: float, most: float) -> float | None:
    """How many independent requests in all make a pass, `effective` (above 0) with this share over the limit among
    them, if the share of those to come is a standard error below that; None where `most` do not."""
    exceeding = share * effective
    rate = max(0.0, exceeding - math.sqrt(exceeding)) / effective
    for count in np.geomspace(effective, most, 161) if most > effective else ():
        if log_evidence(exceeding + rate * (count - effective), count, allowed, below=True) >= math.log(EVIDENCE):
            return float(count)
    return None


def tail(blocks: Sequence[Block], percentile: float) -> Percentile:
    """A percentile of the latencies of these blocks, as `percentile_ms` gives it."""
    return percentile_ms([stamps.latency_ms(block) for block in blocks], percentile)


def percentile_ms(latencies: Sequence[Floats], percentile: float) -> Percentile:
    """A percentile of the latencies of several blocks, with its 95 % interval.

    The value needs `smallest_sample` requests, the interval at least five expected above it, and its upper end as many
    clumps of them as FEWEST_CLUMPS. The interval: the relative error of the share above the value, by 10 batches and by
    clumps (the larger counts), through Student's t on a log scale, read back as quantiles.
    """
    joined = stamps.joined(latencies)
    value = percentile_or_none(joined, percentile)
    above = 1.0 - percentile / 100.0
    if value is None or len(joined) * above < 5.0:
        return Percentile(value, None, None)
    shares = np.array([batch.mean() for batch in np.array_split(joined > value, BATCHES)])
    by_batches = float(shares.var(ddof=1)) / BATCHES / above**2
    error = math.sqrt(max(by_batches, _clumping(latencies, percentile, value) / (len(joined) * above)))
    factor = math.exp(float(special.stdtrit(BATCHES - 1, 0.975)) * error)
    high = _quantile(joined, 1.0 - above / factor) if error**2 * FEWEST_CLUMPS <= 1.0 else None
    return Percentile(value, _quantile(joined, 1.0 - above * factor), high)


def _quantile(values: Floats, q: float) -> float | None:
    """None outside what the sample holds."""
    if not 0.0 <= q < 1.0 - 1.0 / len(values):
        return None
    value = float(np.quantile(values, q, method="inverted_cdf"))
    return value if math.isfinite(value) else None


def _clumping(latencies: Sequence[Floats], percentile: float, limit_ms: float) -> float:
    """The autocorrelation time of being slow: over the limit, or among the sample's own slowest where few are.

    Near the limit, being among the slowest of five times as many tells more of it: the few beyond the limit alone
    understate it. Where the percentile is not even half-way to the limit, clumps of the merely slowish, as in seconds
    when the whole machine is slow, say nothing of it: then the slowest of a fifth as many count, who came nearest.
    """
    joined = stamps.joined(latencies)
    share = 1.0 - percentile / 100.0
    near = float(np.quantile(joined, 1.0 - share, method="lower")) > limit_ms / 2
    tails = (share, min(0.5, 5.0 * share)) if near else (share, share / 5.0)
    thresholds = np.minimum(limit_ms, np.quantile(joined, [1.0 - tail for tail in tails], method="lower"))
    return max(autocorrelation_time([part > threshold for part in latencies]) for threshold in thresholds)


def _cautious(clumping: float) -> float:
    """Clumps as long as they may well be; independent requests stay so."""
    return 1.0 + _CAUTION * (clumping - 1.0)


def _autocovariance(run: Flags, mean: float, lags: int) -> Floats:
    """Sums of products at the first lags, by Fourier transforms of parts: a million flags take no more memory."""
    total = np.zeros(lags)
    chunk = max(_CHUNK, 4 * lags)
    for start in range(0, len(run), chunk):
        here, ahead = run[start : start + chunk] - mean, run[start : start + chunk + lags] - mean
        size = 2 ** math.ceil(math.log2(len(here) + lags))
        product = np.conj(np.fft.rfft(here, size)) * np.fft.rfft(ahead, size)
        total += np.fft.irfft(product, size)[:lags]
    return total
