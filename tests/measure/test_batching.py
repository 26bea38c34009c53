"""The batcher: whatever arrives when, each request gets its own answer, once, and no call passes the limits."""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakeoff.backends import Artifact, Batching, Setting, Tensor, Unsupported
from bakeoff.decide.batching import batched_dispatch_s, batched_sojourns_s, fit_service
from bakeoff.decide.capacity import sojourns_s
from bakeoff.measure.batching import (
    Batcher,
    Baton,
    Joiner,
    batched_loop,
    filled,
    fillings,
    joined_sizes,
    require_joinable,
    require_rows,
)
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.serve import NUMBER_BYTES, STOP, Left
from bakeoff.measure.stamps import FAILED, Stamps
from bakeoff.measure.traffic import poisson
from bakeoff.workloads.prepared import Requests
from bakeoff.workloads.writing import write_requests

pytestmark = pytest.mark.alone

INPUTS = (Tensor("dense", "float32", (None, 8)), Tensor("ids", "int64", (None, 2)))


def make_pool(folder: Path, rows: list[int]) -> Requests:
    rng = np.random.default_rng(len(rows))
    arrays = {
        "dense": rng.normal(size=(sum(rows), 8)).astype(np.float32),
        "ids": rng.integers(0, 50, (sum(rows), 2)),
    }
    write_requests(folder, INPUTS, arrays, rows)
    return Requests(folder, INPUTS, ("score",))


def row_wise(inputs):
    """Two outputs of other shapes and types than the inputs, of each row by itself."""
    dense, ids = inputs["dense"], inputs["ids"]
    return {"score": np.tanh(dense).sum(axis=1) * ids[:, 0], "pair": np.stack([ids, ids + 1], axis=2)}


@dataclass
class Service:
    """What some lanes answered: (step, answer) in the order of each lane, and their stamps."""

    kept: list
    lefts: list
    stamps: Stamps


def drive(pool, order, gaps_us, batching, lanes, infer, folder, stops=None) -> Service:
    """Serve the pool's requests `order` with real threads and pipes; `gaps_us` lie before each of them."""
    pipe, to_send = os.pipe()
    baton = Baton.create()
    batcher = Batcher(batching, baton, pipe)
    stamps = Stamps.create(folder / "stamps", len(order))
    lefts = [Left(deque()) for _ in range(lanes)]
    joiner = Joiner(pool, np.array(order, np.int32))
    threads = [
        threading.Thread(target=batched_loop, args=(infer, joiner, bytes([1]), stamps, left, batcher)) for left in lefts
    ]
    for thread in threads:
        thread.start()
    for number, gap_us in enumerate(gaps_us):
        if gap_us:
            time.sleep(gap_us / 1e6)
        os.write(to_send, number.to_bytes(NUMBER_BYTES, "little"))
    for _ in range(lanes if stops is None else stops):
        os.write(to_send, STOP.to_bytes(NUMBER_BYTES, "little"))
    os.close(to_send)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "STOP or the pipe's end reaches every lane"
    assert list(baton.take()[1]) == [], "nothing is left over"
    baton.close()
    os.close(pipe)
    return Service([pair for left in lefts for pair in left.kept], lefts, stamps)


def calls_of(started, done) -> dict:
    """The steps of each call, which share its stamps."""
    calls: dict = {}
    for step, stamps in enumerate(zip(list(started), list(done), strict=True)):
        calls.setdefault(stamps, []).append(step)
    return calls


