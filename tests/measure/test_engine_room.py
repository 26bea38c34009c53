"""Engines in their own processes: what a well-behaved one gives, and how each misbehaving one ends."""

import os
import time

import numpy as np
import pytest

from bakeoff.backends import Resources, Setting
from bakeoff.measure import assembly
from bakeoff.measure.block import NEVER
from bakeoff.measure.engine_room import Engine, Interpreter, StageFailed, build, probe
from bakeoff.measure.traffic import poisson

pytestmark = pytest.mark.alone

ONE_CPU = Resources(1)


def sound(block) -> None:
    assert block.answered.all()
    assert (block.started_ns >= block.sent_ns).all()
    assert (block.done_ns > block.started_ns).all()
    assert (block.sent_ns >= block.scheduled_ns).all()
    assert set(block.items.tolist()) <= {4, 8}
    assert block.wall_ns >= block.done_ns.max()
    assert block.cpu_ns > 0
    assert block.facts["verified"] > 0
    assert block.facts["worst_error"] < 1e-5
    assert block.facts["errors"] == 0
    assert block.facts["over_budget"] == 0
    assert block.facts["warmup_requests"] > 0


@pytest.mark.parametrize(
    ("name", "instances", "setting"),
    [
        ("Honest", "threads", Setting("1x1")),
        ("Honest", "threads", Setting("2x1", instances=2)),
        ("InProcesses", "processes", Setting("2x1", instances=2)),
    ],
)
def test_an_engine_plays_blocks_and_scores(bench, tiny_prepared, tmp_path, name, instances, setting):
    with bench.start(name, instances=instances, setting=setting) as engine:
        assert engine.lanes == setting.instances
        loaded = engine.loaded
        assert 0 < loaded.load_s < loaded.startup_s
        assert loaded.memory_bytes > 10 << 20
        assert loaded.threads >= setting.instances
        assert loaded.warmup_requests > 0
        assert loaded.worst_error < 1e-5
        assert loaded.details["affinity_kept"] == 1

        closed = engine.closed(0.1)
        sound(closed)
        assert closed.kind == "closed"
        assert closed.facts["lanes"] == setting.instances
        np.testing.assert_array_equal(closed.scheduled_ns, closed.started_ns)
        assert len(engine.closed(5.0, limit=7, lanes=1)) == 7

        joined = engine.closed(0.1, lanes=1, join=8)
        assert 8 * 4 <= joined.items.min() <= joined.items.max() <= 8 * 8
        assert joined.facts["verified"] > 0

        arrivals_ns = poisson(200, 0.5, 3)
        opened = engine.open(arrivals_ns, 2.0, seed=5, offered_qps=200)
        sound(opened)
        assert opened.offered_qps == 200
        np.testing.assert_array_equal(opened.scheduled_ns, arrivals_ns)
        again = engine.open(arrivals_ns, 2.0, seed=5)
        np.testing.assert_array_equal(opened.request, again.request)
        assert len(np.unique(opened.request)) > 50, "each request has its own input"

        assert engine.score(tmp_path / "scores.npy", 30) > 0
        np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), tiny_prepared.holdout().reference, atol=1e-5)


def test_requests_have_the_sizes_that_are_asked_for(bench):
    items = np.array([1, 5, 7, 300] * 25, np.int32)
    with bench.start("Honest") as engine:
        block = engine.open(poisson(400, 0.25, 3), 2.0, seed=5, items=items)
    sound(block)
    assert block.items.tolist() == [4, 4, 8, 8] * 25


def test_what_an_overloaded_engine_cannot_answer_is_dropped_soon(bench):
    with bench.start("Sluggish") as engine:
        begun = time.monotonic()
        block = engine.open(poisson(2000, 0.3, 1), grace_s=0.3)
        assert time.monotonic() - begun < 5, "600 requests of 20 ms would take 12 s"
        assert 0 < block.answered.sum() < 100
        assert block.error_rate() > 0.8
        dropped = ~block.answered
        assert np.isinf(block.latency_ms()[dropped]).all()
        assert block.latency_ms()[block.answered].max() > 200, "latency runs from the scheduled arrival"
        sound_after = engine.open(poisson(20, 0.3, 1), grace_s=5.0)
        assert sound_after.answered.all(), "nothing of the last block is left in the pipe"


def test_requests_that_raise_are_unanswered_and_counted(bench, cue):
    with bench.start("RaisesLater") as engine:
        cue.touch()
        for block in (engine.open(poisson(200, 0.5, 1), 2.0), engine.closed(0.1)):
            assert 0.05 < block.error_rate() < 0.15
            assert block.facts["errors"] == (block.done_ns == NEVER).sum()
            assert block.facts["first_error"] == "RuntimeError: one in ten"


