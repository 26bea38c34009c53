"""The tables of engines: that what they are made of works, and that each bar can be missed."""

import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import engines
import numpy as np
import pytest
from bare import child, figures, ground, loop, measuring, sweep
from bare.player import Failed, Player
from proofs import children

from bakeoff.backends import Artifact, Setting, registered
from bakeoff.measure.engine_room import StageFailed

pytestmark = pytest.mark.engines

HERE = Path(__file__).resolve().parent
ENGINES = ("executorch", "jax", "litert", "mnn", "tensorflow", "tvm")
ITEMS = (4, 8)


@pytest.fixture
def built(tiny_prepared, monkeypatch):
    """The tiny workload's two sizes of request, and onnxruntime's artifact of it."""
    monkeypatch.setattr(ground, "ITEMS", ITEMS)
    monkeypatch.setattr(measuring, "BLOCK_S", 0.005)
    artifact = Artifact(tiny_prepared.variants["base"]["onnx"], "fp32", tiny_prepared.inputs, tiny_prepared.outputs)
    target = registered()["onnxruntime"].value
    made = ground.Built("onnxruntime", target, "1", "threads", Setting("1x1"), artifact, tiny_prepared.folder)
    monkeypatch.setattr(ground, "built", lambda *_, **__: made)
    return made


def test_a_plugin_is_held_to_the_larger_of_both_allowances():
    assert figures.Beside([(109, 100), (110, 100), (500, 100)]).held, "a tenth"
    assert figures.Beside([(14, 10)] * 3).held, "four microseconds"
    slow = figures.Beside([(16, 10), (112, 100), (116, 100)])
    assert not slow.held
    assert str(slow) == "112 / 100: 1.16 (1.12–1.60), +12.0 us **missed**"


def test_an_interval_of_the_median_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(3)
    intervals = [figures.Ratio.of([(x, 1.0) for x in rng.lognormal(size=15)]) for _ in range(300)]
    assert sum(each.low <= 1 <= each.high for each in intervals) >= 0.93 * 300
    few = figures.Ratio.of([(2.0, 1.0), (3.0, 1.0)])
    assert (few.low, few.value, few.high) == (2, 2.5, 3)


def test_each_call_of_a_block_has_the_next_request():
    seen = []
    times_ns = child.block(seen.append, "abc", 4, 0, 5)
    assert seen == list("bcabc")
    assert len(times_ns) == 5


@pytest.mark.alone
def test_two_callers_double_what_waits_and_not_what_takes_turns():
    turn = threading.Lock()

    def waits(_: object) -> None:
        time.sleep(0.002)

    def takes_turns(_: object) -> None:
        with turn:
            time.sleep(0.002)

    alone = child.rate([waits], [0], 0.2)
    assert child.rate([waits] * 2, [0], 0.2) > figures.CALLERS_RATIO * alone
    assert child.rate([takes_turns] * 2, [0], 0.2) < figures.CALLERS_RATIO * alone


def test_an_error_is_relative_and_never_too_small_where_the_answer_is_none():
    right = {"y": np.array([3.0, 4.0])}
    assert child.relative_error({"y": np.array([3.0, 4.5])}, right) == pytest.approx(0.1)
    assert child.relative_error({"y": np.array([3.0, np.nan])}, right) == float("inf")
    assert child.relative_error({"y": np.array([[3.0, 4.0]])}, right) == float("inf")


@pytest.mark.usefixtures("built")
def test_the_plugin_is_played_beside_the_bare_loop_and_its_error_is_seen():
    row = measuring.bare("onnxruntime", "tiny", 2)
    assert len(row.cells) == len(ITEMS)
    found = measuring.error("onnxruntime", "tiny", 1)
    assert found.held
    assert float(found.cells[1]) < 1e-5


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(("figures_us", "held"), [((20.0, 10.0, 30.0), True), ((20.0, 21.0, 30.0), False)])
def test_of_several_precisions_one_must_be_sooner_than_fp32(monkeypatch, figures_us, held):
    names = ("fp32", "bf16", "int8-static")
    monkeypatch.setattr(ground, "lossy", lambda engine: names[1:])
    found = measuring.precisions("onnxruntime", "tiny", 2)
    assert found.cells[0].count("e-0") == 3
    assert all(each.startswith("bf16 ") and ", int8-static " in each for each in found.cells[1:])
    players = {name: Steady(each) for name, each in zip(names, figures_us, strict=True)}
    ratios = measuring.beside_fp32(players, 4, 3)
    assert [ratio.value for ratio in ratios.values()] == [figures_us[0] / each for each in figures_us[1:]]
    assert measuring.pays([ratios]) == held


