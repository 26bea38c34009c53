"""The built-in workloads for real, from the cache that every run of the tests shares (see BAKEOFF_CACHE)."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bakeoff.scenario import load_scenario
from bakeoff.workloads import prepare
from bakeoff.workloads.prepared import Prepared

pytestmark = pytest.mark.quality

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def assert_onnx_answers_as_the_reference(prepared: Prepared, requests: int) -> None:
    session = onnxruntime.InferenceSession(str(prepared.variants["base"]["onnx"]))
    pool = prepared.requests()
    for i in range(requests):
        answers = session.run(list(prepared.outputs), pool.get(i))
        for name, answer in zip(prepared.outputs, answers, strict=True):
            np.testing.assert_allclose(pool.reference(i)[name], answer, atol=1e-5)


def test_the_click_model_is_good_and_its_requests_differ() -> None:
    prepared = prepare(load_scenario(SCENARIOS / "ctr-ranking.yaml"))
    assert prepared.data == "real"
    assert prepared.facts["base_auc"] >= 0.67
    assert prepared.facts["base_logloss"] < 0.48
    holdout = prepared.holdout()
    assert holdout.requests.rows == len(holdout.labels) == 200_000
    pool = prepared.requests()
    assert set(pool.items.tolist()) == {100, 200, 300, 400, 500, 600, 700}
    one = pool.get(0)
    assert len(np.unique(one["sparse"][:, 0])) == 1, "a request is about one user"
    assert len(np.unique(one["sparse"][:, 1])) > len(one["sparse"]) / 2, "and about many items"
    assert len({pool.get(i)["dense"].tobytes() for i in range(50)}) == 50
    assert_onnx_answers_as_the_reference(prepared, 20)


def test_the_search_model_finds_texts_by_their_titles() -> None:
    prepared = prepare(load_scenario(SCENARIOS / "search-ranking.yaml"))
    assert prepared.facts["base_ndcg@10"] > 0.12
    pool = prepared.requests()
    assert pool.items[0] == 4
    assert pool.get(0)["input_ids"].shape == (5, 32), "a query and its four texts"
    reference = pool.reference(0)
    assert reference["score"][0] == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(reference["embedding"], axis=1), 1, atol=1e-5)
    holdout = prepared.holdout()
    assert holdout.kind == "retrieval"
    assert holdout.reference.shape == (1200, 384)
    assert len(holdout.queries) == len(holdout.relevant) == 400
    assert_onnx_answers_as_the_reference(prepared, 10)
