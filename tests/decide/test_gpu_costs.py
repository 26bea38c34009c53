"""Verdicts of scenarios on a GPU: what is paid for is the GPU, whatever cores go with it."""

import pytest

from bakeoff.decide.verdict import judge_scenario

ON_GPU = {"resources": {"device": "cuda", "cpus": 4}, "incumbent": None}


def cost_of(scenario, engine, **changed):
    verdict = judge_scenario(scenario({"torch": engine(2.0)}, **ON_GPU | changed))
    (one,) = verdict.candidates
    return verdict, one


def test_a_gpu_hour_is_what_a_replica_costs_in_an_hour(scenario, engine):
    verdict, one = cost_of(scenario, engine, price="2.5 USD/gpu-hour")
    assert verdict.cost_unit == "USD per million items"
    assert one.cost == pytest.approx(1e6 / one.items_per_s / 3600 * 2.5)
    assert one.yearly_cost == pytest.approx(one.replicas * 2.5 * 8760)


def test_a_replica_on_two_gpus_costs_twice_as_much(scenario, engine):
    _, one = cost_of(scenario, engine, price="2.5 USD/gpu-hour")
    _, two = cost_of(scenario, engine, price="2.5 USD/gpu-hour", resources={"device": "cuda:0+1", "cpus": 4})
    assert two.cost == pytest.approx(2 * one.cost)


def test_without_a_price_cost_is_in_seconds_of_a_gpu(scenario, engine):
    verdict, one = cost_of(scenario, engine, price=None)
    assert verdict.cost_unit == "GPU-seconds per million items"
    assert one.cost == pytest.approx(1e6 / one.items_per_s)


def test_production_is_held_against_by_its_gpus(scenario, engine):
    def production_and_own(gpus):
        today = {"name": "today", "qps": 10, "cpus": 4, "gpus": gpus}
        verdict, one = cost_of(scenario, engine, price="2.5 USD/gpu-hour", incumbent=today)
        assert verdict.answer == "SWITCH"
        return verdict.production, one.cost

    (two, cost), (four, same) = production_and_own(2), production_and_own(4)
    assert cost == same
    assert four["cost"] == pytest.approx(2 * two["cost"])