def test_probe_tells_what_the_backend_offers(tmp_path):
    probed = probe("naughty_backends:Honest", "cpu", Resources(2), tmp_path / "log")
    assert probed.facts.version == "1.0"
    assert probed.precisions == ("fp32",)
    assert [setting.name for setting in probed.settings] == ["1x2"]
    assert probed.instances == "threads"


@pytest.mark.parametrize(
    ("target", "outcome", "reason", "remedy"),
    [
        ("naughty_backends:IsNotHere", "unavailable", "the engine is not installed", "pip install engine"),
        ("naughty_backends:NotAClass", "failed", "cannot be imported: AttributeError", ""),
        ("naughty_module_that_is_not_there:Backend", "failed", "cannot be imported: ModuleNotFoundError", ""),
    ],
)
def test_a_probe_that_fails_says_why(tmp_path, target, outcome, reason, remedy):
    with pytest.raises(StageFailed) as failed:
        probe(target, "cpu", ONE_CPU, tmp_path / "log")
    assert (failed.value.stage, failed.value.outcome, failed.value.remedy) == ("probe", outcome, remedy)
    assert reason in failed.value.reason
    assert failed.value.facts["log"] == str(tmp_path / "log")


def test_an_interpreter_that_cannot_start_is_a_row_too(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such luck\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(StageFailed, match="crashed: exited with status 3: no such luck"):
        probe("naughty_backends:Honest", "cpu", ONE_CPU, tmp_path / "log", interpreter=Interpreter(str(broken)))


def test_an_interpreter_that_is_gone_is_a_row_for_every_stage(bench, tmp_path):
    gone = Interpreter(str(tmp_path / "environment" / "bin" / "python"))
    with pytest.raises(StageFailed) as failed:
        probe("naughty_backends:Honest", "cpu", ONE_CPU, tmp_path / "log", interpreter=gone)
    assert (failed.value.stage, failed.value.outcome) == ("probe", "unavailable")
    assert failed.value.reason == f"{gone.python} cannot be started: No such file or directory"
    with pytest.raises(StageFailed) as failed:
        bench.start("Honest", interpreter=gone)
    assert (failed.value.stage, failed.value.outcome) == ("load", "unavailable")


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("CannotBuild", "unsupported", "operator Frobnicate is not known"),
        ("RaisesInBuild", "failed", "RuntimeError: no can do"),
    ],
)
def test_a_build_that_fails_says_why(tiny_prepared, tmp_path, name, outcome, reason):
    with pytest.raises(StageFailed) as failed:
        build(
            f"naughty_backends:{name}", tiny_prepared.folder, "base", "fp32", Setting("1x1"), "cpu",
            tmp_path / "artifact", tmp_path / "log", 60, (0,),
        )  # fmt: skip
    assert (failed.value.stage, failed.value.outcome, failed.value.reason) == ("build", outcome, reason)


@pytest.mark.parametrize(
    ("name", "stage", "outcome", "reason"),
    [
        ("RaisesInLoad", "load", "failed", "ValueError: bad artifact"),
        ("FindsNoGpuMemory", "load", "out-of-memory", "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"),
        ("RaisesInInfer", "verify", "failed", "RuntimeError: infer went wrong"),
        ("Aborts", "verify", "crashed", "killed by SIGABRT: assertion failed: x > 0"),
        ("Segfaults", "verify", "crashed", "killed by SIGSEGV"),
        ("ReturnsNan", "verify", "wrong-output", "output 'score' holds NaN or infinity where the reference does not"),
        ("WrongShape", "verify", "wrong-output", "output 'score' has shape (1,), the reference (4,)"),
    ],
)
def test_an_engine_that_misbehaves_never_starts(bench, name, stage, outcome, reason):
    with pytest.raises(StageFailed) as failed:
        bench.start(name)
    assert (failed.value.stage, failed.value.outcome, failed.value.reason) == (stage, outcome, reason)


def test_an_engine_that_hangs_with_the_gil_held_times_out(bench):
    begun = time.monotonic()
    with pytest.raises(StageFailed) as failed:
        bench.start("Hangs", limit_s=4)
    assert (failed.value.stage, failed.value.outcome) == ("verify", "timeout")
    assert time.monotonic() - begun < 30


