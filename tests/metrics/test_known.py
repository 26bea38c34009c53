import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from bakeoff.metrics import named, own_figures, require
from bakeoff.metrics.known import METRICS


def test_own_figures_of_clicks_are_scikit_learns(held):
    rng = np.random.default_rng(0)
    scores = rng.random(500)
    labels = (rng.random(500) < scores).astype(np.float32)
    found = own_figures(["auc", "logloss", "normalized_entropy", "score_error"], held(labels=labels), scores)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["logloss"] == pytest.approx(log_loss(labels, scores))
    rate = np.full(500, labels.mean())
    assert found["normalized_entropy"] == pytest.approx(log_loss(labels, scores) / log_loss(labels, rate))
    assert "score_error" not in found
    alike = own_figures(["normalized_entropy"], held(labels=np.ones(500)), scores)
    assert np.isnan(alike["normalized_entropy"])


def test_own_figures_of_classes_are_scikit_learns(held):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 400) * 2
    scores = np.eye(11)[labels] + rng.normal(0, 0.7, (400, 11))
    found = own_figures(["top1", "macro_f1"], held("classes", labels=labels), scores)
    guessed = scores.argmax(axis=1)
    assert found["top1"] == pytest.approx(accuracy_score(labels, guessed))
    expected = f1_score(labels, guessed, labels=np.unique(labels), average="macro")
    assert found["macro_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["accuracy", "recall", "recall@0", "recall@x", "auc@10", "ndcg@-1", ""])
def test_an_unknown_metric_is_named(metric):
    with pytest.raises(ValueError, match=r"unknown metric .*; known: auc, logloss"):
        named(metric)


def test_lower_is_better_where_it_measures_an_error():
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"logloss", "normalized_entropy", "score_error", "top10_changed"}
    assert named("recall@100").higher_is_better


@pytest.mark.parametrize(
    ("metric", "kind", "columns", "complaint"),
    [
        ("auc", "rows", {}, "auc needs labels"),
        ("recall@50", "rows", {}, "recall@50 needs labels"),
        ("recall@50", "catalogue", {}, "needs the rows of the queries and of what is relevant"),
        ("top10_changed", "retrieval", {}, "needs the rows of the queries"),
        ("ndcg@10", "classes", {"labels": np.zeros(4)}, "needs lists"),
        ("top1", "rows", {"labels": np.zeros(4)}, "needs a score for each class"),
        ("ndcg@10", "rows", {"labels": np.array([0.0, -1.0, 1.0, 2.0])}, "needs labels of 0 or more"),
    ],
)
def test_what_the_examples_cannot_give_is_said(held, metric, kind, columns, complaint):
    with pytest.raises(ValueError, match=complaint):
        require(metric, held(kind, **columns), (4, 3))


def test_what_needs_nothing_but_the_bases_answers_is_always_had(held):
    for metric in ("score_error", "rank_correlation", "top10_agreement", "top10_changed"):
        require(metric, held(), (4,))
    require("top10_changed", held("catalogue"), (4, 9))


def test_a_probability_that_an_engine_rounds_beyond_its_bounds_is_no_logit(held):
    labels, scores = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.7, 0.2])
    rounded = scores + np.array([1e-3, -1e-3, 0.0, 0.0])
    of = held(labels=labels)
    assert own_figures(["logloss"], of, rounded)["logloss"] == pytest.approx(
        own_figures(["logloss"], of, scores)["logloss"]
    )
