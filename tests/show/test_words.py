"""Views, recipes and provenance: verdicts and facts in words."""

from dataclasses import replace

import pytest
import yaml

from bakeoff.decide.judgement import Remedy, Today
from bakeoff.show import provenance, recipes, views
from bakeoff.show.today import saving_words, today_words
from bakeoff_backends.onnx_session import SLOWER_FUSED


def test_the_question_in_one_line(win, offline):
    assert (
        views.question(win) == "server · 300 requests/s · 256 items a request · p99 within 20 ms · auc may lose 0.002"
    )
    assert views.question(offline) == "offline · 1,024 items a request"


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        ({"rate": 50.0, "open_loop": True}, "server · 50 requests/s · p99"),
        ({"rate": None, "open_loop": True, "qps": "max"}, "server · as many requests/s as it can take · p99"),
        (
            {"rate": 50.0, "open_loop": True, "burst": {"peak": 3.0, "share": 0.2, "length_s": 0.5}},
            "server · 50 requests/s · 3 times as many for 20 % of the time · p99",
        ),
    ],
)
def test_how_requests_come_in_words(win, traffic, said):
    assert views.question(replace(win, traffic=traffic)).startswith(said)


@pytest.mark.parametrize(
    ("traffic", "items"),
    [
        ({"mean_items": 133.3333}, "133 items"), ({"mean_items": 64.0}, "64 items"), ({}, None),
    ],
)  # fmt: skip
def test_items_a_request_in_all_forms(win, traffic, items):
    said = views.question(replace(win, traffic=traffic, floors={"auc": {"amount": 0.01, "relative": True}}))
    assert (items in said) if items else ("items" not in said)
    assert "auc may lose 1 %" in said.replace("1.0 %", "1 %")


def test_rivals_are_the_next_four(win):
    assert [row.number for row in views.rivals(win)] == [2, 3, 4, 5]
    rival = views.rivals(win)[0]
    assert views.short_figures(rival, win) == "13.4 ms · cost +7.2 %"
    screened = replace(rival, judged=replace(rival.judged, rounds=0))
    assert views.short_figures(screened, win) == "13.4 ms"


def test_fates(every):
    tie = next(verdict for verdict in every if verdict.verdict == "TIE")
    fates = {row.judged.candidate: (row.fate, row.standing) for row in views.rows(tie)}
    assert fates["onnxruntime/int8-dynamic/2x1"] == ("choice", "choice")
    assert fates["openvino/int8/2x1"] == ("tied", "set")
    assert fates["openvino/fp32/2x1"] == ("ok", "ok")
    assert fates["torch/fp32/1x2"] == ("SLA missed", "miss")
    assert fates["tvm/fp32/1x1"] == ("unavailable", "out")


def test_money_beside_what_serves_today(win):
    replicas = "41 replicas (20 % of headroom and 1 spare; 40 to 42 by what is known of the capacity)"
    rest = f"0.427 USD an hour for {replicas}, 23.3 USD per million requests at capacity"
    assert views.money_words(win) == f"3,740 USD a year, today 5,310 USD; {rest}"
    assert views.money_words(replace(win, incumbent=None)) == f"3,740 USD a year; {rest}"
    assert views.money_words(replace(win, choice=None)) == ""


@pytest.mark.parametrize(
    ("low_qps", "high_qps", "words"),
    [
        (None, None, ""),
        (500.0, None, "; at most 49 by what is known of the capacity"),
        (None, 900.0, "; at least 28 by what is known of the capacity"),
        (611.0, 614.0, ""),
    ],
)
def test_replicas_by_both_ends_of_the_capacity(win, low_qps, high_qps, words):
    choice = replace(win.choice, capacity_low_qps=low_qps, capacity_high_qps=high_qps)
    said = views.money_words(replace(win, choice=choice, incumbent=None))
    assert f"41 replicas (20 % of headroom and 1 spare{words}), " in said


