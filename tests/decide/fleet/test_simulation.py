"""The simulated fleet against queues whose truth is known, and what must hold of any fleet."""

import math
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from bakeoff.backends import Batching
from bakeoff.decide.batching import Service
from bakeoff.decide.capacity import STRETCH, drawn, sojourns_s
from bakeoff.decide.fleet.balancing import BALANCINGS, Stream, least_loaded_s, pooled_s
from bakeoff.decide.fleet.simulation import Fleet
from bakeoff.decide.replica import Alone, Batched
from bakeoff.measure.traffic import Pattern, recorded
from bakeoff.scenario import Sla

POISSON, BURST = Pattern(), Pattern("burst", peak=3.0, share=0.2, length_s=50.0)
SLA = Sla.model_construct(percentile=99.0, limit_ms=10_000.0)
WITHIN = 0.05
REPLICAS = 20


def exponential(count=100_000):
    """A sample of mean 1 s that is as exponential as so many values can be, in random order."""
    values = -np.log1p(-(np.arange(count) + 0.5) / count)
    return np.random.default_rng(0).permutation(values / values.mean())


EXPONENTIAL, CONSTANT = exponential(), np.ones(100)


def fleet(services=EXPONENTIAL, lanes=1, balancing="random", pattern=POISSON, **more):
    return Fleet(Alone(lanes, 0.0, services), pattern, balancing, SLA, **more)


def erlang_c(lanes, rho):
    """How likely an arrival at M/M/c waits."""
    load = lanes * rho
    terms = [load**k / math.factorial(k) for k in range(lanes)]
    last = load**lanes / math.factorial(lanes) / (1 - rho)
    return last / (math.fsum(terms) + last)


def mmc_percentile(lanes, rho, percentile):
    """Of the time in M/M/c, whose services have mean 1: an exponential wait, if any, and the service after it."""
    waits, drain = erlang_c(lanes, rho), lanes * (1 - rho)

    def beyond(seconds):
        if abs(drain - 1) < 1e-9:
            return math.exp(-seconds) * (1 + waits * seconds)
        late = waits * (math.exp(-seconds) - math.exp(-drain * seconds)) / (drain - 1)
        return math.exp(-seconds) + late

    return brentq(lambda seconds: beyond(seconds) - (1 - percentile / 100), 0.0, 1e4)


def md1_percentile(rho, percentile):
    """Of the time in M/D/1 (Erlang 1909), in decimals: its terms are large and cancel."""
    share = 1 - percentile / 100

    def beyond(seconds):
        wait, rate = Decimal(seconds - 1), Decimal(rho)
        terms = ((rate * (k - wait)) ** k / math.factorial(k) * (rate * (wait - k)).exp() for k in range(int(wait) + 1))
        return float(1 - (1 - rate) * sum(terms))

    with localcontext(prec=60):
        begin = 1 + 1e-9
        return brentq(lambda seconds: beyond(seconds) - share, begin, 60.0) if beyond(begin) > share else 1.0


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_random_balancing_makes_each_replica_mmc(lanes, rho):
    """The mean wait is Erlang's; the services drawn are on average within a few thousandths of 1 s themselves."""
    effort = 1.0 if rho < 0.9 else 2.0 if lanes == 1 else 5.0
    found = fleet(lanes=lanes, effort=effort).at(REPLICAS, REPLICAS * lanes * rho)
    wait_s = erlang_c(lanes, rho) / (lanes * (1 - rho))
    assert found.mean_ms / 1e3 - 1 == pytest.approx(wait_s, rel=WITHIN, abs=4e-3)
    assert found.p50_ms / 1e3 == pytest.approx(mmc_percentile(lanes, rho, 50.0), rel=WITHIN)
    assert found.p99_ms / 1e3 == pytest.approx(mmc_percentile(lanes, rho, 99.0), rel=WITHIN)
    assert found.utilisation == pytest.approx(rho)


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.9])
def test_constant_services_make_it_md1(rho):
    """The mean by Pollaczek and Khinchine, the percentiles by Erlang."""
    found = fleet(CONSTANT).at(REPLICAS, REPLICAS * rho)
    assert found.mean_ms / 1e3 - 1 == pytest.approx(rho / (2 * (1 - rho)), rel=WITHIN)
    assert found.p50_ms / 1e3 == pytest.approx(md1_percentile(rho, 50.0), rel=WITHIN)
    assert found.p99_ms / 1e3 == pytest.approx(md1_percentile(rho, 99.0), rel=WITHIN)


@pytest.mark.parametrize("replicas", [1, 4, 100])
def test_round_robin_gives_a_replica_erlang_gaps(replicas):
    """E_N/M/1: the time in it is exponential with rate 1 - s, where s solves s = E[exp(-(1 - s) gap)]."""
    rho = 0.8
    waits = brentq(lambda s: s - (replicas * rho / (replicas * rho + 1 - s)) ** replicas, 0.0, 1 - 1e-6)
    found = fleet(balancing="round-robin").at(replicas, replicas * rho)
    assert found.mean_ms / 1e3 == pytest.approx(1 / (1 - waits), rel=WITHIN)
    assert found.p99_ms / 1e3 == pytest.approx(math.log(100) / (1 - waits), rel=WITHIN)


