import json
import math
from pathlib import Path

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import (
    Floor,
    Price,
    Scenario,
    Share,
    find,
    from_dict,
    is_model,
    load_scenario,
    load_scenarios,
    restore,
)

DEMOS = Path(__file__).parents[2] / "scenarios"


def test_demo_scenarios_load_and_come_back_from_the_store():
    scenarios = load_scenarios([DEMOS])
    assert [scenario.name for scenario in scenarios] == [
        *("batch-scoring", "candidate-retrieval", "ctr-ranking", "feed-ranking", "flash-sale"),
        *("product-category", "search-ranking", "wide-ctr-scale"),
    ]
    for scenario in scenarios:
        assert scenario.source == DEMOS / f"{scenario.name}.yaml"
        stored = json.loads(json.dumps(scenario.definition()))
        assert restore(stored) == scenario
        assert restore(stored).source == scenario.source


@pytest.mark.parametrize("workload", ["ctr-dlrm", "shop.models:Shop"])
def test_the_preparation_is_included_where_asked_for(write, workload):
    asked = f"workload: {workload}\ntraffic: {{kind: offline}}\n"
    assert not load_scenario(write(asked)).include_preparation
    scenario = load_scenario(write(f"{asked}include_preparation: true\n"))
    assert scenario.include_preparation
    definition = json.loads(json.dumps(scenario.definition()))
    assert restore(definition) == scenario
    del definition["include_preparation"]
    assert not restore(definition).include_preparation, "as runs from before hold it"


def test_ctr_ranking_is_the_plan():
    scenario = load_scenario(DEMOS / "ctr-ranking.yaml")
    assert (scenario.workload, scenario.traffic.kind, scenario.traffic.fleet_qps) == ("ctr-dlrm", "server", 30000)
    assert scenario.traffic.batch_size[:2] == (Share(100, 0.1), Share(200, 0.6))
    assert scenario.traffic.mean_items == pytest.approx(270)
    assert (scenario.sla.percentile, scenario.sla.limit_ms, scenario.sla.error_rate) == (99.0, 20.0, 0.001)
    assert scenario.quality == {"auc": Floor(amount=0.002), "logloss": Floor(amount=0.002)}
    assert (scenario.resources.cpus, scenario.resources.memory_bytes) == (1, 2 * 1024**3)
    assert scenario.price == Price(amount=0.0416, currency="USD", per="core-hour")
    assert scenario.incumbent.candidate == "torch/fp32/1x1"
    assert scenario.matters == 0.02


def test_defaults(good):
    scenario = load_scenario(good())
    assert (scenario.version, scenario.name, scenario.seed, scenario.matters) == (1, "x", 0, 0.02)
    assert scenario.traffic.batch_size == ((1, 1.0),)
    assert (scenario.traffic.duration_s, scenario.traffic.samples_per_query) == (4.0, 8)
    assert scenario.sla.error_rate == 0.001
    assert scenario.quality == {}
    assert (scenario.resources.device, scenario.resources.cpus, scenario.resources.memory_bytes) == ("cpu", None, None)
    assert scenario.candidates.backends is None
    assert scenario.price is scenario.incumbent is scenario.requests is None


def test_every_key(write):
    scenario = load_scenario(
        write("""
            version: 1
            name: everything
            description: All keys at once
            variants: {base: a.onnx, student: b.pt2}
            requests: {file: r.parquet, label: clicked, group: session}
            traffic:
              kind: multi_stream
              batch_size: [{items: 10, weight: 3}, {items: 30, weight: 1}]
              duration: 500ms
              samples_per_query: 4
            sla: {p99.9: 1.5s, error_rate: 2%}
            quality: {auc: 1%, ndcg@10: 0}
            resources: {device: cpu, cpus: 2, memory: 512MB}
            price: 0.34 EUR/host-hour
            incumbent: {name: today's servers, p99: 35ms, qps: 120, cpus: 2, memory: 1GiB}
            matters: 5%
            candidates: {backends: [torch], precisions: [fp32, bf16], settings: [1x2]}
            seed: 7
        """)
    )
    here = Path.cwd()
    assert scenario.variants == {"base": str(here / "a.onnx"), "student": str(here / "b.pt2")}
    assert (scenario.requests.file, scenario.requests.label) == (here / "r.parquet", "clicked")
    assert scenario.requests.group == "session"
    assert scenario.traffic.mean_items == 15
    assert (scenario.traffic.duration_s, scenario.traffic.samples_per_query) == (0.5, 4)
    assert (scenario.sla.percentile, scenario.sla.limit_ms, scenario.sla.error_rate) == (99.9, 1500.0, 0.02)
    assert scenario.quality == {"auc": Floor(amount=0.01, relative=True), "ndcg@10": Floor(amount=0.0)}
    assert (scenario.incumbent.p99_ms, scenario.incumbent.memory_bytes) == (35.0, 1024**3)
    assert scenario.candidates.precisions == ("fp32", "bf16")
    assert restore(json.loads(json.dumps(scenario.definition()))) == scenario


@pytest.mark.parametrize("kind", ["server", "constant", "burst"])
def test_how_much_it_can_take(write, kind):
    scenario = load_scenario(write(f"workload: ctr-dlrm\nsla: {{p99: 20ms}}\ntraffic: {{kind: {kind}, qps: max}}"))
    traffic = scenario.traffic
    assert (traffic.qps, traffic.rate, traffic.asks_capacity, traffic.open_loop) == ("max", None, True, True)
    assert restore(json.loads(json.dumps(scenario.definition()))) == scenario


