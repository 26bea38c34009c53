import math
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bakeoff.errors import UserError
from bakeoff.store.record import LedgerRow, Quality
from bakeoff.store.store import Store


def stamps(block):
    columns = ("request", "items", "scheduled_ns", "sent_ns", "started_ns", "done_ns")
    return [getattr(block, name).tolist() for name in columns], block.wall_ns, block.cpu_ns, dict(block.facts)


def test_what_is_written_is_read_back(store, begun, candidate, block):
    run = begun(store)
    measured = block(unanswered=3, peak_memory_bytes=5, note="x")
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    row = LedgerRow("build", "ok", "", 1.5, "bakeoff run", at, {"artifact_bytes": 12})
    store.add_row(run, "ctr", candidate.id, row)
    store.add_row(run, "ctr", None, LedgerRow("prepare", "ok"))
    store.add_block(run, "ctr", candidate.id, 1, 0, measured)
    store.add_quality(run, "ctr", candidate.id, [Quality("logloss", 0.5, 0.4, 0.1, 0.05, 0.15, 1000, False)])
    store.finish(run, "finished")
    record = store.load(run)
    assert (record.status, record.command, record.budget_s, record.seed) == ("finished", "bakeoff run x.yaml", 90.0, 7)
    assert record.host == {"cpus": 2}
    assert record.environment == {"python": "3.11"}
    assert record.finished_at > record.started_at
    (scenario,) = record.scenarios
    assert scenario.definition["traffic"] == {"kind": "server", "qps": 100.0}
    assert scenario.workload == {"data": "real"}
    assert [row.stage for row in scenario.ledger] == ["prepare"]
    (found,) = scenario.candidates
    assert found.candidate == candidate
    assert found.facts == {"version": "1.2"}
    assert found.ledger == (row,)
    assert found.quality == (Quality("logloss", 0.5, 0.4, 0.1, 0.05, 0.15, 1000, False),)
    assert [(entry.round, entry.position) for entry in found.blocks] == [(1, 0)]
    assert stamps(found.blocks[0].block) == stamps(measured)


def test_looks_at_the_noise_are_added_and_leave_the_facts(store, begun):
    run = begun(store)
    assert store.load(run).noise == ()
    store.add_noise(run, "before", {"lost": 0.1, "load": math.nan})
    store.add_noise(run, "after", {"lost": 0.2})
    record = store.load(run)
    assert record.noise == [{"when": "before", "lost": 0.1, "load": None}, {"when": "after", "lost": 0.2}]
    assert record.host["cpus"] == 2


def test_packages_of_runs_new_and_old(store, begun):
    run = begun(store)
    assert store.load(run).packages == {"python": "3.11"}
    later = store.begin("bakeoff run", {}, {"python": "3.11", "packages": {"numpy": "2.4"}})
    assert store.load(later).packages == {"numpy": "2.4"}


def test_what_databases_refuse_is_stored_all_the_same(store, begun, candidate):
    run = begun(store)
    odd = LedgerRow(
        "probe", "failed", "nul \x00 and half a pair \ud800", math.nan, facts={"p": math.inf, "n": np.int64(3)}
    )
    store.add_row(run, "ctr", candidate.id, odd)
    store.add_quality(run, "ctr", candidate.id, [Quality("auc", math.nan, 0.7, math.nan, -math.inf, math.inf, 5)])
    (found,) = store.load(run).scenarios[0].candidates
    assert "nul \ufffd and" in found.ledger[0].reason
    assert math.isnan(found.ledger[0].seconds)
    assert found.ledger[0].facts == {"p": None, "n": 3}
    assert math.isnan(found.quality[0].value)
    assert math.isnan(found.quality[0].low)


def test_adding_again_changes_facts_and_figures_but_never_the_question(store, begun, candidate):
    run = begun(store)
    store.add_scenario(run, "ctr", {"other": 1})
    store.add_scenario(run, "ctr", {"other": 1}, {"data": "generated"})
    store.add_candidate(run, "ctr", candidate, {"version": "2"})
    store.add_candidate(run, "ctr", candidate)
    for value in (0.6, 0.7):
        store.add_quality(run, "ctr", candidate.id, [Quality("auc", value, 0.7, 0.0, 0.0, 0.0, 5)])
    (scenario,) = store.load(run).scenarios
    assert "other" not in scenario.definition
    assert scenario.workload == {"data": "generated"}
    assert scenario.candidates[0].facts == {"version": "2"}
    assert [quality.value for quality in scenario.candidates[0].quality] == [0.7]


