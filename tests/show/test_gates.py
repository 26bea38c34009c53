"""Latency, quality and headroom, each with its margin."""

from dataclasses import replace

from bakeoff.show.gates import gates, subject
from bakeoff.store.record import Quality


def test_the_choice_passes_with_its_margins(win):
    latency, quality, headroom = gates(win)
    assert (latency.status, quality.status, headroom.status) == ("passes", "passes", "passes")
    assert (latency.figure, latency.limit, latency.margin) == ("11.8 ms", "of 20 ms", "41 % to spare")
    assert (quality.figure, quality.limit, quality.margin) == ("-0.00061", "floor -0.002", "0.0014 to spare")
    assert headroom.margin == "2.04 times what is asked"


def test_bars_keep_their_order(win):
    latency, quality, headroom = (gate.bar for gate in gates(win))
    for bar in (latency, quality):
        assert 0 <= bar.low < bar.value < bar.high < bar.limit < 1
        assert bar.bad == (bar.limit, 1.0)
    assert headroom.bad == (0.0, headroom.limit)
    assert headroom.limit < headroom.value


def test_without_a_choice_the_nearest_candidate_is_shown(every):
    infeasible = next(verdict for verdict in every if verdict.verdict == "INFEASIBLE")
    assert subject(infeasible).candidate == "torch/fp32/2x1"
    latency, quality, headroom = gates(infeasible)
    assert (latency.status, latency.margin) == ("misses", "23 % over")
    assert quality.status == "passes"
    assert headroom.status == "misses"


def test_too_little_evidence_is_undecided(every):
    short = next(verdict for verdict in every if verdict.verdict == "INSUFFICIENT")
    assert [gate.status for gate in gates(short)] == ["undecided", "passes", "passes"]
    vague = replace(
        short.candidates[0],
        capacity_low_qps=None,
        quality={"auc": Quality("auc", 0.68, 0.681, -0.001, -0.01, 0.01, 50)},
    )
    assert [gate.status for gate in gates(replace(short, nearest=vague))] == ["undecided"] * 3


def test_what_has_no_limit_says_so(offline):
    latency, quality, headroom = gates(offline)
    assert [gate.status for gate in (latency, quality, headroom)] == ["no limit"] * 3
    assert headroom.figure == "157,000 items/s"


def test_capacity_where_it_is_the_question(win):
    asked = {"rate": None, "open_loop": True, "qps": "max"}
    tried = replace(win.choice, capacity_measured=True, capacity_low_qps=590.0, capacity_high_qps=650.0)
    capacity = gates(replace(win, traffic=asked, choice=tried))[2]
    assert (capacity.status, capacity.figure, capacity.limit) == ("no limit", "612 /s", "as much as it can")
    assert capacity.margin == "holds at 590 /s, fails at 650 /s"
    assert (
        gates(replace(win, traffic=asked, choice=replace(tried, capacity_high_qps=None)))[2].margin == "holds at 590 /s"
    )
    assert gates(replace(win, traffic=asked))[2].margin.startswith("replayed from service times, 95 % interval")


def test_an_absent_figure_never_passes(win):
    unmeasured = replace(win.choice, p99_ms=None, capacity_qps=None, quality={})
    statuses = [gate.status for gate in gates(replace(win, choice=unmeasured))]
    assert statuses == ["not measured"] * 3
    assert gates(replace(win, choice=None, leader=None)) == ()


def test_a_metric_where_less_is_better_turns_the_sign(win):
    logloss = Quality("logloss", 0.3515, 0.35, 0.0015, 0.001, 0.0024, 1000, higher_is_better=False)
    gate = gates(
        replace(
            win,
            floors={"logloss": {"amount": 0.002, "relative": False}},
            choice=replace(win.choice, quality={"logloss": logloss}),
        )
    )[1]
    assert (gate.figure, gate.limit) == ("+0.0015", "floor +0.002")
    assert gate.bar.value < gate.bar.limit < gate.bar.high
