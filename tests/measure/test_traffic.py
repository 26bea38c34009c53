"""Arrivals: the rate that was asked for, and each pattern recovered from what it gave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.measure.traffic import Pattern, arrivals, mean_qps, poisson, recorded, schedule

BURST = Pattern("burst", peak=3.0, share=0.2, length_s=0.5)
SYNTHETIC = [Pattern("poisson"), Pattern("constant"), BURST, Pattern("burst", peak=5.0, share=0.2, length_s=20.0)]
COMING = np.array([0, 1, 3, 3, 7, 10], float)


def dispersion(arrivals_ns, bin_s=0.1) -> float:
    """The variance of counts in bins over their mean: 1 for Poisson arrivals."""
    counts = np.bincount((arrivals_ns // round(bin_s * 1e9)).astype(int))
    return counts.var() / counts.mean()


@given(
    st.sampled_from(SYNTHETIC), st.floats(0.5, 5000), st.floats(0.1, 3), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_offered_is_what_was_asked(pattern, qps, seconds, seed):
    arrivals_ns = arrivals(pattern, qps, seconds, seed)
    count = len(arrivals_ns)
    assert count == max(1, round(qps * seconds))
    assert (np.diff(arrivals_ns) >= 0).all()
    assert arrivals_ns[0] >= 0
    assert arrivals_ns[-1] <= count / qps * 1e9
    np.testing.assert_array_equal(arrivals_ns, arrivals(pattern, qps, seconds, seed))


@pytest.mark.parametrize("pattern", SYNTHETIC)
@pytest.mark.parametrize("qps", [37.3, 400.0, 9999.0])
def test_the_rate_is_exact_to_a_thousandth(pattern, qps):
    for seed in range(5):
        due = arrivals(pattern, qps, 60.0, seed)
        assert len(due) / 60.0 == pytest.approx(qps, rel=1e-3)
        halves = np.diff(np.searchsorted(due, np.linspace(0, 60e9, 3)))
        assert halves.sum() == len(due), "all of it within the span"


def test_a_rate_scales_the_same_moments():
    slow, fast = poisson(100, 10, 3), poisson(200, 5, 3)
    np.testing.assert_allclose(slow, 2 * fast, atol=2)


def test_poisson_gaps_are_exponential():
    gaps = np.diff(poisson(1000, 60, 5)) / 1e6
    assert gaps.mean() == pytest.approx(1, rel=0.02)
    assert gaps.std() == pytest.approx(1, rel=0.05)
    assert (gaps > 3).mean() == pytest.approx(np.exp(-3), rel=0.1)


def test_how_much_counts_scatter():
    due = {pattern.kind: arrivals(pattern, 1000, 60, 5) for pattern in SYNTHETIC[:3]}
    assert dispersion(due["constant"]) == 0
    assert dispersion(due["poisson"]) == pytest.approx(1, abs=0.3)
    assert dispersion(due["burst"]) > 20
    np.testing.assert_array_equal(np.diff(due["constant"]), 1_000_000)


@pytest.mark.parametrize(("peak", "share", "length_s"), [(3.0, 0.2, 0.5), (2.0, 0.4, 0.25), (10.0, 0.05, 1.0)])
def test_bursts_have_their_height_their_share_and_their_length(peak, share, length_s):
    shares, heights, lengths = [], [], []
    for seed in range(12):
        due = arrivals(Pattern("burst", peak, share, length_s), 10_000, 60, seed)
        counts = np.bincount((due // 10_000_000).astype(int), minlength=6000) / 100
        quiet = (1 - peak * share) / (1 - share)
        high = counts > (quiet + peak) / 2
        shares.append(high.mean())
        heights.append(np.median(counts[high]))
        starts = (high & ~np.roll(high, 1)).sum()
        lengths.append(high.sum() / 100 / starts)
    assert shares == pytest.approx([share] * 12, abs=0.025)
    assert heights == pytest.approx([peak] * 12, rel=0.04)
    assert np.mean(lengths) == pytest.approx(length_s, rel=0.25)


def test_nothing_comes_between_bursts_that_take_all():
    due = arrivals(Pattern("burst", 5.0, 0.2, 0.5), 10_000, 60, 1)
    counts = np.bincount((due // 10_000_000).astype(int), minlength=6000)
    assert (counts == 0).mean() == pytest.approx(0.8, abs=0.02)


def test_a_block_shorter_than_a_burst_has_one_of_its_share():
    due = arrivals(Pattern("burst", 5.0, 0.2, 60.0), 10_000, 1, 1) / 1e9
    largest_gap = max(np.diff(due).max(), 1 - due[-1] + due[0])
    assert largest_gap == pytest.approx(0.8, abs=0.01)


def test_bursts_come_anywhere_in_a_block():
    tenths = np.zeros(10)
    for seed in range(2000):
        tenths += np.histogram(arrivals(BURST, 50, 2.0, seed), np.linspace(0, 2e9, 11))[0]
    assert tenths / tenths.mean() == pytest.approx(np.ones(10), abs=0.06)


def test_a_trace_replays_its_gaps_round_and_round():
    pattern = recorded(COMING)
    gaps = np.append(np.diff(COMING), 2.0) * (5 / 10) / 100
    for seed in range(20):
        due = arrivals(pattern, 100, 0.15, seed)
        assert len(due) in range(13, 18), "15 on average, two and a half times the trace"
        seen = np.diff(due) / 1e9
        assert any(np.allclose(np.resize(np.roll(gaps, turn), len(seen)), seen, atol=1e-8) for turn in range(6))


def test_a_whole_turn_has_every_request_once_with_its_items():
    pattern = recorded(COMING, np.arange(6))
    found = schedule(pattern, 60, 0.1, 4)
    assert sorted(found.items.tolist()) == list(range(6))
    turn = int(found.items[0])
    np.testing.assert_array_equal(found.items, np.roll(np.arange(6), -turn))
    assert schedule(recorded(COMING), 60, 0.1, 4).items is None


def test_a_trace_as_a_whole_has_the_rate():
    rng = np.random.default_rng(1)
    times_s = np.cumsum(rng.exponential(1, 5000) * np.repeat([0.1, 3.0], 2500))
    pattern = recorded(times_s - times_s[0])
    counts = [len(arrivals(pattern, 500, 1.0, seed)) for seed in range(2000)]
    assert np.mean(counts) == pytest.approx(500, rel=0.1)
    assert np.std(counts) > 300, "some windows are busy, most are not"
    slow, fast = arrivals(pattern, 100, 10, 3), arrivals(pattern, 200, 5, 3)
    np.testing.assert_allclose(slow, 2 * fast, atol=2)


def test_a_window_without_a_request_begins_at_one():
    pattern = recorded(np.append(np.arange(100) / 1e6, 1000.0))
    assert {arrivals(pattern, 1.0, 0.1, seed)[0] for seed in range(5)} == {0}


def test_equal_patterns_are_equal():
    assert len({recorded(COMING), recorded(COMING * 7), recorded(COMING, np.arange(6)), BURST}) == 3


def test_mean_rate_of_a_schedule():
    assert mean_qps(np.arange(1, 101) * 10_000_000) == pytest.approx(100, rel=0.02)
    assert mean_qps(np.zeros(1, np.int64)) == float("inf")
