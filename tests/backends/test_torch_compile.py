"""Of two builds torch-compile keeps the sooner."""

import time

import numpy as np
import pytest

from bakeoff.backends import Session
from bakeoff_backends.torch_compile import soonest

SAMPLES = [{"items": np.zeros(items)} for items in (1, 8, 1)]


class Sleeper(Session):
    """Takes `base_s` for a call, and `per_item_s` for each item."""

    def __init__(self, base_s, per_item_s):
        self.base_s, self.per_item_s, self.calls = base_s, per_item_s, 0

    def infer(self, inputs):
        self.calls += 1
        time.sleep(self.base_s + self.per_item_s * len(inputs["items"]))
        return {}


@pytest.mark.parametrize("order", [1, -1])
def test_the_sooner_through_the_samples_is_kept(order):
    quick_at_one, quick_at_eight = Sleeper(0.0, 0.004), Sleeper(0.008, 0.0)
    both = [quick_at_one, quick_at_eight][::order]
    assert both[soonest(both, SAMPLES[:1])] is quick_at_one
    assert both[soonest(both, SAMPLES[1:2])] is quick_at_eight
    assert both[soonest(both, SAMPLES)] is quick_at_eight


def test_without_samples_the_first_is_kept():
    assert soonest([Sleeper(0.1, 0.0), Sleeper(0.0, 0.0)], []) == 0


def test_a_pass_ends_where_its_samples_take_too_long():
    slow, slower = Sleeper(0.3, 0.0), Sleeper(0.35, 0.0)
    soonest([slow, slower], SAMPLES * 100)
    assert slower.calls < 30