def test_an_engine_that_hangs_in_a_block_times_out(bench, cue):
    with bench.start("HangsLater", patience_s=1.0) as engine:
        cue.touch()
        with pytest.raises(StageFailed) as failed:
            engine.open(poisson(100, 0.2, 1), grace_s=0.2)
        assert (failed.value.stage, failed.value.outcome) == ("serve", "timeout")


@pytest.mark.parametrize("instances", ["threads", "processes"])
def test_a_worker_that_dies_in_a_block_is_noticed_at_once(bench, cue, instances):
    with bench.start("DiesLater", instances=instances, setting=Setting("2x1", instances=2)) as engine:
        begun = time.monotonic()
        cue.touch()
        with pytest.raises(StageFailed) as failed:
            engine.open(poisson(100, 60, 1), grace_s=60)
        assert (failed.value.stage, failed.value.outcome, failed.value.reason) == (
            "serve",
            "crashed",
            "killed by SIGKILL",
        )
        assert time.monotonic() - begun < 30


def test_an_engine_that_stops_computing_is_caught_inside_the_block(bench):
    with bench.start("Lazy") as engine, pytest.raises(StageFailed) as failed:
        engine.closed(0.1)
    assert (failed.value.stage, failed.value.outcome) == ("serve", "wrong-output")
    assert "differ from the reference" in failed.value.reason
    with bench.start("Lazy", lossy=True) as engine, pytest.raises(StageFailed, match="wrong-output"):
        engine.open(poisson(200, 0.5, 1), 1.0)


def test_an_engine_that_chatters_does_no_harm(bench, tmp_path):
    with bench.start("Chatters") as engine:
        sound(engine.closed(0.1))
    assert "engine says hello" in (tmp_path / "Chatters.log").read_text(errors="replace")


def test_an_engine_above_its_memory_limit_is_ended(bench):
    with pytest.raises(StageFailed) as failed:
        bench.start("Glutton", memory_bytes=600 << 20)
    assert (failed.value.stage, failed.value.outcome) == ("load", "out-of-memory")
    assert "MiB, above the limit" in failed.value.reason
    with bench.start("Honest", memory_bytes=600 << 20) as engine:
        sound(engine.closed(0.1))


def test_two_engines_start_at_once_and_take_turns(bench):
    engines = [Engine.launch(bench.order("Honest"), 60) for _ in range(2)]
    try:
        for engine in engines:
            engine.ready(60)
        for engine in engines * 2:
            sound(engine.closed(0.05))
    finally:
        for engine in engines:
            engine.close()
            engine.close()


def test_the_legs_of_a_sprint_are_put_together_without_their_pauses(bench):
    with Engine.start(bench.order("Honest"), 60) as engine:
        legs = [engine.closed(0.02, seed=seed) for seed in range(3)]
    whole = assembly.put_together(legs)
    sound(whole)
    assert len(whole) == sum(map(len, legs))
    assert whole.service_ms() == pytest.approx(np.concatenate([leg.service_ms() for leg in legs]))
    assert np.all(np.diff(whole.started_ns) > 0)
    assert whole.done_ns.max() <= whole.wall_ns == sum(leg.wall_ns for leg in legs)
    assert whole.cpu_ns == sum(leg.cpu_ns for leg in legs)
    for name in ("verified", "warmup_requests", "involuntary_switches"):
        assert whole.facts[name] == sum(leg.facts[name] for leg in legs), name
    assert whole.facts["peak_memory_bytes"] == max(leg.facts["peak_memory_bytes"] for leg in legs)
    assert min(leg.facts["steal"] for leg in legs) <= whole.facts["steal"] <= max(leg.facts["steal"] for leg in legs)
    assert whole.facts.keys() == legs[0].facts.keys()