def test_a_resumed_run_finds_what_was_measured(store, begun, candidate, block):
    run = begun(store)
    store.add_block(run, "ctr", candidate.id, 2, 1, block())
    assert store.has_block(run, "ctr", candidate.id, 2, 1)
    assert not store.has_block(run, "ctr", candidate.id, 2, 0)
    assert not store.has_block(run, "other", candidate.id, 2, 1)
    store.finish(run, "stopped")
    store.set_status(run, "running")
    assert store.load(run).finished_at is None


def test_the_same_block_twice_is_refused_in_one_line(store, begun, candidate, block):
    run = begun(store)
    store.add_block(run, "ctr", candidate.id, 1, 0, block())
    with pytest.raises(UserError, match="already has block 0 of round 1"):
        store.add_block(run, "ctr", candidate.id, 1, 0, block())


def test_a_row_for_what_was_never_added_is_a_bug(store, begun):
    run = begun(store)
    with pytest.raises(LookupError, match="candidate 'nobody'"):
        store.add_quality(run, "ctr", "nobody", [])
    with pytest.raises(LookupError, match="scenario 'other'"):
        store.add_row(run, "other", None, LedgerRow("x", "ok"))
    with pytest.raises(LookupError, match="run 'nil'"):
        store.add_scenario("nil", "ctr", {})


def test_runs_are_named_by_latest_id_or_beginning(store):
    with pytest.raises(UserError, match="holds no runs yet"):
        store.latest()
    first, second = (store.begin("x", {}, {}) for _ in range(2))
    assert store.runs() == (second, first)
    assert store.latest() == second
    assert store.resolve(first) == first
    unique = next(first[:i] for i in range(1, 21) if not second.startswith(first[:i]))
    assert store.resolve(unique) == first
    with pytest.raises(UserError, match="fits 2 runs"):
        store.resolve("20")
    with pytest.raises(UserError, match=r"there is no run 'zzz'; write latest or one of "):
        store.resolve("zzz")
    with pytest.raises(UserError, match="there is no run ''"):
        store.resolve("")
    with pytest.raises(UserError, match="there is no run 'nil'"):
        store.load("nil")


def test_a_taken_id_is_drawn_again(store, monkeypatch):
    drawn = iter(["aaaa", "aaaa", "bbbb", "cccc"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    assert store.begin("x", {}, {}) != store.begin("x", {}, {})


def test_stamps_are_fetched_only_when_asked_for(store, begun, candidate, block, monkeypatch):
    run = begun(store)
    store.add_block(run, "ctr", candidate.id, 1, 0, block())

    def never(_):
        raise AssertionError("decoded too early")

    monkeypatch.setattr("bakeoff.measure.block.Block.from_bytes", never)
    entry = store.load(run).scenarios[0].candidates[0].blocks[0]
    with pytest.raises(AssertionError, match="too early"):
        _ = entry.block


WRITER = textwrap.dedent(
    """
    import sys
    from conftest import make_block, DEFINITION
    from bakeoff.backends import Setting
    from bakeoff.candidates import Candidate
    from bakeoff.store.store import Store
    place, count = sys.argv[1], int(sys.argv[2])
    with Store.open(place) as store:
        run = store.begin("writer", {}, {})
        store.add_scenario(run, "ctr", DEFINITION)
        store.add_candidate(run, "ctr", Candidate("x", "fp32", Setting("1x1")))
        print(run, flush=True)
        for position in range(count):
            store.add_block(run, "ctr", "x/fp32/1x1", 1, position, make_block(50))
            print(position, flush=True)
    """
)


def start_writer(place, count):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(place), str(count)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_two_writers_at_once_lose_nothing(place):
    writers = [start_writer(place, 40) for _ in range(2)]
    outputs = [writer.communicate()[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    with Store.open(place, create=False) as store:
        for run, *_ in outputs:
            blocks = store.load(run).scenarios[0].candidates[0].blocks
            assert [entry.position for entry in blocks] == list(range(40))


def test_a_killed_writer_loses_at_most_the_block_in_flight(tmp_path):
    place = tmp_path / "b.db"
    writer = start_writer(place, 100_000)
    run = writer.stdout.readline().strip()
    for _ in range(5):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in writer.stdout if line.strip().isdigit())])
    writer.stdout.close()
    writer.wait()
    with Store.open(place, create=False) as store:
        record = store.load(run)
        assert record.status == "running"
        blocks = record.scenarios[0].candidates[0].blocks
        assert len(blocks) in (last + 1, last + 2)
        assert all(len(entry.block) == 50 for entry in blocks)
