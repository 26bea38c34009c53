"""The real LoadGen over the real worker, on a short clock."""

import json

import numpy as np
import pytest
from rich.console import Console

from bakeoff.errors import UserError
from bakeoff.selftest import against, driving, telling
from bakeoff.selftest.reading import _traced

pytestmark = [pytest.mark.engines, pytest.mark.alone]


@pytest.fixture(scope="module")
def compared():
    pytest.importorskip("mlperf_loadgen")
    return against.run(repeats=1, service_s=5e-4, block_s=0.4)


def test_both_drove_the_same_worker_at_the_same_loads(compared):
    for tool in (compared.ours, compared.loadgen):
        assert {share: len(readings) for share, readings in tool.readings.items()} == {0.5: 1, 0.8: 1}
        assert all(rate > 0 for rate in tool.rates_qps)
        for share, (read,) in tool.readings.items():
            assert read.asked_qps == pytest.approx(share * compared.capacity_qps)
            assert read.p50_ms >= read.true_p50_ms - 0.02
            assert read.p99_ms >= read.true_p99_ms - 0.02


def test_ratios_are_ours_over_theirs(compared):
    told = json.loads(json.dumps(compared.as_json(), allow_nan=False))
    assert set(told["ratios"]) == {"p50_error", "p99_error", "lateness_p50", "lateness_p99", "rate"}
    assert told["ratios"]["p99_error"] == pytest.approx(told["ours"]["p99_error_us"] / told["loadgen"]["p99_error_us"])
    assert told["ratios"]["rate"] == pytest.approx(told["ours"]["rate_qps"] / told["loadgen"]["rate_qps"])
    at80 = told["loads"]["80%"]
    assert at80["ratios"]["lateness_p50"] == at80["ours"]["lateness_p50_us"] / at80["loadgen"]["lateness_p50_us"]


def test_the_rates_of_their_own_schedules_stand_beside_and_in_no_ratio(compared):
    told = compared.as_json()
    for each in (told, *told["loads"].values()):
        assert not [name for name in each["ratios"] if "rate" in name and name != "rate"]
        assert 0 <= each["ours"][against.OWN_SCHEDULE] < 0.02
    for share, (read,) in compared.loadgen.readings.items():
        theirs = told["loads"][f"{share:.0%}"]["loadgen"][against.OWN_SCHEDULE]
        assert theirs == pytest.approx(read.offered_error, abs=1e-4)
        (ours,) = compared.ours.readings[share]
        assert ours.offered_error == pytest.approx(theirs, abs=1e-4), "what was played is LoadGen's schedule"


def test_both_columns_are_shown(compared):
    console = Console(record=True, width=120)
    telling.render_compared(compared, console)
    text = console.export_text()
    assert "bakeoff" in text
    assert "LoadGen" in text
    assert text.count("error of p99") == 2
    assert text.count("real-time priority") == 2
    assert "error of the offered rate" not in text
    assert "bakeoff's, which were not played here" in " ".join(text.split())


def test_the_traced_schedule_is_the_one_we_play(bench):
    pytest.importorskip("mlperf_loadgen")
    count, qps, seed = 200, 2000.0, 5
    loadgen = driving.LoadGen(bench)
    with bench.start("steady", 100, answers=loadgen.answers) as engine:
        loadgen.block(engine, qps, count / qps, seed)
    scheduled_ns, late_ns = _traced(bench.folder / "loadgen.1" / "mlperf_log_trace.json")
    assert len(scheduled_ns) == count
    np.testing.assert_allclose(scheduled_ns, driving.schedule_ns(qps, count, seed), atol=5)
    assert (late_ns > 0).all()


def test_a_missing_loadgen_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr(driving, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install 'bakeoff\[loadgen\]'"):
        against.run()


def test_a_loadgen_that_fails_is_one_line(bench):
    pytest.importorskip("mlperf_loadgen")
    loadgen = driving.LoadGen(bench)
    with bench.start("steady", 1, answers=loadgen.answers) as engine:
        loadgen.answers += ".missing"
        with pytest.raises(UserError, match="LoadGen failed: FileNotFoundError"):
            loadgen.block(engine, 100.0, 0.1, seed=1)


def test_repeats_below_one_are_refused():
    pytest.importorskip("mlperf_loadgen")
    with pytest.raises(UserError, match="--repeats"):
        against.run(repeats=0)