def test_nothing_more_is_said_of_a_choice_that_is_surely_the_cheapest(win):
    surely = "With 97 % confidence none of those that passed every gate is cheaper than the choice."
    assert views.certainty(replace(win, regret_high=0.0)) == surely
    assert "at most 2.1 % dearer than the best" in views.certainty(win)


def test_the_choice_as_yaml_reads_back(win):
    assert yaml.safe_load(recipes.as_yaml(win.choice))["setting"] == {
        "name": "2x1", "threads": 1, "instances": 2, "graph_optimization": "all",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "line"),
    [
        ("onnxruntime", "options.intra_op_num_threads = 1"),
        ("openvino", '    "NUM_STREAMS": 2,'),
        ("torch", "torch.set_num_threads(1)"),
        ("torch-compile", "# 2 instances side by side, each with:"),
    ],
)
def test_known_engines_get_their_own_calls(win, backend, line):
    calls = recipes.engine_calls(replace(win.choice, backend=backend))
    assert line in calls.splitlines()
    compile(calls, backend, "exec")


@pytest.mark.parametrize(
    ("backend", "precision", "knobs", "text"),
    [
        ("onnxruntime", "fp32", {}, 'providers=[("CUDAExecutionProvider", {"use_tf32": "0"})]'),
        ("onnxruntime", "tf32", {"provider": "tensorrt"}, '["TensorrtExecutionProvider", ("CUDAExecutionProvider", {'),
        ("torch", "fp32", {}, 'torch.set_float32_matmul_precision("highest")'),
        ("torch-compile", "tf32", {}, 'torch.set_float32_matmul_precision("high")'),
    ],
)
def test_on_a_gpu_the_calls_say_where_and_how_float32_is_multiplied(win, backend, precision, knobs, text):
    chosen = replace(win.choice, backend=backend, precision=precision, device="cuda:1", settings=knobs)
    calls = recipes.engine_calls(chosen)
    assert text in calls
    compile(calls, backend, "exec")


def test_a_strangers_engine_gets_yaml_alone(win):
    assert recipes.engine_calls(replace(win.choice, backend="stranger")) == ""


def test_settings_can_smuggle_no_code(win, hostile):
    settings = {"threads": "1\nimport os", "instances": "2\nimport os"}
    for backend in ("onnxruntime", "openvino", "torch"):
        calls = recipes.engine_calls(replace(win.choice, backend=backend, settings=settings, precision=hostile))
        assert not [line for line in calls.splitlines() if line.startswith("import")]
        compile(calls, backend, "exec")


def test_the_fusions_to_leave_out_are_those_that_the_plugin_leaves_out(win):
    on = {
        device: recipes.engine_calls(replace(win.choice, backend="onnxruntime", device=device))
        for device in ("cpu", "cuda")
    }
    assert f'"{SLOWER_FUSED}"' in on["cpu"]
    assert SLOWER_FUSED not in on["cuda"]


def test_the_host_in_short_and_in_full(record, win):
    assert provenance.host_words(record) == (
        "cpu AMD EPYC 9V74 80-Core Processor, cores 4, quota cpus 2, memory 8.32 GB, kernel 6.8.0-1031"
    )
    assert provenance.cores_words(record, win) == "2 cores a replica"
    assert provenance.engine_words(record, win).endswith("; not here: tvm")
    assert provenance.cores_words(record, replace(win, scenario="other")) == (
        "all its cores but the load generator's to one replica"
    )
    facts = dict(provenance.machine_facts(record))
    assert facts["container"] == "docker"
    assert facts["gpus"] == "NVIDIA L4, 570.86.15, 24.0 GB"
    assert not [name for name in facts if "noise" in name]
    software = dict(provenance.software_facts(record))
    assert (software["openvino"], software["git commit"], software["python"]) == ("2026.3.0", "–", "3.11.9")
    assert provenance.host_words(replace(record, host={})) == "unknown"