def test_rates_of_the_kinds(good, write):
    asked = load_scenario(good()).traffic
    assert (asked.qps, asked.rate, asked.asks_capacity, asked.open_loop) == (200, 200, False, True)
    closed = load_scenario(write("workload: ctr-dlrm\ntraffic: {kind: multi_stream}")).traffic
    assert (closed.qps, closed.rate, closed.asks_capacity, closed.open_loop) == (None, None, False, False)


def test_bursts(write):
    text = "workload: ctr-dlrm\nsla: {p99: 20ms}\ntraffic: {kind: burst, qps: 200"
    usual = load_scenario(write(text + "}")).traffic.burst
    assert (usual.peak, usual.share, usual.length_s) == (3, 0.2, 0.5)
    scenario = load_scenario(write(text + ", burst: {peak: 4, share: 25%, length: 2s}}"))
    assert (scenario.traffic.burst.peak, scenario.traffic.burst.share) == (4, 0.25)
    assert restore(json.loads(json.dumps(scenario.definition()))) == scenario


def test_a_scenario_stored_before_bursts_and_traces_comes_back(good):
    scenario = load_scenario(good())
    stored = scenario.definition()
    del stored["traffic"]["burst"], stored["traffic"]["trace"]
    assert restore(stored) == scenario


def test_paths_are_relative_to_the_file(write, tmp_path):
    path = write("workload: ../a.onnx\nrequests: ../r.parquet\ntraffic: {kind: offline}", "deep/x.yaml")
    scenario = load_scenario(path)
    assert Path(scenario.workload).samefile(tmp_path / "a.onnx")
    assert Path(scenario.workload).is_absolute()
    assert scenario.requests.file.samefile(tmp_path / "r.parquet")


def test_user_variants_may_stand_beside_a_workload(write):
    scenario = load_scenario(write("workload: a.onnx\nvariants: {small: b.pt2}\ntraffic: {kind: offline}"))
    assert set(scenario.variants) == {"small"}


def test_a_factory_is_taken_as_it_is(write):
    scenario = load_scenario(write("workload: shop.models:ranker\ntraffic: {kind: single_stream}"))
    assert scenario.workload == "shop.models:ranker"


def test_scenarios_are_frozen(good):
    scenario = load_scenario(good())
    with pytest.raises(ValueError, match="frozen"):
        scenario.seed = 3


def test_a_stored_scenario_outlives_its_files(write):
    path = write("workload: a.onnx\ntraffic: {kind: offline}")
    definition = load_scenario(path).definition()
    Path("a.onnx").unlink()
    assert restore(definition).workload == definition["workload"]


def test_a_broken_store_entry_is_a_user_error():
    with pytest.raises(UserError, match=r"^stored scenario: traffic: missing"):
        restore({"workload": "ctr-dlrm"})


def test_from_dict_takes_what_a_file_would_hold():
    scenario = from_dict({"workload": "ctr-dlrm", "traffic": {"kind": "offline", "batch_size": 64}})
    assert scenario.traffic.batch_size == ((64, 1.0),)
    assert isinstance(scenario, Scenario)
    assert scenario.source is None


def test_plain_words_are_not_guessed_at(good):
    scenario = load_scenario(good("description: no\n"))
    assert scenario.description == "no"


def test_a_byte_order_mark_is_no_obstacle(write):
    assert load_scenario(write("\ufeffworkload: ctr-dlrm\ntraffic: {kind: offline}")).workload == "ctr-dlrm"


def test_a_name_is_made_from_any_file_name(write):
    assert (
        load_scenario(write("workload: ctr-dlrm\ntraffic: {kind: offline}", "été & my shop!.yml")).name == "t-my-shop"
    )
    assert load_scenario(write("workload: ctr-dlrm\ntraffic: {kind: offline}", "…….yml")).name == "scenario"


def test_find_expands_folders_and_lists_each_file_once(write):
    b, a = write("", "folder/b.yml"), write("", "folder/a.yaml")
    write("", "folder/.hidden.yaml"), write("", "folder/notes.md"), write("", "folder/sub/c.yaml")
    assert find(["folder", b, "else.yaml"]) == [a, b, Path("else.yaml")]


@pytest.mark.parametrize(
    ("place", "reason"), [(".", "holds no scenario"), ("x" * 300, "cannot be read: File name too long")]
)
def test_find_says_what_is_wrong(tmp_path, place, reason):
    with pytest.raises(UserError, match=reason):
        find([tmp_path / place])


def test_two_scenarios_of_one_name_are_refused(write):
    text = "name: same\nworkload: ctr-dlrm\ntraffic: {kind: offline}"
    with pytest.raises(UserError, match=r"^b.yaml: name: same: taken by .*a.yaml$"):
        load_scenarios([write(text, "a.yaml"), write(text, "b.yaml")])


def test_is_model():
    assert [is_model(each) for each in ("m.onnx", "deep/m.pt2", "shop.models:ranker")] == [True] * 3
    assert [is_model(each) for each in ("x.yaml", "scenarios", "ctr-dlrm", "a:b:c")] == [False] * 4


def test_definitions_hold_plain_finite_numbers(good):
    definition = load_scenario(good("quality: {auc: 1%}")).definition()
    assert definition["sla"] == {"percentile": 99.0, "limit_ms": 20.0, "error_rate": 0.001}
    assert definition["quality"] == {"auc": {"amount": 0.01, "relative": True}}
    assert definition["traffic"]["batch_size"] == [[1, 1.0]]
    assert math.isfinite(definition["traffic"]["duration_s"])


def test_a_candidate_that_serves_today_may_have_its_p99_in_production(good):
    scenario = load_scenario(good("incumbent: {candidate: torch/fp32/1x1, p99: 35ms}"))
    assert (scenario.incumbent.candidate, scenario.incumbent.p99_ms) == ("torch/fp32/1x1", 35.0)
    assert restore(scenario.definition()).incumbent == scenario.incumbent
