import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.capacity import POISSON, capacity_qps, highest_rate, sojourns_s
from bakeoff.decide.cost import cost_per_million, cost_unit, hourly, replicas, yearly
from bakeoff.scenario import Price

CORE = Price(amount=0.04, currency="USD", per="core-hour")
HOST = Price(amount=0.04, currency="EUR", per="host-hour")


def exponential(count=20_000, mean_s=0.002):
    return np.random.default_rng(7).exponential(mean_s, count)


@pytest.mark.parametrize(("percentile", "limit_ms"), [(99.0, 20.0), (95.0, 10.0)])
def test_capacity_of_one_lane_is_that_of_mm1(percentile, limit_ms):
    """Latency of M/M/1 is exponential with rate mu - lambda."""
    services = exponential()
    found = capacity_qps(services, 1, 0.0, percentile, limit_ms, seed=3)
    truth = 1 / services.mean() - math.log(1 / (1 - percentile / 100)) / (limit_ms / 1e3)
    assert found == pytest.approx(truth, rel=0.06)


def test_mean_wait_of_md1():
    """Pollaczek-Khinchine: rho / (2 (1 - rho)) service times."""
    arrivals = np.cumsum(np.random.default_rng(1).exponential(size=400_000))
    waits = sojourns_s(arrivals, np.full(400_000, 0.7), 1) - 0.7
    assert waits.mean() == pytest.approx(0.7 * 0.7 / (2 * 0.3), rel=0.05)


def test_mean_wait_of_two_lanes_is_erlangs():
    """M/M/2 at rho 0.7: Erlang C is 2 rho^2 / (1 + rho)."""
    rng = np.random.default_rng(2)
    arrivals = np.cumsum(rng.exponential(1 / 1.4, 60_000))
    services = rng.exponential(1.0, 60_000)
    waits = sojourns_s(arrivals, services, 2) - services
    assert waits.mean() == pytest.approx(2 * 0.7**2 / 1.7 / (2 - 1.4), rel=0.1)


def test_lanes_by_heap_and_by_recursion_agree():
    rng = np.random.default_rng(3)
    arrivals, services = np.cumsum(rng.exponential(size=500)), rng.exponential(0.8, 500)
    by_heap = sojourns_s(np.concatenate([[0.0], arrivals]), np.concatenate([[1e9], services]), 2)[1:]
    assert by_heap == pytest.approx(sojourns_s(arrivals, services, 1))


