"""What `bakeoff quality` shows: nothing is cut, whatever the terminal's width."""

import io
import re
from dataclasses import dataclass, field

import pytest
from rich.cells import cell_len
from rich.console import Console

from bakeoff import variants
from bakeoff.show import losses
from bakeoff.store.record import Quality

MODEL = {"parameters": 1_391_701, "nonzero": 1_391_000, "artifact_bytes": 5_570_000, "artifact_zstd_bytes": 99_949}
METRICS = {"auc": 0.7123, "logloss": 0.3301, "normalized_entropy": 0.8812}
REASON = "the model has no attention whose heads it knows how to cut, only linear layers of several kinds"


def figures(delta, low, high, moved=0.0):
    return tuple(
        Quality(name, base + moved + delta, base + moved, delta, low, high, 1000) for name, base in METRICS.items()
    )


@dataclass
class Row:
    variant: str
    quality: tuple = ()
    precision: str = "fp32"
    backend: str = "onnxruntime"
    outcome: str = "ok"
    reason: str = ""
    model: dict = field(default_factory=lambda: MODEL)
    control: str = ""
    beyond_control: tuple = ()
    by_seed: tuple = ()


def rows():
    lost = figures(-0.0012, -0.0015, -0.0009)
    return [
        Row(
            "base", figures(0.0, 0.0, 0.0), by_seed=tuple(figures(0.0, 0.0, 0.0, moved) for moved in (0, 0.002, -0.01))
        ),
        Row("distill:0.5+embed-int8", lost, "int8-dynamic", by_seed=(lost, figures(0.0004, 0.0001, 0.0007))),
        Row("prune-heads:0.5", outcome="unsupported", reason=REASON, model={}),
        Row("prune:0.5", lost, control="finetune:0.5", beyond_control=lost, model=MODEL | {"nonzero": 723_000}),
    ]


def shown(asked, width):
    to = Console(file=io.StringIO(), width=width, highlight=False)
    losses.render(asked, to)
    return to.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_nothing_is_cut_at_any_width(width):
    text = shown(rows(), width)
    flat = " ".join(text.split())
    assert "…" not in text
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert all(f"{base - 0.0012:.4f}" in text for base in METRICS.values())
    for whole in ("-0.0012", "[-0.0015, -0.0009]", "1,391,701", "48 % zeros", "5.57 MB", "99.9 kB", "int8-dynamic"):
        assert whole in text
    assert f"unsupported: {REASON}" in flat
    assert "prune:0.5 against its control finetune:0.5, which was trained alike: auc -0.0012" in flat


def test_a_table_where_it_fits_and_a_line_for_each_metric_where_it_does_not():
    wide, narrow = (shown(rows(), width) for width in (160, 100))
    assert re.search(r"Variant +Engine +auc +logloss +normalized_entropy +Parameters +Disk +zstd +Load", wide)
    assert "  logloss             0.3289  -0.0012 [-0.0015, -0.0009]" in narrow
    assert f"unsupported: {REASON[:40]}" in wide.split("Each metric")[1], "a reason is no cell of a narrow column"


@pytest.mark.parametrize("width", [80, 160])
def test_the_base_shows_its_own_values_by_seed_and_no_change(width):
    asked = [Row("base", figures(0.0, 0.0, 0.0), by_seed=rows()[0].by_seed)]
    flat = " ".join(shown(asked, width).split())
    assert "0 [0, 0]" not in flat
    assert "seeds 0.7023 to 0.7143" in flat


def test_the_base_at_another_precision_shows_what_that_changes():
    assert "-0.0012 [-0.0015, -0.0009]" in shown([Row("base", rows()[1].quality, "int8-dynamic")], 160)


def test_rows_without_a_metric_say_how_they_ended():
    text = shown([Row("base"), Row("prune-heads:0.5", outcome="failed", reason="[red]no", model={})], 160)
    assert re.search(r"base +onnxruntime +ok +1,391,701", text)
    assert "prune-heads:0.5 on onnxruntime fp32: failed: [red]no" in text


def test_a_figure_that_could_not_be_computed_is_a_dash():
    nan = float("nan")
    assert "– [–, –]" in shown([Row("prune:0.5", (Quality("auc", nan, 0.7, nan, nan, nan, 9),))], 120)


@pytest.mark.parametrize("width", [60, 80])
def test_the_list_of_techniques_is_not_cut(width):
    to = Console(file=io.StringIO(), width=width, highlight=False)
    losses.render_techniques(variants.listed(), to)
    assert "…" not in to.file.getvalue()