@given(
    rows=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    picks=st.lists(st.tuples(st.integers(0, 11), st.sampled_from([0, 0, 0, 20, 400])), min_size=1, max_size=60),
    most=st.integers(2, 90),
    wait_ms=st.sampled_from([0.0, 0.05, 1.0]),
    lanes=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_joined_answers_are_those_of_each_request_alone(tmp_path_factory, rows, picks, most, wait_ms, lanes):
    folder = tmp_path_factory.mktemp("pool")
    pool = make_pool(folder, rows)
    order = [pick % len(rows) for pick, _ in picks]
    served = drive(pool, order, [gap for _, gap in picks], Batching(most, wait_ms), lanes, row_wise, folder)
    assert sorted(step for step, _ in served.kept) == list(range(len(order))), "each is answered exactly once"
    for step, answer in served.kept:
        alone = row_wise(pool.get(order[step]))
        assert answer.keys() == alone.keys()
        for name in alone:
            np.testing.assert_array_equal(answer[name], alone[name])
            assert answer[name].dtype == alone[name].dtype
    calls = calls_of(served.stamps.started, served.stamps.done)
    for steps in calls.values():
        assert steps == list(range(steps[0], steps[-1] + 1)), "a call holds requests that came one after the other"
        assert len(steps) == 1 or sum(rows[order[step]] for step in steps) <= most
    by_start = [steps for _, steps in sorted(calls.items())]
    if lanes == 1:
        assert [step for steps in by_start for step in steps] == list(range(len(order))), "first come, first served"


@given(
    rows=st.lists(st.integers(1, 60), min_size=2, max_size=10),
    most=st.integers(2, 200),
    lanes=st.integers(1, 2),
)
@settings(max_examples=15, deadline=None)
def test_a_real_engine_answers_joined_requests_as_it_does_alone(tmp_path_factory, tiny_prepared, rows, most, lanes):
    folder = tmp_path_factory.mktemp("pool")
    pool = make_pool(folder, rows)
    session = onnxruntime.InferenceSession(
        tiny_prepared.variants["base"]["onnx"].read_bytes(), providers=["CPUExecutionProvider"]
    )

    def infer(inputs):
        return {"score": session.run(["score"], dict(inputs))[0]}

    order = list(range(len(rows))) * 3
    served = drive(pool, order, [0] * len(order), Batching(most, 0.5), lanes, infer, folder)
    assert sorted(step for step, _ in served.kept) == list(range(len(order)))
    for step, answer in served.kept:
        np.testing.assert_allclose(answer["score"], infer(pool.get(order[step]))["score"], rtol=1e-4, atol=1e-6)


def test_a_full_batch_does_not_wait_and_what_does_not_fit_begins_the_next(tmp_path):
    """All are there at once, and STOP behind them: whoever waited would do so for an hour."""
    pool = make_pool(tmp_path, [4, 4, 8, 4, 30, 4])
    served = drive(pool, range(6), [0] * 6, Batching(16, 3.6e6), 1, row_wise, tmp_path)
    calls = calls_of(served.stamps.started, served.stamps.done)
    assert [steps for _, steps in sorted(calls.items())] == [[0, 1, 2], [3], [4], [5]]


def test_all_requests_of_a_failing_call_fail_and_the_others_do_not(tmp_path):
    pool = make_pool(tmp_path, [4, 4, 5, 4, 4])

    def infer(inputs):
        if len(inputs["ids"]) == 9:
            raise RuntimeError("nine is too many")
        return row_wise(inputs)

    served = drive(pool, range(5), [0] * 5, Batching(9, 10_000.0), 1, infer, tmp_path)
    assert [done == FAILED for done in served.stamps.done] == [False, False, True, True, False]
    assert (served.lefts[0].errors, served.lefts[0].first_error) == (2, "RuntimeError: nine is too many")
    assert [step for step, _ in served.kept] == [0, 1, 4]


def test_what_comes_after_the_drop_is_skipped(tmp_path):
    pool = make_pool(tmp_path, [4] * 6)
    stamps = Stamps.create(tmp_path / "stamps", 6)

    def infer(inputs):
        stamps.drop_the_rest()
        return row_wise(inputs)

    pipe, to_send = os.pipe()
    for number in (0, 1, 2, 3, 4, 5, STOP):
        os.write(to_send, number.to_bytes(NUMBER_BYTES, "little"))
    batcher = Batcher(Batching(8, 1.0), Baton.create(), pipe)
    batched_loop(infer, Joiner(pool, np.arange(6)), bytes([0]), stamps, Left(), batcher)
    assert [done > 0 for done in stamps.done] == [True, True, False, False, False, False]
    batcher.baton.close()
    os.close(pipe)
    os.close(to_send)


def test_the_pipes_end_stops_every_lane(tmp_path):
    pool = make_pool(tmp_path, [4, 4, 4])
    served = drive(pool, range(3), [0] * 3, Batching(64, 1.0), 3, row_wise, tmp_path, stops=0)
    assert len(served.kept) == 3


def test_joined_calls_are_filled_with_referenced_requests(tiny_prepared, tmp_path):
    pool = tiny_prepared.requests()
    batches = fillings(pool, 24)
    assert all(len(batch) > 1 and sum(pool.items[batch]) <= 24 for batch in batches)
    assert [index for batch in batches for index in batch] == list(range(pool.references))
    assert fillings(make_pool(tmp_path, [40, 40]), 64) == [], "no two of them fit"


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(2, 512))
@settings(max_examples=40, deadline=None)
def test_joined_calls_go_down_by_powers_of_two_to_the_two_smallest_requests(tmp_path_factory, rows, most):
    pool = make_pool(tmp_path_factory.mktemp("pool"), rows)
    sizes = [int(pool.items[call].sum()) for call in joined_sizes(pool, most)]
    limits = [most, *(2**k for k in reversed(range(9)) if 2**k < most)]
    assert all(size <= limit for size, limit in zip(sizes, limits, strict=False))
    two = sum(sorted(rows)[:2])
    assert len(sizes) == (len([limit for limit in limits if limit >= two]) if len(rows) > 1 else 0)


