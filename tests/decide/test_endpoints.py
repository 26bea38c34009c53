"""What is judged of a server elsewhere, and what is not: its client's use of this machine is no figure of it."""

import pytest

from bakeoff.decide.court import convene
from bakeoff.decide.race import contenders
from bakeoff.decide.verdict import judge_scenario
from bakeoff.store.record import LedgerRow

V2 = {"url": "http://localhost:8000", "model": "ranker"}
SERVER = "endpoint@small"


@pytest.fixture
def judged(scenario, engine):
    """The verdict on a server beside an engine of 3 ms, and its record."""

    def judge(service_ms=2.0, server=None, blocks=None, ledger=(), **changed):
        candidates = {"endpoints": {"small": V2 | (server or {})}}
        greedy = {"over_budget": 1, "over_cpu": 1, "cpus": 1, "affinity_kept": 0, **(blocks or {})}
        load = LedgerRow("load", "ok", facts={"client_ns": 400_000, "startup_s": 0.1, "memory_bytes": 10})
        one = engine(service_ms, blocks=greedy, memory=10, ledger=(load, *ledger))
        record = scenario({"own": engine(3.0), SERVER: one}, candidates=candidates, **changed)
        return judge_scenario(record), record

    return judge


def of_the_server(verdict):
    return next(one for one in verdict.candidates if one.backend == SERVER)


def test_what_its_client_used_here_is_neither_shown_nor_judged(judged):
    verdict, _ = judged(server={"cpus": 1})
    one = of_the_server(verdict)
    assert verdict.choice is not None
    assert verdict.choice.candidate == one.candidate, "blocks over the client's budget are not the server's"
    assert one.remote
    assert one.client_ms == pytest.approx(0.4)
    unseen = (one.cpu_ms_per_request, one.memory_bytes, one.load_s, one.build_s, one.artifact_bytes)
    assert unseen == (None,) * 5
    assert one.trust_notes == ()
    assert one.settings == {"connections": 1}
    own = next(each for each in verdict.candidates if each.backend == "own")
    assert (own.remote, own.client_ms) == (False, None)


def test_without_its_cores_it_has_no_cost_and_cannot_win(judged):
    verdict, record = judged()
    one = of_the_server(verdict)
    assert verdict.choice.backend == "own"
    assert (one.cost, one.yearly_cost, one.outcome) == (None, None, "undecided")
    assert one.capacity_qps > 0
    assert one.p99_ms > 0
    assert "say how many cpus it has in candidates.endpoints.small" in one.reason
    assert one.candidate in contenders(record).eliminated, "rounds would not settle it"


def test_its_own_cores_count_for_its_cost(judged):
    few, many = (of_the_server(judged(server={"cpus": cpus})[0]) for cpus in (1, 16))
    assert many.cost == pytest.approx(16 * few.cost, rel=1e-6)
    assert many.yearly_cost == pytest.approx(16 * few.yearly_cost, rel=1e-6)


def test_a_price_of_the_host_needs_no_cores(judged):
    verdict, _ = judged(price="0.34 EUR/host-hour")
    assert of_the_server(verdict).cost > 0
    assert verdict.choice.backend == SERVER


def test_the_sla_is_judged_on_the_whole_latency(judged):
    verdict, _ = judged(service_ms=9.9, server={"cpus": 1})
    one = of_the_server(verdict)
    assert one.outcome == "sla-missed"


def test_a_replica_of_ours_is_not_as_large_as_a_server_has_connections(scenario, engine):
    record = scenario({SERVER: engine(2.0)}, candidates={"endpoints": {"small": V2}}, resources={})
    assert convene(record).cpus == 1