@pytest.mark.parametrize("rho", [0.7, 0.9])
def test_the_least_loaded_wait_less_than_by_chance_and_more_than_in_one_queue(rho):
    found = fleet(balancing="least-loaded").at(8, 8 * rho)
    by_chance = fleet().at(8, 8 * rho)
    assert mmc_percentile(8, rho, 99.0) * (1 - WITHIN) < found.p99_ms / 1e3 < by_chance.p99_ms / 1e3 / 2
    assert 1 + erlang_c(8, rho) / (8 * (1 - rho)) < found.mean_ms / 1e3 < by_chance.mean_ms / 1e3
    assert found.simulated == 8


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_pool_of_one_is_the_queue_itself(lanes):
    rng = np.random.default_rng(lanes)
    arrivals, services = np.cumsum(rng.exponential(size=3000)), rng.exponential(0.9 * lanes, 3000)
    found = least_loaded_s(arrivals, services, 1, lanes, rng)
    np.testing.assert_allclose(found, sojourns_s(arrivals, services, lanes), atol=1e-9)


def test_the_least_loaded_are_sought_anew_at_each_request():
    """Two replicas: the third request comes when one of them is free again, the fourth finds both with one."""
    found = least_loaded_s(np.array([0.0, 1, 4, 5, 6]), np.array([10.0, 2, 10, 1, 1]), 2, 1, np.random.default_rng(0))
    assert found[:3].tolist() == [10, 2, 10]
    assert sorted(found[3:].tolist()) in ([6, 9], [5, 10], [5, 6], [6, 10]), found


def test_the_stated_error_is_that_of_the_percentile():
    """Half of a 95 % interval: of 40 simulations nearly all have the truth within it."""
    truth_ms = md1_percentile(0.7, 99.0) * 1e3
    found = [fleet(CONSTANT, seed=1000 * seed, effort=0.05).at(9, 6.3) for seed in range(40)]
    assert 34 <= sum(abs(one.p99_ms - truth_ms) <= one.p99_error_ms for one in found) < 40
    assert np.std([one.p99_ms for one in found]) * 2 == pytest.approx(found[0].p99_error_ms, rel=0.5)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(BALANCINGS), st.integers(1, 3), st.integers(2, 60), st.floats(0.3, 0.9), st.integers(1, 20),
    st.sampled_from([POISSON, Pattern("constant")]),
)  # fmt: skip
def test_more_replicas_never_raise_the_percentile(balancing, lanes, replicas, rho, more, pattern):
    simulated = fleet(EXPONENTIAL, lanes, balancing, pattern, effort=0.1)
    fewer, larger = (simulated.at(count, replicas * lanes * rho) for count in (replicas, replicas + more))
    assert larger.p99_ms <= fewer.p99_ms + fewer.p99_error_ms + larger.p99_error_ms
    assert larger.utilisation < fewer.utilisation


@pytest.mark.parametrize("balancing", BALANCINGS)
def test_twice_the_load_never_takes_fewer_replicas(balancing):
    simulated = fleet(balancing=balancing, effort=0.1)
    counts = [simulated.fewest(qps, round(qps / 0.5))[0].replicas for qps in (3.0, 6.0, 12.0, 24.0)]
    assert counts == sorted(counts)
    assert counts[0] >= 4


def test_the_fewest_hold_and_one_less_does_not():
    simulated = fleet(effort=0.25)
    truth = 100 / (1 - math.log(100) / 10)  # M/M/1 holds p99 within 10 s up to this rate
    for likely in (50, 400):
        found, tried = simulated.fewest(100.0, likely)
        assert found.replicas == pytest.approx(truth, rel=0.03)
        assert simulated.holds(found)
        assert not simulated.holds(simulated.at(found.replicas - 1, 100.0))
        assert [one.replicas for one in tried] == sorted({one.replicas for one in tried})


def test_a_limit_below_the_service_is_held_by_no_fleet():
    slow = replace(fleet(CONSTANT, effort=0.1), sla=Sla.model_construct(percentile=99.0, limit_ms=900.0))
    assert slow.fewest(10.0, 20)[0] is None


def test_bursts_take_more_replicas_than_poisson_arrivals():
    even, bursty = (fleet(pattern=pattern, effort=0.1).fewest(20.0, 40)[0].replicas for pattern in (POISSON, BURST))
    assert bursty > 2 * even, "a burst lasts for 50 services at three times the rate"


def test_a_fleet_beyond_its_lanes_has_no_percentile():
    found = fleet(lanes=2).at(10, 20.0)
    assert (found.p99_ms, found.mean_ms, found.over) == (None, None, 1.0)
    assert found.utilisation == pytest.approx(1.0)