def test_joined_calls_are_as_full_as_they_can_be(tmp_path):
    pool = make_pool(tmp_path, [3, 40] * 20)
    assert [int(pool.items[call].sum()) for call in joined_sizes(pool, 64)] == [60, 30, 15, 6]


@given(st.lists(st.integers(1, 40), max_size=50), st.integers(1, 64))
def test_calls_hold_all_requests_in_order_and_as_many_as_fit(items, most_items):
    calls = filled(items, range(len(items)), most_items)
    sizes = [sum(items[index] for index in call) for call in calls]
    assert [index for call in calls for index in call] == list(range(len(items)))
    assert all(size <= most_items or len(call) == 1 for size, call in zip(sizes, calls, strict=True))
    assert all(size + items[after[0]] > most_items for size, after in zip(sizes, calls[1:], strict=False))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (Tensor("history", "int64", (1, 10), "request"), "input 'history' belongs to the request as a whole"),
        (Tensor("image", "float32", (4, 10)), "input 'image' has a fixed number of rows"),
    ],
)
def test_models_whose_requests_cannot_be_joined_are_unsupported(tensor, words):
    with pytest.raises(Unsupported, match=words):
        require_joinable(Artifact(Path(), "fp32", (*INPUTS, tensor), ("score",)))


def test_answers_without_a_row_for_each_row_are_unsupported():
    require_rows({"score": np.zeros((9, 3))}, 9)
    with pytest.raises(Unsupported, match=r"cannot split output 'loss': shape \(\) for 9 rows"):
        require_rows({"score": np.zeros(9), "loss": np.float32(1)}, 9)


BATCHED = Batching(24, 3.0)


@pytest.mark.parametrize(
    ("name", "instances", "setting"),
    [
        ("Honest", "threads", Setting("1x1")),
        ("Honest", "threads", Setting("2x1", instances=2)),
        ("InProcesses", "processes", Setting("2x1", instances=2)),
    ],
)
def test_an_engine_behind_a_batcher_plays_blocks(bench, tiny_prepared, tmp_path, name, instances, setting):
    with bench.start(name, instances=instances, setting=setting.batched(BATCHED)) as engine:
        assert engine.loaded.details["affinity_kept"] == 1
        for qps, seed in ((1500, 3), (300, 4)):
            block = engine.open(poisson(qps, 0.4, seed), 5.0, seed=seed)
            assert block.answered.all()
            assert block.facts["errors"] == 0
            assert block.facts["verified"] > 0
            assert block.facts["worst_error"] < 1e-5
            assert (block.started_ns >= block.sent_ns).all()
            calls = calls_of(block.started_ns, block.done_ns).values()
            assert max(map(len, calls)) > 1, "some are joined"
            assert all(block.items[steps].sum() <= BATCHED.most_items for steps in calls)
        closed = engine.closed(0.1)
        assert set(closed.items.tolist()) <= {4, 8}, "in a closed loop nothing waits"
        engine.score(tmp_path / "scores.npy", 30)
        np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), tiny_prepared.holdout().reference, atol=1e-5)


@pytest.mark.parametrize("instances", ["threads", "processes"])
def test_held_out_requests_are_scored_in_joined_calls_where_that_is_asked(bench, tiny_prepared, tmp_path, instances):
    """2,000 rows in requests of 100, by an engine whose answer depends on all that is in a call."""
    reference = tiny_prepared.holdout().reference

    def coarse(rows):
        step = np.abs(reference[rows]).max() / 20
        return np.round(reference[rows] / step) * step

    scored = {}
    setting = Setting("2x1", instances=2).batched(Batching(350, 1.0))
    with bench.start("Coarse", instances=instances, setting=setting, lossy=True) as engine:
        for most_items, size in ((None, 100), (350, 300), (50, 100)):
            engine.score(tmp_path / "scores.npy", 30, most_items)
            scored[most_items] = np.load(tmp_path / "scores.npy")
            expected = np.concatenate([coarse(slice(at, at + size)) for at in range(0, len(reference), size)])
            np.testing.assert_allclose(scored[most_items], expected, atol=1e-5)
    assert np.mean(np.abs(scored[350] - scored[None]) > 1e-3) > 0.1


