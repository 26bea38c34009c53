"""The batcher's queue replayed: against hand-made cases, and against the worker's own loop under a played clock."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.backends import Batching, Tensor
from bakeoff.decide.batching import Service, batched_dispatch_s, batched_sojourns_s, fit_service
from bakeoff.decide.capacity import sojourns_s
from bakeoff.measure.batching import Batcher, Baton, Joiner, batched_loop
from bakeoff.measure.block import Block
from bakeoff.measure.serve import NUMBER_BYTES, STOP, Left
from bakeoff.measure.stamps import Stamps
from bakeoff.workloads.prepared import Requests
from bakeoff.workloads.writing import write_requests

MS = 1e-3
SECOND_NS = 10**9


def replay(arrivals_ms, items, batching, lanes=1, base_ms=10.0, per_item_ms=0.0, ratios=(1.0,)):
    service = Service(base_ms * MS, per_item_ms * MS, np.array(ratios))
    arrivals_s, sizes = np.array(arrivals_ms) * MS, np.array(items)
    return (batched_sojourns_s(arrivals_s, sizes, service, lanes, batching) / MS).tolist()


@pytest.mark.parametrize(
    ("arrivals_ms", "items", "batching", "more", "expected"),
    [
        pytest.param([0], [1], Batching(8, 2.0), {}, [12], id="one alone waits for others in vain"),
        pytest.param([0, 1], [1, 1], Batching(8, 2.0), {}, [12, 11], id="two within the wait go together"),
        pytest.param([0, 1], [1, 1], Batching(2, 2.0), {}, [11, 10], id="a full batch waits no longer"),
        pytest.param([0, 3], [1, 1], Batching(8, 2.0), {}, [12, 21], id="the late one is read at 12 and waits till 14"),
        pytest.param([0, 1], [5, 5], Batching(8, 2.0), {}, [11, 20], id="what does not fit has waited since 1"),
        pytest.param([0, 1, 2], [5, 5, 3], Batching(8, 9.0), {}, [11, 20, 19], id="and what came meanwhile joins it"),
        pytest.param([0], [20], Batching(8, 2.0), {}, [10], id="one too large for any batch goes alone at once"),
        pytest.param([0, 1], [1, 1], Batching(8, 0.0), {}, [10, 19], id="no wait takes what is there"),
        pytest.param([0, 1], [1, 1], Batching(8, 0.0), {"lanes": 2}, [10, 10], id="a second lane collects meanwhile"),
        pytest.param([0, 1, 4], [1, 1, 1], Batching(2, 5.0), {"lanes": 2}, [11, 10, 15], id="two lanes, one wait each"),
        pytest.param([0, 1], [2, 3], Batching(8, 2.0), {"per_item_ms": 1.0}, [17, 16], id="items take their time"),
        pytest.param([0, 50], [1, 1], Batching(1, 0.0), {"ratios": [2.0, 0.5]}, [20, 5], id="ratios go round"),
    ],
)
def test_small_cases_by_hand(arrivals_ms, items, batching, more, expected):
    assert replay(arrivals_ms, items, batching, **more) == pytest.approx(expected)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_batches_of_one_are_the_queue_without_a_batcher(lanes):
    rng = np.random.default_rng(lanes)
    arrivals, ratios = np.cumsum(rng.exponential(1 / lanes, 3000)), rng.gamma(4.0, 0.25, 3000)
    found = batched_sojourns_s(arrivals, np.full(3000, 7), Service(0.7, 0.0, ratios), lanes, Batching(7, 5.0))
    assert found == pytest.approx(sojourns_s(arrivals, 0.7 * ratios, lanes))


class PlayedClock:
    """A clock, and a pipe that requests come down at their times: waiting moves the clock and nothing else does."""

    def __init__(self, arrivals_ns) -> None:
        self.now = 0
        self.arrivals = [*arrivals_ns, 10**15]
        self.given = 0

    def clock(self) -> int:
        return self.now

    def read(self, pipe, size) -> bytes:
        self.now = max(self.now, self.arrivals[self.given])
        numbers = []
        while self.given < len(self.arrivals) and self.arrivals[self.given] <= self.now:
            numbers.append(self.given if self.given < len(self.arrivals) - 1 else STOP)
            self.given += 1
        assert len(numbers) * NUMBER_BYTES <= size
        return b"".join(number.to_bytes(NUMBER_BYTES, "little") for number in numbers)

    def ready(self, pipe, seconds) -> bool:
        until = self.now + round(seconds * 1e9)
        due = self.arrivals[self.given]
        self.now = max(self.now, min(due, until))
        return due <= until


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 80),
    load=st.floats(0.05, 5.0),
    most=st.integers(1, 300),
    wait_ms=st.sampled_from([0.0, 0.3, 2.0, 25.0]),
)
@settings(max_examples=150)
def test_the_replay_is_what_the_workers_loop_does(tmp_path_factory, seed, count, load, most, wait_ms):
    folder, rng = tmp_path_factory.mktemp("pool"), np.random.default_rng(seed)
    items = rng.integers(1, 100, count)
    write_requests(folder, (Tensor("x", "float32", (None,)),), {"x": np.zeros(items.sum(), np.float32)}, items)
    pool = Requests(folder, (Tensor("x", "float32", (None,)),), ("y",))
    arrivals_ns = np.cumsum(rng.integers(1, round(2e6 / load), count))
    world, batching, stamps = (
        PlayedClock(arrivals_ns.tolist()),
        Batching(most, wait_ms),
        Stamps.create(folder / "s", count),
    )

    def infer(inputs):
        world.now += 400_000 + 13_000 * len(inputs["x"])
        return {"y": inputs["x"]}

    batcher = Batcher(batching, Baton.create(), -1, world.clock, world.read, world.ready)
    batched_loop(infer, Joiner(pool, np.arange(count)), bytes(1), stamps, Left(), batcher, world.clock)
    batcher.baton.close()
    done_ns = np.array(stamps.done)
    service = Service(400e-6, 13e-6, np.ones(1))
    found = batched_sojourns_s(arrivals_ns / 1e9, items, service, 1, batching)
    np.testing.assert_allclose(found, (done_ns - arrivals_ns) / 1e9, atol=1e-8)
    fitted = fit_service(np.array(stamps.started), done_ns, items)
    assert len(fitted.ratios) == len(np.unique(done_ns))
    np.testing.assert_allclose(fitted.ratios, 1.0, atol=1e-6)


def batches(sizes, seconds, split=1):
    """The stamps of calls one after the other, each of `split` equal requests."""
    done = np.cumsum(seconds) + 1.0
    stamps = [np.repeat((1e9 * at).astype(np.int64), split) for at in (done - seconds, done)]
    return (*stamps, np.repeat(np.asarray(sizes) // split, split))


def test_a_service_model_is_found_again_from_its_batches():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 10, 4000) * 60
    noise = rng.gamma(25.0, 1 / 25.0, 4000)
    found = fit_service(*batches(sizes, (3e-4 + 2e-6 * sizes) * noise, split=4))
    assert (found.base_s, found.per_item_s) == pytest.approx((3e-4, 2e-6), rel=0.05)
    assert np.mean(found.ratios) == pytest.approx(1.0, abs=1e-6)
    assert np.std(found.ratios) == pytest.approx(0.2, rel=0.1)
    assert len(found.ratios) == 4000


@pytest.mark.parametrize(
    ("sizes", "seconds", "base_s", "per_item_s"),
    [
        pytest.param([100, 100], [0.01, 0.03], 0.0, 2e-4, id="one size: larger calls may cost in proportion"),
        pytest.param([100, 200, 300], [0.01, 0.04, 0.09], 0.0, 2e-4, id="no call has a negative base"),
        pytest.param([100, 200, 300], [0.05, 0.04, 0.03], 0.04, 0.0, id="no item takes time away"),
    ],
)
def test_neither_part_of_a_service_is_negative(sizes, seconds, base_s, per_item_s):
    found = fit_service(*batches(sizes, np.array(seconds)))
    assert (found.base_s, found.per_item_s) == pytest.approx((base_s, per_item_s))
    assert np.mean(found.ratios) == pytest.approx(1.0)
    assert found.ratios * (found.base_s + found.per_item_s * np.array(sizes)) == pytest.approx(np.array(seconds))


def test_what_was_not_answered_is_no_batch():
    started, done, items = batches([10, 20, 30], np.array([0.01, 0.02, 0.03]))
    done[1] = -1
    assert len(fit_service(started, done, items).ratios) == 2
    with pytest.raises(ValueError, match="no batch was answered"):
        fit_service(started, np.full(3, -1), items)


def block_of(scheduled_ms, sent_ms, started_ms, done_ms):
    ns = [np.array(1e6 * np.array(column), np.int64) for column in (scheduled_ms, sent_ms, started_ms, done_ms)]
    count = len(scheduled_ms)
    return Block(
        "open", 1.0, np.arange(count, dtype=np.int32), np.ones(count, np.int32), *ns, int(max(ns[3].max(), 1)), 1
    )


def test_the_pipes_cost_is_told_apart_from_the_batchers_wait():
    """The first batch waited 2 ms and lost 0.1; the second was full at once; the third arrived in a busy engine."""
    scheduled = sent = [0, 1, 20, 20, 21]
    block = block_of(scheduled, sent, [2.1, 2.1, 20.3, 20.3, 25.0], [10, 10, 25, 25, 30])
    assert batched_dispatch_s(block, Batching(2, 2.0)) == pytest.approx(1e-4)
    nobody = block_of([0, 1], [0, 1], [-1e-6, -1e-6], [-1e-6, -1e-6])
    assert batched_dispatch_s(nobody, Batching(2, 2.0)) == 0.0