def test_an_outage_that_the_rest_carry_is_their_steady_state_and_one_beyond_them_grows():
    simulated = fleet(CONSTANT)
    before = simulated.at(20, 14.0)
    mild = simulated.outage(before, 2, 3000.0)
    assert mild.p99_ms == pytest.approx(simulated.at(18, 14.0).p99_ms, rel=0.1)
    assert mild.held == pytest.approx(2 * 0.7 * before.mean_ms / 1e3)
    short, long = (simulated.outage(before, 8, seconds) for seconds in (20.0, 5000.0))
    assert before.p99_ms < short.p99_ms < long.p99_ms
    assert long.p99_ms / 1e3 == pytest.approx(5000 * (14 / 12 - 1), rel=0.25), "the queue grows by the excess"
    assert (simulated.outage(before, 20, 5.0).p99_ms, simulated.outage(before, 20, 5.0).over) == (None, 1.0)


@pytest.mark.parametrize("replicas", [1, 7, 1000])
@pytest.mark.parametrize("balancing", ["random", "round-robin"])
def test_streams_have_the_rate_and_the_scatter_of_their_balancing(replicas, balancing):
    def gaps(pattern):
        return np.diff(Stream(pattern, balancing, replicas, 40_000, 3).arrivals_s(5.0))

    for pattern in (POISSON, Pattern("constant"), BURST):
        assert gaps(pattern).mean() == pytest.approx(0.2, rel=0.03)
        assert (gaps(pattern) >= 0).all()
    even = balancing == "round-robin"
    assert gaps(POISSON).std() * 5 == pytest.approx(replicas**-0.5 if even else 1.0, rel=0.05)
    constant = 0.0 if even else (1 - 1 / replicas) ** 0.5
    assert gaps(Pattern("constant")).std() * 5 == pytest.approx(constant, rel=0.05, abs=1e-9)


@pytest.mark.parametrize("arrivals_s", [
    Stream(BURST, "random", 9, 40_000, 1).arrivals_s(5.0), Stream(BURST, "round-robin", 9, 40_000, 1).arrivals_s(5.0),
    pooled_s(BURST, 0.5, 10, 40_000, 1),
])  # fmt: skip
def test_bursts_take_their_share_of_the_time_at_their_rate(arrivals_s):
    counts = np.bincount((arrivals_s // 10).astype(int))[:-1] / 10
    assert np.quantile(counts, 0.9) == pytest.approx(15.0, rel=0.15)
    assert (counts > 8.75).mean() == pytest.approx(0.2, abs=0.05)
    assert np.median(counts) == pytest.approx(2.5, rel=0.15)


def test_each_replica_replays_a_window_of_the_trace():
    trace = recorded(np.cumsum(np.resize([0.1, 1.9], 2000)))
    arrivals_s = Stream(trace, "random", 50, 1000, 5).arrivals_s(10.0)
    gaps, counts = np.unique(np.diff(arrivals_s).round(3), return_counts=True)
    assert gaps[counts > 1].tolist() == [0.01, 0.19]
    assert len(pooled_s(trace, 10.0, 4, 1000, 5)) == pytest.approx(1000, rel=0.02)


def test_services_are_drawn_in_stretches_as_measured():
    found = drawn(np.arange(1000), 6400, np.random.default_rng(1)).reshape(-1, STRETCH)
    assert ((np.diff(found, axis=1) - 1) % 1000 == 0).all()
    assert len(np.unique(found[:, 0])) > 80
    assert len(drawn(np.arange(5), 7, np.random.default_rng(1))) == 7


def test_batches_of_one_are_replicas_without_a_batcher():
    ratios = tuple(np.random.default_rng(2).gamma(4.0, 0.25, 5000))
    batched = Batched(2, 0.05, Service(1.0, 0.0, ratios), np.full(100, 7), Batching(7, 5.0))
    alone = Alone(2, 0.05, np.array(ratios))
    one, other = (
        Fleet(each, POISSON, "random", SLA, effort=effort).at(10, 14.0)
        for each, effort in ((batched, 0.6), (alone, 0.2))
    )
    assert one.p99_ms == pytest.approx(other.p99_ms)
    assert (one.utilisation, other.utilisation) == pytest.approx((0.7, 0.7), rel=0.02)


def test_a_batcher_carries_what_would_be_too_much_alone():
    service = Service(0.8, 0.2, (1.0,))
    batched = Fleet(Batched(1, 0.0, service, np.ones(10, int), Batching(8, 0.0)), POISSON, "random", SLA, effort=0.1)
    assert batched.replica.saturation_qps == pytest.approx(8 / 2.4)
    found = batched.at(10, 20.0)
    assert 0.95 < found.utilisation <= 1.0, "it takes what is there, and is never idle"
    assert found.p99_ms < 10_000
