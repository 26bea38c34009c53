"""Of several builds torch-compile keeps the soonest."""

import time

import numpy as np

from bakeoff.backends import Session
from bakeoff_backends.torch_compile import times_s

SAMPLES = [{"items": np.zeros(items)} for items in (1, 8, 1)]


class Sleeper(Session):
    """Takes `base_s` for a call, and `per_item_s` for each item."""

    def __init__(self, base_s, per_item_s):
        self.base_s, self.per_item_s, self.calls = base_s, per_item_s, 0

    def infer(self, inputs):
        self.calls += 1
        time.sleep(self.base_s + self.per_item_s * len(inputs["items"]))
        return {}


def test_the_sooner_depends_on_the_samples():
    at_one, at_eight = Sleeper(0.0, 0.004), Sleeper(0.008, 0.0)
    for samples, sooner in ((SAMPLES[:1], at_one), (SAMPLES[1:2], at_eight), (SAMPLES, at_eight)):
        found_s = times_s([at_one, at_eight], samples)
        assert [at_one, at_eight][found_s.index(min(found_s))] is sooner


def test_without_samples_all_are_alike():
    assert times_s([Sleeper(0.1, 0.0), Sleeper(0.0, 0.0)], []) == [0.0, 0.0]


def test_a_pass_ends_where_its_samples_take_too_long():
    slow, slower = Sleeper(0.3, 0.0), Sleeper(0.35, 0.0)
    times_s([slow, slower], SAMPLES * 100)
    assert slower.calls < 30
