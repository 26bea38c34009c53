"""Which blocks count as disturbed, by which cause, and what is said of a scenario's measuring."""

from dataclasses import replace

import numpy as np
import pytest

from bakeoff.decide import noise
from bakeoff.decide.noise import disturbed, measuring
from bakeoff.store.record import LedgerRow

LIMIT_MS = 20.0
QUIET = {"steal": 0.0, "psi": 0.0, "generator_wall_ns": 8 * 10**9, "generator_waited_ns": 0, "generator_cpu": 0}


@pytest.fixture
def late(block):
    """A block whose share `share` of requests, spread over it, was sent 2.1 ms late: a tenth of 20 ms, and more."""

    def make(share, **facts):
        made = block(service_ms=2.0, **{**QUIET, **facts})
        sent = made.sent_ns.copy()
        chosen = np.random.default_rng(3).permutation(len(sent))[: round(share * len(sent))]
        sent[chosen] = made.scheduled_ns[chosen] + 2_100_000
        return replace(made, sent_ns=sent)

    return make


def test_lateness_counts_from_half_of_what_the_percentile_allows(late):
    assert disturbed(late(0.004), LIMIT_MS) == ""
    assert disturbed(late(0.008), LIMIT_MS) == noise.UNSEEN
    assert disturbed(late(0.03), LIMIT_MS, 90.0) == ""
    assert disturbed(late(0.06), LIMIT_MS, 90.0) == noise.UNSEEN
    assert disturbed(late(0.06), 22.0) == "", "2.1 ms are less than a tenth of 22 ms"


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"steal": 0.02}, noise.STOLEN),
        ({"steal": 0.004}, noise.UNSEEN),
        ({"psi": 0.3}, noise.PRESSED),
        ({"psi": 0.3, "steal": 0.05}, noise.STOLEN),
        ({"generator_waited_ns": 10**9}, noise.OWN_CPU),
        ({"generator_waited_ns": 10**9, "generator_cpu": -1, "psi": 0.5}, noise.NO_CPU),
        ({"generator_waited_ns": 10**9, "steal": 0.05}, f"{noise.OWN_CPU} and {noise.STOLEN}"),
        ({"pipe_waits": 7, "steal": 0.9}, noise.FULL_PIPE),
    ],
)
def test_the_cause_is_what_took_the_time(late, facts, cause):
    assert disturbed(late(0.04, **facts), LIMIT_MS) == cause
    assert disturbed(late(0.0, **facts), LIMIT_MS) == "", "whatever was seen, nothing was late"


def test_what_was_never_sent_met_a_full_pipe(late):
    made = late(0.0)
    sent = made.sent_ns.copy()
    sent[-20:] = -1
    assert disturbed(replace(made, sent_ns=sent), LIMIT_MS) == noise.FULL_PIPE


def test_a_closed_loop_has_no_generator_to_be_late(block):
    assert disturbed(block(kind="closed", steal=0.5), LIMIT_MS) == ""


def test_blocks_over_the_budget_say_of_what(block):
    within = block(cpus=1, busy_threads=1, over_budget=0)
    crowded = block(cpus=1, busy_threads=9, over_budget=1, over_threads=1, over_cpu=0)
    greedy = replace(block(cpus=1, over_budget=1, over_threads=1, over_cpu=1), wall_ns=10**9, cpu_ns=23 * 10**8)
    assert noise.over_budget([within]) == ""
    assert noise.over_budget([within, crowded]) == "more threads than allowed (9 busy on 1 CPU)"
    assert noise.over_budget([within, crowded, greedy]) == "more CPU time than allowed (2.3 of 1 CPUs)"
    assert noise.over_budget([block(over_budget=1)]) == "more CPU than allowed"


def test_where_nothing_tells_of_its_cpus_an_engine_kept_to_them(block):
    assert not noise.left_cpus([LedgerRow("load", "ok"), block(), block(affinity_kept=1)])
    assert noise.left_cpus([LedgerRow("load", "ok"), block(), block(affinity_kept=0)])
    assert noise.left_cpus([LedgerRow("load", "ok", facts={"affinity_kept": 0}), block(affinity_kept=1)])


def test_a_scenarios_measuring_adds_up(scenario, engine):
    facts = {
        "psi": 0.1, "steal": 0.01, "cpus": 2, "involuntary_switches": 4, "energy_j": 8.0, "energy_source": "RAPL",
        "generator_cpu": -1, "generator_realtime": 0, "generator_wall_ns": 8 * 10**9, "generator_cpu_ns": 8 * 10**8,
        "generator_switches": 16, "late_ms": 5.0, "disk_faults": 3,
    }  # fmt: skip
    found = measuring(scenario({"one": engine(blocks=facts)}))
    assert found.blocks == found.open_blocks == found.shared == found.unprivileged == 5
    assert (found.psi, found.steal) == ((pytest.approx(0.1), 0.1), (pytest.approx(0.01), 0.01))
    assert found.generator_share == pytest.approx(0.05)
    assert found.generator_switches_per_s == pytest.approx(2.0)
    assert found.worker_switches_per_s == pytest.approx(0.5, rel=0.05)
    assert found.disk_faults == 15
    assert found.disturbed == {noise.UNSEEN: 5}
    assert found.energy_j == {"one/fp32/1x1": pytest.approx(0.01)}
    assert found.energy_source == "RAPL"


def test_what_no_block_tells_stays_absent(scenario, engine):
    found = measuring(scenario({"one": engine()}))
    assert (found.psi, found.steal, found.generator_share, found.generator_switches_per_s) == (None,) * 4
    assert (found.open_blocks, found.disturbed, found.energy_j) == (0, {}, {})
    assert (found.worker_switches_per_s, found.disk_faults) == (None, 0)
