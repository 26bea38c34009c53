"""Two hosts side by side: the cheapest at the SLA, how sure, and at which price or batch size the other is."""

import math
from dataclasses import replace

import pytest

from bakeoff.decide.across import joining as across
from bakeoff.errors import UserError
from bakeoff.store.record import FILES

CORES = {"host": "aa", "cpu": "EPYC", "cores": 8, "gpus": [], "product": "c7a.2xlarge"}
CARD = {"host": "bb", "cpu": "Xeon", "cores": 16, "gpus": [{"name": "NVIDIA L4"}]}
ON_GPU = {"resources": {"device": "cuda", "cpus": 4}, "price": "1.2 USD/gpu-hour"}


def traffic(items=100, **changed):
    return {"traffic": {"kind": "server", "qps": 100, "fleet_qps": 6000, "batch_size": items, **changed}}


@pytest.fixture
def hosts(run, scenario, engine):
    """Two runs: of a CPU host with `cpu` (a service time in ms, or engines), and of a GPU host with `gpu`."""

    def make(cpu=2.0, gpu=0.05, changed=None, gpu_changed=None):
        cpu = cpu if isinstance(cpu, dict) else {"onnxruntime": engine(cpu)}
        gpu = gpu if isinstance(gpu, dict) else {"tensorrt": engine(gpu)}
        here = scenario(cpu, incumbent=None, **(changed or {}))
        there = scenario(gpu, incumbent=None, seed=2, **(changed or {}) | ON_GPU | (gpu_changed or {}))
        return [("", on(run(here), "cpu-run", CORES)), ("gpu", on(run(there), "gpu-run", CARD))]

    return make


def on(record, name, facts):
    return replace(record, run=name, host=facts)


def the_one(runs, **options):
    (joined,) = across.join(runs, **options).scenarios
    return joined


def test_the_cheapest_host_comes_first_with_its_interval(hosts):
    joined = the_one(hosts())
    first, second = joined.rows
    assert (first.host, second.host) == ("gpu", "EPYC")
    assert joined.cheapest == first
    assert second.over.value == pytest.approx(second.judged.cost / first.judged.cost - 1.0, rel=1e-6)
    assert 0.0 < second.over.low < second.over.value < second.over.high
    assert not second.alike
    assert joined.headline.startswith("Cheapest for ctr-ranking is tensorrt fp32 (1x1) on gpu: ")


def test_the_break_even_price_makes_both_cost_the_same(hosts):
    (found,) = the_one(hosts()).break_evens
    assert (found.host, found.per, found.now) == ("gpu", "gpu-hour", 1.2)
    assert found.price_low < found.price < found.price_high
    level = the_one(hosts(), prices={"gpu": f"{found.price:.12f} USD/gpu-hour"})
    costs = [row.judged.cost for row in level.rows]
    assert costs[0] == pytest.approx(costs[1])
    assert level.rows[1].alike
    assert "cannot be told apart from" in level.headline
    assert found.worth == pytest.approx(found.price / 0.0416)


@pytest.mark.parametrize(("price", "words"), [("0.5", "stays cheaper than EPYC up to"), ("9", "would be cheaper than")])
def test_the_break_even_is_said_of_the_gpu_whichever_is_cheaper(hosts, price, words):
    from bakeoff.decide.across.words import break_even

    joined = the_one(hosts(), prices={"gpu": f"{price} USD/gpu-hour"})
    assert f"gpu {words}" in break_even(joined.break_evens[0])


def test_candidates_of_one_run_are_told_apart_as_its_own_verdict_does(hosts, engine):
    joined = the_one(hosts(gpu={"a": engine(0.050), "b": engine(0.052)}))
    court = next(one.court for one in joined.sides if one.host.name == "gpu")
    by_name = {row.judged.candidate: row for row in joined.rows}
    assert by_name["b/fp32/1x1"].over == court.loss("b/fp32/1x1", "a/fp32/1x1")


