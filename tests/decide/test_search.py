import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.capacity import capacity_qps
from bakeoff.decide.search import RESOLUTION, Bracket, Found, bracket, find, next_rate, standing_qps
from bakeoff.decide.sla import SlaResult
from bakeoff.scenario import Sla

MEAN_MS = 2.0
SLA = Sla.model_validate({"p99": "20ms"})


def mm1_capacity(mean_ms, limit_ms):
    """Latency of M/M/1 is exponential with rate mu - lambda."""
    return 1e3 / mean_ms - math.log(100) / (limit_ms / 1e3)


def md1_exceeding(rho, limit):
    """P(wait + service > limit) of M/D/1, in service times: Erlang's series for the wait."""
    if limit < 1:
        return 1.0
    wait = limit - 1
    terms = (
        (rho * (k - wait)) ** k / math.factorial(k) * math.exp(-rho * (k - wait)) for k in range(math.floor(wait) + 1)
    )
    return 1 - (1 - rho) * math.fsum(terms)


def md1_capacity(mean_ms, limit_ms):
    low, high = 0.0, 1.0
    for _ in range(50):
        rho = (low + high) / 2
        low, high = (rho, high) if md1_exceeding(rho, limit_ms / mean_ms) <= 0.01 else (low, rho)
    return low * 1e3 / mean_ms


def server(block, spread, seconds=400.0):
    """A simulated server with gamma service times: spread 1 is exponential."""
    seeds = iter(range(1000))
    return lambda rate: block(MEAN_MS, qps=rate, seconds=seconds, seed=next(seeds), spread=spread)


@pytest.mark.parametrize(("spread", "truth"), [(1.0, mm1_capacity), (0.001, md1_capacity)], ids=["M/M/1", "M/D/1"])
def test_a_simulated_server_of_known_capacity_is_recovered(block, spread, truth):
    play = server(block, spread)
    idle = block(MEAN_MS, qps=10, seconds=2000.0, kind="closed", spread=spread)
    services = (idle.done_ns - idle.started_ns) / 1e9
    likely = capacity_qps(services, 1, 0.0, 99.0, SLA.limit_ms, seed=3)
    found = find(play, likely, SLA).bracket
    capacity = truth(MEAN_MS, SLA.limit_ms)
    assert found.passed_qps < capacity < found.failed_qps
    assert found.failed_qps / found.passed_qps < 1.25
    assert found.held(likely) == pytest.approx(capacity, rel=0.05)


@pytest.mark.parametrize("wrong", [0.2, 0.6, 1.7, 6.0])
def test_a_wrong_guess_is_put_right(block, wrong):
    capacity = mm1_capacity(MEAN_MS, SLA.limit_ms)
    found = find(server(block, 1.0), wrong * capacity, SLA).bracket
    assert found.passed_qps < capacity < found.failed_qps
    assert found.held(wrong * capacity) == pytest.approx(capacity, rel=0.25)


def test_what_is_known_already_is_not_played_again(block):
    played = []
    play = server(block, 1.0)
    capacity = mm1_capacity(MEAN_MS, SLA.limit_ms)
    known = [play(0.5 * capacity), play(1.3 * capacity)]

    def spy(rate):
        played.append(rate)
        return play(rate)

    find(spy, capacity, SLA, known, may_go_on=lambda: len(played) < 2)
    assert all(0.5 * capacity < rate < 1.3 * capacity for rate in played)


def test_a_candidate_that_fails_and_a_budget_that_ends_leave_what_is_known(block):
    assert find(lambda rate: None, 100.0, SLA) == Found(Bracket(), complete=False)
    assert find(server(block, 1.0), 100.0, SLA, may_go_on=lambda: False) == Found(Bracket(), complete=False)


def test_a_rate_that_was_not_settled_is_gone_on_with(block):
    capacity = mm1_capacity(MEAN_MS, SLA.limit_ms)
    played = []

    def play(rate):
        played.append(rate)
        return block(MEAN_MS, qps=rate, seconds=900 / rate, seed=len(played), spread=1.0)

    known = [play(0.3 * capacity)]
    find(play, capacity, SLA, known, may_go_on=lambda: len(played) < 3)
    assert played[1] == played[0]


def test_no_rate_has_blocks_without_end(block):
    """Below what fails nearly as many requests are over the limit as may be: no number of them makes a pass."""
    played = []

    def play(rate):
        played.append(rate)
        one = block(1.0, qps=rate, seconds=4.0, seed=len(played), spread=0.1)
        over = len(one) if rate >= 100.0 else max(1, round(0.009 * len(one)))
        one.done_ns[:over] += 50_000_000
        return one

    found = find(play, 100.0, SLA, may_go_on=lambda: len(played) < 2000)
    assert found.complete
    assert max(played.count(rate) for rate in played) <= 31, "120 s of 4 s each"