def test_the_first_runs_recorded_versions_alone(record):
    assert provenance.software_facts(replace(record, environment={"numpy": "2.0"})) == (("numpy", "2.0"),)


def test_looks_at_the_noise_before_and_after(record):
    (first, before), (last, after) = provenance.noise_looks(record)
    assert (first, last) == ("before", "after")
    assert ("time lost to others", "1.3 %") in before
    assert ("worst gap", "2.50 ms") in after
    resumed = replace(record, host={"noise": [*record.noise, *record.noise]})
    assert [when for when, _ in provenance.noise_looks(resumed)] == [
        "before (1)",
        "after (1)",
        "before (2)",
        "after (2)",
    ]
    before, after = record.noise
    stopped = replace(record, host={"noise": [before, before, before, after]})
    assert [when for when, _ in provenance.noise_looks(stopped)] == [
        "before (1)",
        "before (2)",
        "before (3)",
        "after (3)",
    ]
    once = replace(record, host={"noise": [before, before]})
    assert [when for when, _ in provenance.noise_looks(once)] == ["before (1)", "before (2)"]
    assert [when for when, _ in provenance.noise_looks(replace(record, host={"noise": [before]}))] == ["before"]
    assert provenance.noise_looks(replace(record, host={})) == ()


def test_facts_carry_their_units():
    facts = {"a": {"b_s": 90.0, "c_ms": 2.0}, "list": [1, "x"], "flag": False}
    assert provenance.flat_facts(facts) == (("a b", "1 min 30 s"), ("a c", "2.00 ms"), ("list", "1, x"), ("flag", "no"))


def test_what_serves_today(win, every):
    production = next(verdict for verdict in every if verdict.production)
    assert today_words(win) == "onnxruntime/fp32/1x2, p99 15.1 ms"
    assert today_words(production) == "triton today: 300 requests/s on 4 cores, p99 17.5 ms"
    assert today_words(replace(win, incumbent=None)) == ""
    known = Today("onnxruntime/fp32/1x2", production_p99_ms=35.0)
    assert today_words(replace(win, today=known)) == "onnxruntime/fp32/1x2, p99 15.1 ms here, p99 35.0 ms in production"


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (
            {"yearly": (1570.0, 1300.0, 1800.0), "sooner": (3.3, 1.2, 5.4)},
            "1,570 USD a year less (saves 1,300–1,800), p99 3.30 ms lower (1.20–5.40).",
        ),
        ({"yearly": (-200.0, None, None)}, "200 USD a year more."),
        ({"sooner": (-3.3, -5.4, -1.2)}, "p99 3.30 ms higher (1.20–5.40)."),
        ({"sooner": (0.3, -0.2, 0.8)}, "p99 not told apart (-0.200 to 0.800 ms lower)."),
        ({"sooner": (0.3, None, None)}, "p99 0.300 ms lower (without an interval)."),
    ],
)
def test_what_a_switch_saves(win, figures, words):
    names = {"yearly": ("yearly_saved", "yearly_saved_low", "yearly_saved_high")}
    names["sooner"] = ("sooner_ms", "sooner_low_ms", "sooner_high_ms")
    given = {name: value for key, values in figures.items() for name, value in zip(names[key], values, strict=True)}
    found = replace(win, today=Today("torch/fp32/1x1", **given))
    assert saving_words(found) == f"Against torch/fp32/1x1, which serves today: {words}"
    assert saving_words(replace(win, today=Today("torch/fp32/1x1"))) == saving_words(win) == ""


def test_what_would_have_to_change_stands_behind_the_reason(win):
    remedies = tuple(Remedy("x", "ms", 20.0, 31.0, "passes", words) for words in ("would pass", "may win"))
    late = replace(win, candidates=(replace(win.candidates[-1], reason="it is late", remedies=remedies),))
    assert views.rows(late)[0].why_not == "it is late; would pass"