def test_joining_carries_what_one_at_a_time_cannot(bench):
    """A call of 20 ms whatever its size: 50 a second alone, six times as many joined."""
    setting = Setting("1x1").batched(Batching(64, 5.0))
    with bench.start("Sluggish", setting=setting) as engine:
        block = engine.open(poisson(200, 1.0, 1), grace_s=3.0)
        assert block.answered.mean() > 0.9
        over = engine.open(poisson(4000, 0.3, 1), grace_s=0.3)
        assert 0.01 < over.error_rate() < 1, "what is too much is dropped"
        assert engine.open(poisson(20, 0.3, 1), grace_s=5.0).answered.all(), "and nothing of it is left over"


def test_no_size_of_call_is_new_in_a_block(bench):
    with bench.start("Compiles", setting=Setting("1x1").batched(Batching(512, 5.0))) as engine:
        block = engine.open(poisson(400, 1.0, 1), grace_s=5.0)
    assert block.service_ms().max() < 350


def test_the_replay_of_a_batchers_queue_is_near_what_was_measured(bench):
    """A call of 20 ms and more whatever its size, at twice what it could answer one at a time."""
    batching = Batching(64, 5.0)
    with bench.start("Sluggish", setting=Setting("1x1").batched(batching)) as engine:
        block = engine.open(poisson(100, 2.0, 1), grace_s=5.0)
    service = fit_service(block.started_ns, block.done_ns, block.items)
    replayed_s = batched_sojourns_s(block.scheduled_ns / 1e9, block.items, service, 1, batching)
    replayed_ms = 1e3 * (replayed_s + batched_dispatch_s(block, batching))
    for percentile in (50, 90):
        measured_ms = np.percentile(block.latency_ms(), percentile)
        assert np.percentile(replayed_ms, percentile) == pytest.approx(measured_ms, rel=0.3)
    alone_ms = 1e3 * sojourns_s(block.scheduled_ns / 1e9, np.full(len(block), np.median(block.service_ms()) / 1e3), 1)
    assert np.percentile(alone_ms, 50) > 3 * np.percentile(replayed_ms, 50), "one at a time it would have drowned"


def test_errors_behind_a_batcher_count_every_request(bench, cue):
    with bench.start("RaisesLater", setting=Setting("1x1").batched(BATCHED)) as engine:
        cue.touch()
        block = engine.open(poisson(1000, 0.5, 1), 2.0)
        assert 0 < block.facts["errors"] == (~block.answered).sum() < len(block)


@pytest.mark.parametrize("instances", ["threads", "processes"])
def test_a_worker_behind_a_batcher_that_dies_is_noticed_at_once(bench, cue, instances):
    setting = Setting("2x1", instances=2).batched(BATCHED)
    with bench.start("DiesLater", instances=instances, setting=setting) as engine:
        cue.touch()
        with pytest.raises(StageFailed) as failed:
            engine.open(poisson(100, 60, 1), grace_s=60)
        assert (failed.value.stage, failed.value.outcome) == ("serve", "crashed")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("OneSize", "2 requests joined (12 rows) fail where one alone does not: ValueError: only 4 or 8 rows"),
        ("Shrinks", "a batcher cannot split output 'score': shape (8,) for 12 rows of input"),
        ("Crosswise", "joining requests changes their answers, as where rows depend on each other: answers differ"),
    ],
)
def test_engines_that_cannot_take_joined_requests_are_unsupported(bench, name, reason):
    with bench.start(name) as engine:
        assert engine.closed(0.05).answered.all()
    with pytest.raises(StageFailed) as failed:
        bench.start(name, setting=Setting("1x1").batched(Batching(12, 1.0)))
    assert (failed.value.stage, failed.value.outcome) == ("verify", "unsupported")
    assert failed.value.reason.startswith(reason)


def test_a_model_with_an_input_of_the_whole_request_is_unsupported_at_load(bench):
    whole = (replace(bench.artifact.inputs[0], per="request"), *bench.artifact.inputs[1:])
    with pytest.raises(StageFailed) as failed:
        bench.start("Honest", artifact=replace(bench.artifact, inputs=whole), setting=Setting("1x1").batched(BATCHED))
    assert (failed.value.stage, failed.value.outcome) == ("load", "unsupported")
    assert "input 'dense' belongs to the request as a whole" in failed.value.reason
