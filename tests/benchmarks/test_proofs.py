"""Small versions of the proofs, and that each of them can fail."""

import json
import math
import time

import marked
import numpy as np
import pytest
import trust
from proofs import accepts, against, losses, million, saturated, simulated, tables, telling, twins, worker
from proofs.echo import echo_order
from proofs.proof import Proof
from proofs.queues import SERVICES, block, latencies_s

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.contest.plan import Entry, Question
from bakeoff.decide import search, sla
from bakeoff.measure import procs
from bakeoff.measure.engine_room import Engine
from bakeoff.scenario import from_dict

pytestmark = pytest.mark.engines


@pytest.mark.parametrize("kind", SERVICES)
def test_the_exact_tails_are_those_of_the_simulated_queues(kind):
    service = SERVICES[kind]
    latencies = latencies_s(service, 0.7, 400_000, np.random.default_rng(1))[2]
    for percentile, error in ((50.0, 0.05), (90.0, 0.15), (99.0, 0.3)):
        limit = service.latency_s(0.7, percentile)
        assert (latencies > limit).mean() == pytest.approx(1 - percentile / 100, rel=error)
    assert service.capacity_qps(service.latency_s(0.7, 99.0), 99.0) == pytest.approx(0.7)


def test_exact_tails_in_cases_known_by_heart():
    mm1, md1 = SERVICES["M/M/1"], SERVICES["M/D/1"]
    assert mm1.latency_s(0.5, 99.0) == pytest.approx(math.log(100) / 0.5)
    assert md1.exceedance(0.5, 0.99) == 1.0
    assert md1.exceedance(0.5, 1.0) == pytest.approx(0.5), "an arrival waits with probability rho"


def test_a_simulated_block_is_its_queue():
    made = block(SERVICES["M/E4/1"], 0.7, 3000, np.random.default_rng(2), unit_s=2e-3, warm_up=0)
    assert made.offered_qps == pytest.approx(350)
    assert made.answered.all()
    assert made.scheduled_ns[0] > 0
    assert made.service_ms().mean() == pytest.approx(2, rel=0.1)
    assert (made.started_ns[1:] >= made.done_ns[:-1] - 1).all(), "one at a time"


def test_engines_at_their_limit_hardly_ever_pass():
    assert simulated.borderline(engines=45, looks=8).figures["passed"] <= 2


def test_the_proof_of_that_fails_where_clumps_are_taken_for_independent(monkeypatch):
    monkeypatch.setattr(sla, "_clumping", lambda *_: 1.0)
    assert not simulated.borderline(engines=45, looks=8).held


def test_a_search_accepts_hardly_a_rate_above_the_capacity():
    found = accepts.accepts(searches=40)
    assert found.held
    assert found.figures["accepted"] >= 38


def test_the_proof_of_that_fails_where_any_share_over_the_limit_will_do(monkeypatch):
    monkeypatch.setattr(sla, "log_evidence", lambda late, count, allowed, below: math.inf if below else -math.inf)
    monkeypatch.setattr(search, "FARTHEST", 1.5)
    assert not accepts.accepts(searches=8).held


def test_intervals_of_p99_cover_the_truth():
    found = simulated.coverage(runs=60)
    assert sum(found.figures[kind] for kind in simulated.KINDS) >= 50


def test_the_proof_of_that_fails_where_clumps_are_taken_for_independent_too(monkeypatch):
    monkeypatch.setattr(sla, "_clumping", lambda *_: 1.0)
    monkeypatch.setattr(sla, "BATCHES", 2000)
    assert not simulated.coverage(runs=60).held


@pytest.mark.alone
@pytest.mark.slow
def test_a_long_block_takes_little_of_the_parents_memory():
    found = million.grown_mb(200_000)
    assert found["answered"] == 1.0
    assert max(found["played_mb"], found["stored_mb"]) <= 0.25 * million.LIMIT_MB


@pytest.mark.alone
@pytest.mark.slow
def test_a_worker_adds_little_to_its_engine(tmp_path):
    order = echo_order(tmp_path)
    alone_mb, imports_mb = worker.alone(order)
    assert 0 <= imports_mb < alone_mb
    assert -5 < worker.served(order) - alone_mb + imports_mb < worker.LIMIT_MB


@pytest.mark.alone
@pytest.mark.slow
def test_a_saturated_engine_is_compared_with_its_closed_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(saturated, "SECONDS", 1.0)
    with Engine.start(echo_order(tmp_path), 60.0) as engine:
        found = [saturated._pair(engine, seed) for seed in (0, 1)]
    for pair in found:
        assert 0.05 < pair["ratio"] < 1.5
        assert pair["closed_qps"] > 1000
        assert pair["cpu_ratio"] > 0.5