class Steady:
    def __init__(self, p50_us):
        self.p50_us = lambda *_: p50_us


def test_a_slow_plugin_misses_the_bar(built, monkeypatch):
    """onnx's reference evaluator beside onnxruntime's bare loop."""
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent / "example_plugin"), prepend=":")
    slow = ground.Built(**{name: getattr(built, name) for name in built.__slots__} | {"target": SLOW})
    monkeypatch.setattr(ground, "built", lambda *_: slow)
    row = measuring.bare("onnxruntime", "tiny", 7)
    assert not row.held
    assert row.cells[0].endswith("**missed**")


SLOW = "bakeoff_onnx_reference:OnnxReference"


def test_a_sweep_tries_every_setting_and_says_which_is_best(built, monkeypatch):
    knobs = loop.Knobs({"graph": ("ALL", "BASIC")}, {"UNUSED": ("", "1")}, offered=({"graph": "BASIC"},))
    assert [each.name for each in sweep.choices(knobs)] == [
        "preset",
        "UNUSED=1",
        "graph=BASIC",
        "graph=BASIC, UNUSED=1",
    ]
    assert [each.offered for each in sweep.choices(knobs)] == [True, False, True, False]
    monkeypatch.setattr(loop.module("onnxruntime"), "KNOBS", knobs)
    row = sweep.knobs("onnxruntime", "tiny", 2)
    assert row.cells[0] == "4"
    assert len(row.cells) == 1 + len(ITEMS)


def test_the_first_setting_can_be_held_against_another_that_is_offered(built):
    knobs = loop.Knobs({"graph": ("ALL", "BASIC")}, {"UNUSED": ("", "1")}, offered=({"graph": "BASIC"},))
    with ExitStack() as stack:
        field = sweep.Field(built, sweep.choices(knobs), ITEMS[0], stack)
        ratio, _ = field.final(["graph=BASIC", "preset", "UNUSED=1", "graph=BASIC, UNUSED=1"], 2)
    assert ratio.value > 0


def test_what_an_engine_refuses_is_told_and_the_child_goes_on(built):
    with Player(built, measuring.cpus(1)) as player:
        with pytest.raises(Failed, match="MOST"):
            player.load("bare", {"graph": "MOST"})
        player.load("bare", {})
        assert player.p50_us("bare", 4, 0.001) > 0


def test_the_table_says_what_was_missed_or_not_supported(monkeypatch, capsys, tmp_path):
    def row(engine: str, workload: str, repeats: int) -> measuring.Row:
        if engine == "jax":
            raise StageFailed("build", "unsupported", "no translation of aten.foo")
        return measuring.Row(("1", "2e-1", "64"), False)

    monkeypatch.setattr(engines.Table, "row", property(lambda _: row))
    page = tmp_path / "page.md"
    kept = engines.line("errors", "tvm", "ctr-dlrm", measuring.Row(("0.2", "1e-7", "64"), True))
    page.write_text(f"before\n<!-- errors -->\n{kept}\n<!-- /errors -->\nafter\n")
    asked = ["--table", "errors", "--workload", "ctr-dlrm", "--into", str(page)]
    assert engines.main([*asked, "--only", "torch"]) == 1
    assert engines.main([*asked, "--only", "jax"]) == 0
    lines = page.read_text().splitlines()
    assert [each.split(" | ")[1] for each in lines[4:7]] == ["jax", "torch", "tvm"]
    assert "unsupported: no translation of aten.foo" in lines[4]
    assert "**no**" in lines[5]
    assert "2e-1" in capsys.readouterr().out


@pytest.mark.usefixtures("built")
def test_the_others_are_loaded_and_stopped_in_turn(monkeypatch):
    monkeypatch.setattr(loop, "MODULES", dict.fromkeys(("onnxruntime", "openvino", "torch")))
    row = measuring.neighbours("onnxruntime", "tiny", 2)
    assert row.cells[0] == "2"
    assert len(row.cells) == 1 + len(ITEMS)


@pytest.mark.parametrize("engine", loop.MODULES)
def test_every_engine_has_a_loop_and_knobs_that_start_with_the_preset(engine):
    module = loop.module(engine)
    assert module.__doc__
    assert sweep.choices(module.KNOBS)[0].name == "preset"
    assert not module.KNOBS.build or module.build.__doc__


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bare_loop_answers_on_the_plugins_artifact(engine, tmp_path):
    words = ["-W", "ignore", "-m", "bare.trying", engine, str(tmp_path)]
    done = subprocess.run(children.python(*words), env=children.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "answered 1, 30 items"