@pytest.mark.parametrize(("mean_ms", "truth", "spread"), [(3.0, mm1_capacity, 1.0), (4.0, md1_capacity, 0.001)])
def test_short_blocks_of_a_slow_engine_find_a_rate_that_passes(block, mean_ms, truth, spread):
    """Some hundred requests a second and 4 s a block: below what fails, four of them are too few to pass."""
    truth, played_s = truth(mean_ms, SLA.limit_ms), []

    def play(rate):
        played_s.append(4.0)
        return block(mean_ms, qps=rate, seconds=4.0, seed=len(played_s), spread=spread)

    found = find(play, truth, SLA, may_go_on=lambda: sum(played_s) < 400.0).bracket
    assert found.passed_qps is not None
    assert truth / 8 < found.passed_qps < truth < found.failed_qps


def result(outcome):
    return SlaResult(outcome, 1000, 900.0, 0.01, 0.0, None, "")


def test_a_pass_above_a_failure_counts_for_nothing():
    found = bracket({50.0: result("pass"), 90.0: result("fail"), 100.0: result("pass"), 70.0: result("undecided")})
    assert found == Bracket(50.0, 90.0, (70.0,))
    assert [found.held(qps) for qps in (40.0, 60.0, 95.0)] == [50.0, 60.0, pytest.approx(90.0 / 1.1)]
    assert Bracket(85.0, 90.0).held(95.0) == pytest.approx((85.0 * 90.0) ** 0.5), "half a step below what failed"
    assert [Bracket(50.0).held(qps) for qps in (40.0, 60.0)] == [50.0, 60.0]
    assert [Bracket(None, 110.0).held(qps) for qps in (90.0, 120.0)] == [90.0, pytest.approx(100.0)]


@given(st.floats(1.0, 1e5), st.floats(0.1, 8.0), st.floats(0.0, 0.2))
def test_the_search_ends_at_the_capacity_whatever_the_guess(capacity, error, unclear):
    """A perfect test, but for rates within a share of the capacity, which it cannot settle."""
    results = {}
    for _ in range(60):
        rate = next_rate(bracket(results), capacity * error)
        if rate is None:
            break
        assert rate not in results
        near = abs(math.log(rate / capacity)) <= unclear
        results[rate] = result("undecided" if near else "pass" if rate < capacity else "fail")
    else:
        pytest.fail("it does not end")
    found = bracket(results)
    assert found.passed_qps < capacity < found.failed_qps
    assert found.failed_qps / found.passed_qps <= math.exp(2 * unclear) * RESOLUTION**2


def test_an_engine_that_never_meets_the_limit_ends_the_search(block):
    found = find(lambda rate: block(30.0, qps=rate, seconds=20000 / rate, seed=1), 10.0, SLA)
    assert found.complete
    found = found.bracket
    assert found.passed_qps is None
    assert found.failed_qps < 10.0 / 20
    assert np.isfinite(found.failed_qps)


PASS, FAIL = (SlaResult(outcome, 1000, 900.0, 0.01, 0.0, None, "") for outcome in ("pass", "fail"))
NEARLY = SlaResult("undecided", 400, 400.0, 0.0, 0.0, 560.0, "")
HARDLY = SlaResult("undecided", 400, 400.0, 0.005, 0.0, 5600.0, "")
REFUSED = SlaResult("undecided", 1500, 1500.0, 0.002, 0.002, None, "")
OVER = SlaResult("undecided", 100, 100.0, 0.04, 0.0, 200.0, "")


@pytest.mark.parametrize(
    ("results", "qps"),
    [
        pytest.param({50.0: PASS, 70.0: NEARLY, 110.0: FAIL}, 50.0, id="passed"),
        pytest.param({50.0: NEARLY, 70.0: HARDLY, 90.0: OVER, 110.0: FAIL}, 50.0, id="what may pass the soonest"),
        pytest.param({50.0: REFUSED, 70.0: NEARLY, 110.0: FAIL}, 70.0, id="what may not pass for its failures"),
        pytest.param({99.0: OVER, 110.0: FAIL}, pytest.approx(90.0), id="below all that were tried"),
        pytest.param({110.0: FAIL}, pytest.approx(100.0), id="below what failed"),
        pytest.param({55.0: OVER, 90.0: OVER}, pytest.approx(50.0), id="nothing settled"),
        pytest.param({}, None, id="nothing tried"),
    ],
)
def test_the_likeliest_rate_to_hold(results, qps):
    assert standing_qps(results, SLA) == qps