def test_equal_costs_on_two_hosts_cannot_be_told_apart(run, scenario, engine):
    runs = [("", on(run(scenario({"torch": engine(2.0)}, seed=seed)), f"run-{seed}", CORES)) for seed in (1, 2)]
    joined = the_one(runs)
    assert joined.rows[1].alike
    assert [host.name for host in across.join(runs).hosts] == ["EPYC (run-1)", "EPYC (run-2)"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (traffic(200), "traffic.batch_size is 100 on EPYC, 200 on gpu"),
        (traffic(kind="constant"), "traffic.kind is server on EPYC, constant on gpu"),
        ({"sla": {"p99": "30ms"}}, "sla.limit_ms is 20 on EPYC, 30 on gpu"),
        ({"quality": {"auc": 0.01}}, "quality.auc.amount is 0.002 on EPYC, 0.01 on gpu"),
        ({"workload": "feed-sasrec", "quality": None}, "workload is ctr-dlrm on EPYC, feed-sasrec on gpu"),
        ({"data": "generated"}, "workload.data is real on EPYC, generated on gpu"),
    ],
)
def test_another_question_is_refused_by_its_difference(hosts, changed, named):
    with pytest.raises(UserError, match=r"^ctr-ranking: not the same question: ") as refused:
        across.join(hosts(gpu_changed=changed))
    assert named in str(refused.value)


def test_the_rate_of_one_replica_is_each_hosts_own(hosts):
    assert the_one(hosts(gpu_changed=traffic(qps=300))).cheapest is not None


def test_other_files_are_another_question_where_both_recorded_them(hosts):
    (cpu, here), (gpu, there) = hosts()

    def with_files(record, digest):
        (one,) = record.scenarios
        return replace(record, scenarios=(replace(one, workload={**one.workload, FILES: digest}),))

    assert the_one([(cpu, with_files(here, "1")), (gpu, there)]).cheapest
    assert the_one([(cpu, with_files(here, "1")), (gpu, with_files(there, "1"))]).cheapest
    with pytest.raises(UserError, match=r"workload\.files is 1 on EPYC, 2 on gpu"):
        across.join([(cpu, with_files(here, "1")), (gpu, with_files(there, "2"))])


@pytest.mark.parametrize(
    ("changed", "gpu_changed", "why"),
    [
        ({}, {"price": "1 EUR/gpu-hour"}, "the prices are in USD on EPYC and EUR on gpu"),
        ({}, {"price": None}, "gpu has no price, and others have one"),
        ({"price": None}, {"price": None}, "no host has a price"),
    ],
)
def test_what_has_no_common_price_is_not_ranked(hosts, changed, gpu_changed, why):
    joined = the_one(hosts(changed=changed, gpu_changed=gpu_changed))
    assert why in joined.not_comparable
    assert joined.headline.startswith("Not comparable: ")
    assert joined.cheapest is None
    assert all(row.over is None for row in joined.rows)
    (found,) = joined.break_evens
    assert found.now is None
    assert found.worth == pytest.approx(the_one(hosts()).break_evens[0].worth)


def test_what_failed_its_gates_is_never_the_cheapest(hosts, engine):
    broken = {"slow": engine(30.0), "lossy": engine(0.01, "int8-dynamic", quality=())}
    joined = the_one(hosts(gpu=broken))
    assert joined.cheapest.host == "EPYC"
    assert joined.headline.endswith("on no other host did a candidate pass every gate.")
    assert any(note.startswith("gpu: ") for note in joined.notes)
    assert "Undecided on gpu, and maybe cheaper: lossy/int8-dynamic/1x1." in joined.notes


def test_a_host_that_has_not_settled_who_is_best_says_so(hosts, engine):
    joined = the_one(hosts(cpu={"one": engine(2.0, noise=0.03), "two": engine(2.0, noise=0.03)}))
    assert any(note.startswith("EPYC: ") and "leads, but may be" in note for note in joined.notes)
    assert not any(note.startswith("gpu: ") for note in joined.notes)