def two_speeds(rng, calls=6000, phase=250):
    """A machine that a neighbour slows by a third, for some 50 ms at a time, four times in ten."""
    slow = np.repeat(rng.random(calls // phase) < 0.4, phase)
    return 0.2e-3 * (1 + slow / 3) * rng.gamma(100, 0.01, calls)


def test_how_the_slow_moments_lie_decides_little():
    """Two copies of one engine, 12 rounds: what they can carry scatters little more than what their calls take."""
    rng = np.random.default_rng(5)
    pairs = [(two_speeds(rng), two_speeds(rng)) for _ in range(12)]
    capacities = [[capacity_qps(one, 1, 0.0, 99.0, 20.0, number) for one in both] for number, both in enumerate(pairs)]
    means, carried = (
        np.diff(np.log(each)).std() for each in (np.array([[a.mean(), b.mean()] for a, b in pairs]), capacities)
    )
    assert carried < 1.4 * means


def busy(rng, service_s, seconds=2.6, phase_s=0.05):
    """The calls of an engine on that machine, however long they take."""
    slow, calls, now_s = rng.random(round(3 * seconds / phase_s)) < 0.4, [], 0.0
    while now_s < seconds:
        calls.append(service_s * (1 + slow[int(now_s / phase_s)] / 3) * rng.gamma(100, 0.01))
        now_s += calls[-1]
    return np.array(calls)


def in_order(calls, seed):
    """What they can carry if the calls come as they were measured, over and over: phases of 50 ms stay whole."""

    def replay(due_s):
        return sojourns_s(due_s, np.resize(calls, len(due_s)), 1)

    return highest_rate(replay, 1 / calls.mean(), 120_000, 0.02, 99.0, seed, POISSON)


def test_engines_of_like_speed_gain_alike_from_what_is_cut_up():
    rng = np.random.default_rng(8)
    measured = [(seed, busy(rng, service_s)) for seed in range(12) for service_s in (0.2e-3, 0.22e-3)]
    gains = [capacity_qps(calls, 1, 0.0, 99.0, 20.0, seed) / in_order(calls, seed) for seed, calls in measured]
    quick, slow = np.log(gains).reshape(-1, 2).mean(axis=0)
    assert 0.0 < slow < 0.1
    assert quick == pytest.approx(slow, abs=0.01)


def test_slow_moments_still_cost_capacity():
    services = two_speeds(np.random.default_rng(6))
    alike = np.full(len(services), services.mean())
    assert capacity_qps(services, 1, 0.0, 99.0, 20.0, 0) < 0.99 * capacity_qps(alike, 1, 0.0, 99.0, 20.0, 0)


def test_more_lanes_carry_more_and_dispatch_costs_something():
    services = exponential(1000)
    one, two, slow = (
        capacity_qps(services, lanes, dispatch_s, 99.0, 20.0, 0) for lanes, dispatch_s in ((1, 0), (2, 0), (1, 0.01))
    )
    assert two > 2 * one > 2 * slow > 0
    assert one == capacity_qps(services, 1, 0, 99.0, 20.0, 0)


def test_no_capacity_without_a_sample_or_beyond_the_limit():
    assert capacity_qps(exponential(29), 1, 0.0, 99.0, 20.0, 0) is None
    assert capacity_qps(np.full(100, 0.03), 1, 0.0, 99.0, 20.0, 0) is None
    assert capacity_qps(np.full(100, 0.01), 1, 0.02, 99.0, 20.0, 0) is None


def test_costs_with_and_without_a_price():
    assert cost_per_million(1000.0, 2, None) == 2000.0
    assert cost_per_million(1000.0, 2, CORE) == pytest.approx(1000 / 3600 * 0.04 * 2)
    assert cost_per_million(1000.0, 2, HOST) == pytest.approx(1000 / 3600 * 0.04)
    assert (cost_unit(None), cost_unit(HOST)) == ("core-seconds per million items", "EUR per million items")
    assert yearly(3 * hourly(2, CORE)) == pytest.approx(3 * 2 * 8760 * 0.04)


def test_replicas_carry_the_peak_with_headroom_and_spare_ones():
    assert (replicas(1000, 400, 0.0, 0), replicas(1, 400, 0.0, 0)) == (3, 1)
    assert replicas(3000, 100, 0.1, 0) == 33, "3000 x 1.1 is a little more than 3300 in binary"
    assert (replicas(1000, 400, 0.2, 0), replicas(1000, 400, 0.2, 1), replicas(1000, 400, 0.25, 2)) == (3, 4, 6)


def test_on_gpus_what_is_held_are_gpus():
    gpu = Price(amount=2.5, currency="USD", per="gpu-hour")
    assert cost_per_million(1000.0, 4, None, 2) == 2000.0
    assert cost_per_million(1000.0, 4, gpu, 2) == pytest.approx(1000 / 3600 * 2.5 * 2)
    assert cost_per_million(1000.0, 4, HOST, 2) == pytest.approx(1000 / 3600 * 0.04)
    assert cost_unit(None, 1) == "GPU-seconds per million items"
    assert hourly(4, gpu, 2) == 5.0


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_has_no_cost(rate):
    with pytest.raises(ValueError, match="above 0"):
        cost_per_million(rate, 1, None)


@given(
    st.floats(0.1, 1e6), st.floats(1.0, 10.0), st.floats(1e-3, 1e3), st.floats(0.1, 1e7), st.floats(0.1, 1e5),
    st.floats(0.0, 1.0), st.integers(0, 10),
)  # fmt: skip
def test_costs_grow_with_price_and_replicas_with_load(rate, factor, amount, fleet, capacity, headroom, spare):
    dear = Price(amount=amount * factor, currency="USD", per="core-hour")
    cheap = Price(amount=amount, currency="USD", per="core-hour")
    assert cost_per_million(rate, 1, dear) >= cost_per_million(rate, 1, cheap)
    assert cost_per_million(rate * factor, 1, cheap) <= cost_per_million(rate, 1, cheap)
    assert replicas(factor * fleet, capacity, headroom, spare) >= replicas(fleet, capacity, headroom, spare)
    assert replicas(fleet, capacity, headroom, spare) >= replicas(fleet, capacity, 0.0, 0) + spare
