"""The self-test on a short clock: what it finds holds on any machine, however busy."""

import json

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bakeoff.errors import UserError
from bakeoff.selftest import alone, telling

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def found():
    return alone.run(service_s=5e-4, blocks=2, block_s=0.5)


def test_nothing_is_reported_faster_than_the_queue_allows(found):
    for load in found.loads:
        for read in load.readings:
            assert read.p50_ms >= read.true_p50_ms - 1e-3
            assert read.p99_ms >= read.true_p99_ms - 1e-3
            assert read.true_p99_ms >= read.true_p50_ms > 0.2 * found.service_ms


def test_the_offered_rate_is_the_asked_one(found):
    for load in found.loads:
        for read in load.readings:
            assert read.asked_qps == pytest.approx(load.share * found.capacity_qps)
            assert read.offered_error < 0.02


def test_a_closed_loop_hides_the_stall_that_we_report(found):
    assert found.stall.true_p99_ms > found.stall.stall_ms / 2
    assert found.stall.open_p99_ms >= found.stall.true_p99_ms - 1e-3
    assert found.stall.closed_p99_ms < found.stall.open_p99_ms / 2


def test_it_is_told_as_json_and_as_text(found):
    told = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert set(told["loads"]) == {"50%", "80%"}
    assert told["loads"]["80%"]["p50_error_us"] >= 0
    assert told["loads"]["50%"]["resolves_p99_us"] >= 0
    console = Console(record=True, width=100)
    telling.render(found, console)
    text = console.export_text()
    assert "generator late" in text
    words = " ".join(text.split())
    assert "With 1 s of each of two engines, this machine can now tell apart" in words
    assert "rests on the spread just now of 2 blocks of one schedule" in words
    assert "is significant (a t test at 5 %) 80 % of the time" in words


@pytest.mark.parametrize("count", [3, 5, 10])
def test_a_t_test_sees_the_smallest_difference_four_times_in_five(count):
    """Drawn anew, with a spread that is the one it was computed from."""
    values = stats.zscore(np.arange(count), ddof=1)
    least = alone.smallest_difference(list(values))
    draws = np.random.default_rng(3).normal(size=(2, 20_000, count))
    seen = stats.ttest_ind(draws[0], draws[1] + least, axis=1).pvalue < 0.05
    assert seen.mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("service_s", [1e-5, 0.1])
def test_a_service_that_cannot_be_calibrated_is_refused(service_s):
    with pytest.raises(UserError, match="--service"):
        alone.run(service_s)