def test_more_cpu_than_the_budget_is_marked():
    second = 10**9
    assert not assembly.over_cpu(2 * second, second, 2)
    assert not assembly.over_cpu(second // 20, second // 1000, 1)
    assert assembly.over_cpu(3 * second, second, 2)


@pytest.mark.parametrize(
    ("used", "busy"),
    [
        pytest.param([0, 0], 0, id="idle"),
        pytest.param([900, 3, 0, 2], 1, id="one and its helpers"),
        pytest.param([500, 480, 10], 2, id="a pair"),
        pytest.param([100] * 8, 8, id="a pool"),
        pytest.param([620, 60, 51, 48, 43, 43, 43, 43], 6, id="a pool whose caller does most"),
        pytest.param([9, 1, 1, 1], 3, id="the same when there is little to do"),
    ],
)
def test_busy_threads_are_those_that_did_the_work(used, busy):
    assert assembly.busy_threads(used) == busy


def test_each_lanes_own_thread_is_free():
    assert not assembly.over_threads(2, cpus=1, lanes=1)
    assert assembly.over_threads(3, cpus=1, lanes=1)


@pytest.mark.parametrize(("name", "crowded"), [("Honest", 0), ("Crowded", 1)])
def test_a_pool_larger_than_the_budget_is_marked_though_affinity_bounds_its_cpu_time(bench, name, crowded):
    with bench.start(name, cpus=bench.order(name).cpus[:1]) as engine:
        blocks = [engine.closed(0.3), engine.open(poisson(100, 0.5, 1), 2.0)]
    for block in blocks:
        facts = block.facts
        assert (facts["over_cpu"], facts["over_threads"], facts["over_budget"]) == (0, crowded, crowded)
        assert facts["cpus"] == 1
        assert (facts["busy_threads"] > 4) == crowded
        assert facts["waited_ns"] > 0 or not crowded  # one thread alone may never have to wait


STRAYING = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one CPU there is nowhere to stray to")


@STRAYING
@pytest.mark.parametrize(("name", "kept"), [("Honest", 1), ("Strays", 0), ("StraysInAChild", 0)])
def test_an_engine_that_leaves_its_cpus_is_marked_once_loaded_and_after_each_block(bench, name, kept):
    with bench.start(name, cpus=bench.order(name).cpus[:1]) as engine:
        blocks = [engine.closed(0.1), engine.open(poisson(100, 0.2, 1), 2.0)]
    assert engine.loaded.details["affinity_kept"] == kept
    assert [block.facts["affinity_kept"] for block in blocks] == [kept, kept]


@STRAYING
@pytest.mark.parametrize("instances", ["threads", "processes"])
def test_an_engine_that_leaves_its_cpus_in_a_block_is_marked_then(bench, cue, instances):
    setting = Setting("2x1", instances=2)
    cpus = bench.order("StraysLater").cpus[:1]
    with bench.start("StraysLater", instances=instances, setting=setting, cpus=cpus) as engine:
        before = engine.closed(0.1)
        cue.touch()
        during = engine.open(poisson(100, 0.2, 1), 2.0)
    found = [engine.loaded.details["affinity_kept"], *(block.facts["affinity_kept"] for block in (before, during))]
    assert found == [1, 1, 0]


def test_an_engine_may_keep_to_fewer_cpus_than_it_was_given():
    workers = [{"affinity": [2]}, {"affinity": [2, 3]}]
    assert assembly.affinity_kept(workers, (2, 3, 4))
    assert not assembly.affinity_kept(workers, (2, 4))


def test_an_engine_that_has_next_to_nothing_to_do_is_not_crowded(bench):
    with bench.start("Honest", cpus=bench.order("Honest").cpus[:1]) as engine:
        assert engine.open(poisson(10, 0.2, 1), 2.0).facts["busy_threads"] == 1


def test_a_block_tells_what_its_workers_and_its_generator_took(bench):
    with bench.start("InProcesses", instances="processes", setting=Setting("2x1", instances=2)) as engine:
        closed, opened = engine.closed(0.2), engine.open(poisson(200, 0.5, 3), 2.0)
    for block in (closed, opened):
        facts = block.facts
        assert facts["peak_memory_bytes"] >= facts["memory_bytes"] > 10 << 20
        assert facts["worker_1_cpu_ns"] + facts["worker_2_cpu_ns"] == block.cpu_ns
        assert facts["worker_1_peak_memory_bytes"] + facts["worker_2_peak_memory_bytes"] == facts["peak_memory_bytes"]
        assert facts["waited_ns"] >= 0
        assert 0 <= facts["steal"] <= 1
    assert 0 < opened.facts["generator_cpu_ns"] <= opened.facts["generator_wall_ns"]
    assert opened.facts["generator_cpu"] == -1
    assert opened.facts["pipe_waits"] == 0
    assert not [name for name in closed.facts if name.startswith(("generator", "pipe"))]


def test_a_peak_of_memory_is_the_blocks_own(bench, cue):
    with bench.start("GrowsOnce") as engine:
        before = engine.closed(0.1).facts["peak_memory_bytes"]
        cue.touch()
        during = engine.closed(0.1).facts["peak_memory_bytes"]
        cue.unlink()
        after = engine.closed(0.1).facts["peak_memory_bytes"]
    assert during > before + (150 << 20)
    assert after < during - (150 << 20)