@pytest.mark.slow
def test_twins_go_through_the_whole_contest(tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    traffic = {"kind": "server", "qps": 100, "duration": "500ms", "batch_size": 4}
    scenario = from_dict(
        {"name": "twins", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "1s", "error_rate": "50%"}}
        | {"resources": {"cpus": 1}}
    )
    entry = Entry(
        Candidate("onnxruntime", "fp32", Setting("1x1")), "bakeoff_backends.onnx_runtime:OnnxRuntime", "threads"
    )
    asked = twins.paired(Question(scenario, tiny_prepared, (entry,)))
    assert [each.candidate.id for each in asked.entries] == ["onnxruntime/fp32/1x1", "onnxruntime-twin/fp32/1x1"]
    found = twins.run(asked, budget_s=30.0)
    assert 0 <= found.apart < math.inf
    dropped_on_one_block = found.dearer is None
    assert dropped_on_one_block or found.dearer.low <= found.dearer.value <= found.dearer.high


@pytest.mark.quality
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_quantised_tables_take_what_they_claim_on_disk_and_in_memory(engine):
    found = {each.variant: each for each in tables.taken([engine])}
    assert found["fp32"].on_disk == pytest.approx(1, abs=0.01)
    assert found["fp32"].resident > 0.9, "every row was looked up"
    for variant, limit in tables.LIMITS.items():
        assert found[variant].on_disk <= limit
        assert found[variant].resident <= limit
        assert found[variant].resident_of_own <= limit


@pytest.mark.quality
def test_the_proof_of_that_sees_tables_that_stay_wide():
    """At a size where what an engine adds is more than the tables, the claim is not met."""
    found = {each.variant: each for each in tables.taken(["onnxruntime"], 16_000)}
    assert found["fp32"].table_bytes == 16_000 * 32 * 4
    assert found["embed-int8"].table_bytes == 16_000 * 34
    assert found["fp32"].decoding_bytes == 0
    assert not found["embed-int4"].holds


@pytest.mark.alone
def test_outside_load_uses_the_machine_and_ends():
    with twins.outside_load() as process:
        deadline = time.monotonic() + 60
        while not (used_s := twins.load_s(process)) and time.monotonic() < deadline:
            time.sleep(0.05)
        its_own = procs.descendants(process.pid)
    assert used_s > 0
    deadline = time.monotonic() + 60
    while any(procs.resident_bytes(pid) for pid in its_own) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(procs.resident_bytes(pid) for pid in its_own)


LOAD = {
    "ours": {"lateness_p50_us": 0.3},
    "ratios": {"p50_error": 0.4, "p99_error": 0.9, "lateness_p50": 0.1, "lateness_p99": 0.8},
}


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("ratios", "p50_error", 0.6),
        ("ratios", "p99_error", 1.1),
        ("ratios", "lateness_p99", 1.2),
        ("ours", "lateness_p50_us", 2.5),
    ],
)
def test_the_comparison_with_loadgen_holds_each_figure_to_its_bar_at_each_load(part, name, value):
    assert against.judged({"loads": {"50%": LOAD, "80%": LOAD}}, 6).held
    worse = LOAD | {part: LOAD[part] | {name: value}}
    assert not against.judged({"loads": {"50%": LOAD, "80%": worse}}, 6).held


@pytest.mark.parametrize("name", trust.PROOFS)
def test_every_proof_can_be_found(name):
    assert trust.proof(name).__doc__


PROVED = Proof("a claim", "at most 1", "2", held=False, figures={"figure": 2})


def test_the_table_and_the_status_say_what_was_missed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(trust, "proof", lambda name: lambda: PROVED)
    page = tmp_path / "page.md"
    page.write_text(
        f"before\n<!-- proofs -->\n{telling.row(trust.COMMAND, 'worker', PROVED)}\n<!-- /proofs -->\nafter\n"
    )
    assert trust.main(["--only", "rate", "--into", str(page)]) == 1
    assert (
        "| a claim | at most 1 | 2 | **no** | `python tests/benchmarks/trust.py --only rate` |"
        in capsys.readouterr().out
    )
    lines = page.read_text().splitlines()
    assert [line.rpartition("--only ")[2] for line in lines if "--only" in line] == ["rate` |", "worker` |"]
    assert (lines[0], lines[-1]) == ("before", "after")
    assert trust.main(["--only", "rate", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["rate"]["figures"] == {"figure": 2}
    with pytest.raises(SystemExit):
        marked.rewrite("no marks", trust.MARK, str)


def test_losses_agree_where_the_earlier_interval_or_the_seeds_leave_room():
    assert losses.Beside("prune:0.5", [-0.0013, -0.0015], (-0.0014, 0.0002)).agrees
    assert losses.Beside("prune:0.9", [-0.05, -0.07, -0.06], (-0.0741, 0.0026)).agrees, "seeds differ by as much"
    assert not losses.Beside("prune:0.9", [-0.06, -0.061, -0.062], (-0.0741, 0.0026)).agrees
    assert losses.Beside("int8", [-0.0002, -0.0003], (-0.0009, 0.0005), another_seed=0.002).agrees
    assert not losses.Beside("int8", [-0.0002, -0.0003], (-0.0009, 0.0005)).agrees
