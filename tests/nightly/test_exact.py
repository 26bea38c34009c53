"""What needs no session: sizes to the byte, and both sides' answers to the same held-out data by real engines."""

from dataclasses import replace

import numpy as np
import pytest
from nightly_shop import NAME, ranker, requests

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Silent
from bakeoff.nightly import cases, exact
from bakeoff.nightly.session import NOW, SideFailed
from bakeoff.workloads.prepared import Prepared


@pytest.mark.parametrize(
    ("now", "gate", "status"),
    [
        (1000, 0.02, "ok"),
        (1019, 0.02, "ok"),
        (1021, 0.02, "regression"),
        (981, 0.02, "ok"),
        (979, 0.02, "improved"),
        (1021, None, "ok"),
        (1001, 0.0, "regression"),
    ],
)
def test_a_size_decides_from_its_threshold_on(now, gate, status):
    found = exact.size(1000, now, gate)
    assert found.status == status
    assert (found.change, found.low, found.high, found.mde) == (*[pytest.approx(now / 1000 - 1)] * 3, 0.0)
    assert (found.baseline, found.now, found.unit, found.gate) == (1000, now, "bytes", gate)


def test_a_size_without_a_baseline_cannot_be_compared():
    found = exact.size(None, 5, 0.02)
    assert (found.status, found.change) == ("inconclusive", None)


def test_the_same_bytes_are_the_same_quality():
    (same,) = exact.same_quality({"auc": 0.8}, True)
    assert (same.status, same.change, same.now, same.gate) == ("ok", 0.0, 0.8, 0.0)
    assert exact.same_quality({"auc": 0.8}, False)[0].gate is None


@pytest.fixture
def sides(shop, tmp_path):
    def found():
        (one,) = cases.find([shop.pin()], cases.Check(lambda *_: [], tmp_path, Budget(None), Silent()))
        return one.case

    return found


@pytest.mark.engines
@pytest.mark.slow
def test_a_model_file_that_ranks_worse_is_a_regression_by_the_paired_interval(shop, sides):
    same = {each.metric: each for each in sides().known.exact}
    assert same["quality:auc"].reason == "the same bytes on the same engine"
    assert same.keys() == {"quality:auc", "artifact_size"}, "the scenario's metrics, of all that are known"
    shop.serve(ranker(noise=0.3))
    worse = {each.metric: each for each in sides().known.exact}
    found = worse["quality:auc"]
    assert found.status == "regression"
    assert 0.002 < found.low < found.change < found.high
    assert found.gate == pytest.approx(0.002)
    assert found.now == pytest.approx(found.baseline - found.change)
    assert worse["artifact_size"].status == "ok"


@pytest.mark.engines
@pytest.mark.slow
def test_other_bytes_that_answer_alike_lose_nothing_and_other_held_out_data_cannot_be_compared(shop, sides, tmp_path):
    shop.serve(ranker(rows=5000))
    case = sides()
    by_metric = {each.metric: each for each in case.known.exact}
    assert by_metric["artifact_size"].status == "regression"
    assert (by_metric["quality:auc"].status, by_metric["quality:auc"].change) == ("ok", 0.0)
    assert by_metric["quality:auc"].reason == "", "it was scored, not taken for the same"
    arrays = requests()
    np.savez(shop.folder / "requests.npz", **arrays | {"clicked": 1 - arrays["clicked"]})
    (found,) = [each for each in sides().known.exact if each.metric == "quality:auc"]
    assert found.status == "inconclusive"
    assert "the held-out data are not those of the baseline" in found.reason
    assert Prepared.read(case.sides.now.prepared).holdout().requests.count > 0
    broken = replace(case.sides, now=replace(case.sides.now, target="bakeoff_backends.onnx_runtime:NoSuchClass"))
    with pytest.raises(SideFailed) as caught:
        exact.quality(broken, None, 1)
    assert caught.value.side == NOW
    assert exact.quality(replace(case.sides, baseline=None), None, 1) == []
    assert case.known.scenario == NAME


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("part", ["artifact", "model"])
def test_what_differs_in_its_bytes_or_its_model_is_scored_and_not_taken_for_the_same(shop, sides, part):
    def change(values):
        if part == "artifact":
            values["candidates"][0]["artifact"]["digest"] = "0" * 64
        else:
            values["workload"]["model"] = "0" * 64

    shop.edit(change)
    (found,) = [each for each in sides().known.exact if each.metric == "quality:auc"]
    assert (found.status, found.change, found.reason) == ("ok", 0.0, "")
