import numpy as np
import pytest

from bakeoff.measure import walk as module
from bakeoff.measure.walk import FEWEST, KEPT, walk, walk_by_items


def test_every_request_has_its_turn_before_one_comes_back():
    tour = walk(50, 0, 200, seed=3)
    assert tour.steps == 200
    assert tour.join == 1
    for lap in tour.order.reshape(4, 50):
        assert sorted(lap.tolist()) == list(range(50))
    assert not tour.sampled.any()


def test_sampled_steps_have_references_and_lie_all_over_the_block():
    tour = walk(10_000, 100, 20_000, seed=3)
    places = np.flatnonzero(tour.sampled)
    assert len(places) == KEPT
    assert (tour.order[places] < 100).all()
    assert places.min() < 5_000
    assert places.max() > 15_000


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_a_short_block_is_sampled_enough(steps):
    assert walk(100, 10, steps, seed=0).sampled.sum() == min(steps, FEWEST)


def test_same_seed_same_walk_and_another_seed_another():
    first, again, other = (walk(500, 20, 300, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.order, again.order)
    np.testing.assert_array_equal(first.sampled, again.sampled)
    assert not np.array_equal(first.order, other.order)


def test_joined_calls_are_sampled_whole(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 64)
    tour = walk(100, 10, 1_000_000, seed=1, join=4)
    assert tour.order.shape == (64, 4)
    assert (tour.order[tour.sampled == 1] < 10).all()


def test_each_step_has_the_size_nearest_to_the_one_wanted():
    pool = np.resize(np.array([10, 20, 40], np.int32), 90)
    wanted = np.array([1, 10, 14, 16, 29, 31, 4000] * 200, np.int32)
    tour = walk_by_items(pool, 30, wanted, seed=3)
    assert tour.order.shape == (1400, 1)
    assert pool[tour.order[:7, 0]].tolist() == [10, 10, 10, 20, 20, 40, 40]
    unsampled = (pool[tour.order[:, 0]] == 10) & (tour.sampled == 0)
    turns = np.bincount(tour.order[unsampled, 0], minlength=90)[pool == 10]
    assert turns.min() >= 15, "600 steps over 30 requests, a few of them sampled"
    assert (tour.order[tour.sampled == 1, 0] < 30).all()
    assert tour.sampled.sum() == KEPT
    again = walk_by_items(pool, 30, wanted, seed=3)
    np.testing.assert_array_equal(tour.order, again.order)


def test_steps_of_a_size_without_references_are_not_sampled():
    pool = np.array([4] * 10 + [8] * 10, np.int32)
    tour = walk_by_items(pool, 5, np.resize(np.array([4, 8], np.int32), 1000), seed=1)
    assert 0 < tour.sampled.sum() < KEPT
    assert (tour.order[tour.sampled == 1] < 5).all()
    assert not walk_by_items(pool, 0, np.full(10, 4, np.int32), seed=1).sampled.any()