def test_whole_replicas_may_turn_the_order_round(hosts):
    """One GPU takes 20,000 a second, and the shop has 6,000."""
    joined = the_one(hosts())
    assert any("for this shop onnxruntime/fp32/1x1 on EPYC costs less in a year" in note for note in joined.notes)
    assert joined.break_evens[0].fleet_qps > 6000


def test_the_batch_size_at_which_the_cheaper_host_changes(run, scenario, engine):
    """At the price between the two break-evens on a log scale, the costs are level between the two sizes on one."""

    def scenarios(times, more):
        return [
            replace(scenario({"one": engine(ms)}, incumbent=None, **traffic(items) | more), name=f"of-{items}")
            for items, ms in times.items()
        ]

    runs = [
        ("", on(run(*scenarios({10: 1.0, 40: 4.0}, {})), "a", CORES)),
        ("", on(run(*scenarios({10: 0.2, 40: 0.2}, ON_GPU)), "b", CARD)),
    ]
    worths = [joined.break_evens[0].worth for joined in across.join(runs).scenarios]
    level = 0.0416 * math.sqrt(worths[0] * worths[1])
    (crossing,) = across.join(runs, prices={"NVIDIA L4": f"{level:.9f} USD/gpu-hour"}).crossings
    assert (crossing.below, crossing.above) == ("EPYC", "NVIDIA L4")
    assert crossing.scenarios == ("of-10", "of-40")
    assert crossing.items == pytest.approx(20.0, rel=1e-4)
    assert crossing.sure
    dear = across.join(runs, prices={"NVIDIA L4": f"{100 * level:.9f} USD/gpu-hour"})
    assert dear.crossings == ()


def test_runs_must_share_a_scenario_and_be_two(hosts):
    (cpu, here), (gpu, there) = hosts()
    (one,) = there.scenarios
    with pytest.raises(UserError, match="share no scenario of one name; they have ctr-ranking, other"):
        across.join([(cpu, here), (gpu, replace(there, scenarios=(replace(one, name="other"),)))])
    with pytest.raises(UserError, match="run cpu-run: named 2 times"):
        across.join([("a", here), ("b", here)])
    with pytest.raises(UserError, match="--scenario no: in none of the runs; they have ctr-ranking"):
        across.join([(cpu, here), (gpu, there)], ["no"])
    with pytest.raises(UserError, match="--price tpu: no such host; there are EPYC, gpu"):
        across.join([(cpu, here), (gpu, there)], prices={"tpu": "1 USD/host-hour"})


def test_a_third_run_joins_and_what_is_alone_is_named(hosts, run, scenario, engine):
    (one,) = hosts()[0][1].scenarios
    other = replace(scenario({"torch": engine(3.0)}, incumbent=None), name="other")
    third = on(
        run(scenario({"torch": engine(1.0)}, incumbent=None, seed=7), other), "third", {**CORES, "cpu": "Ampere"}
    )
    found = across.join([*hosts(), ("", third)])
    assert {row.host for row in found.scenarios[0].rows} == {"EPYC", "gpu", "Ampere"}
    assert len(found.scenarios[0].break_evens) == 2
    assert found.alone["Ampere"] == ("other",)
    assert one.name == found.scenarios[0].scenario


@pytest.mark.parametrize("fleet", [{}, {"headroom": "30%", "spare": 1}])
def test_the_fleets_break_even_is_where_the_years_cost_the_same(hosts, fleet):
    """A hair above the traffic that it names the GPUs cost less in a year, a hair below they do not."""
    level_qps = the_one(hosts(changed={"fleet": fleet})).break_evens[0].fleet_qps

    def yearly(qps):
        joined = the_one(hosts(changed={"fleet": fleet, **traffic(fleet_qps=qps)}))
        return {row.host: row.judged.yearly_cost for row in joined.rows}

    above, below = yearly(level_qps * 1.0001), yearly(level_qps * 0.9999)
    assert above["gpu"] < above["EPYC"]
    assert below["gpu"] >= below["EPYC"]
