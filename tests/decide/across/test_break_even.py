"""Whole replicas: from which traffic on the cheaper host by the request is the cheaper in all."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.across.break_even import Replica, always_from
from bakeoff.decide.cost import replicas

REPLICA = st.builds(Replica, st.floats(10.0, 1e4), st.floats(0.01, 10.0), st.integers(0, 2))


def cost(replica, qps):
    return replicas(qps, replica.carries_qps, 0.0, replica.spare) * replica.hourly


def test_one_gpu_for_little_traffic_costs_more_than_a_core():
    """One GPU costs as much as 30 cores, which take 12,000 a second; two from 20,000 on as much as 60, for 24,000."""
    gpu, core = Replica(20_000.0, 1.2), Replica(400.0, 0.04)
    assert always_from(gpu, core) == 24_000.0
    assert always_from(core, gpu) is None


def test_the_smaller_and_cheaper_replica_is_always_the_cheaper():
    assert always_from(Replica(400.0, 0.04), Replica(400.0, 0.05)) == 0.0


@given(REPLICA, REPLICA, st.floats(1.001, 50.0))
def test_above_it_the_one_is_cheaper_and_at_it_the_other(one, other, beyond):
    bulk, rest = sorted((one, other), key=lambda each: each.hourly / each.carries_qps)
    if rest.hourly / rest.carries_qps < 1.01 * bulk.hourly / bulk.carries_qps:
        return
    level_qps = always_from(bulk, rest)
    above_qps = max(level_qps, 1.0) * beyond
    assert cost(bulk, above_qps) < cost(rest, above_qps) or math.isclose(cost(bulk, above_qps), cost(rest, above_qps))
    if level_qps:
        assert cost(rest, level_qps * (1 - 1e-9)) <= cost(bulk, level_qps * (1 - 1e-9)) * (1 + 1e-9)
