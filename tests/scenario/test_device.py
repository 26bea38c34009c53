"""Where a model runs: what a scenario may say, and what that comes to."""

import json

import pytest

from bakeoff.scenario import Price, json_schema, load_scenario, restore
from bakeoff.scenario.device import check_device, gpus_of, kind_of


@pytest.mark.parametrize(
    ("device", "kind", "gpus"),
    [("cpu", "cpu", ()), ("cuda", "cuda", (0,)), ("cuda:2", "cuda", (2,)), ("cuda:0+1", "cuda", (0, 1))],
)
def test_a_device_names_the_gpus_that_a_replica_holds(device, kind, gpus):
    assert check_device(device) == device
    assert (kind_of(device), gpus_of(device)) == (kind, gpus)


@pytest.mark.parametrize("device", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:0,1", "cuda:a", "cpu:0", "cuda\n"])
def test_anything_else_is_told_what_is_right(device):
    with pytest.raises(ValueError, match=r"must be cpu, cuda, cuda:1 for another GPU, or cuda:0\+1"):
        check_device(device)


def test_a_scenario_on_a_gpu_has_its_price_and_its_memory_and_comes_back_from_the_store(good):
    more = """
        resources: {device: cuda:1, cpus: 4, gpu_memory: 8GiB}
        price: 2.5 USD/gpu-hour
        incumbent: {name: today, qps: 120, cpus: 4, gpus: 2}
    """
    scenario = load_scenario(good(more))
    assert (scenario.resources.device, scenario.resources.gpus) == ("cuda:1", 1)
    assert scenario.resources.gpu_memory_bytes == 8 * 1024**3
    assert scenario.price == Price(amount=2.5, currency="USD", per="gpu-hour")
    assert scenario.incumbent.gpus == 2
    definition = json.loads(json.dumps(scenario.definition()))
    assert restore(definition) == scenario


def test_the_hosts_price_goes_with_every_device(good):
    for device in ("cpu", "cuda"):
        scenario = load_scenario(good(f"resources: {{device: {device}}}\nprice: 3 EUR/host-hour"))
        assert scenario.price.per == "host-hour"


def test_a_run_from_before_gpus_is_read_as_one_on_the_cpu(good):
    definition = load_scenario(good()).definition()
    del definition["resources"]["gpu_memory_bytes"]
    assert restore(definition).resources.gpus == 0


def test_the_schema_has_the_forms():
    device = json_schema()["$defs"]["Resources"]["properties"]["device"]
    assert (device["type"], device["default"]) == ("string", "cpu")
    assert "gpu_memory" in json_schema()["$defs"]["Resources"]["properties"]
