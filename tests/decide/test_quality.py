import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, ndcg_score, roc_auc_score

from bakeoff.decide.quality import evaluate, judge
from bakeoff.metrics.delong import paired_auc
from bakeoff.scenario import Floor
from bakeoff.store.record import Quality


@dataclass
class Examples:
    reference: Any
    kind: str = "rows"
    labels: Any = None
    groups: Any = None
    queries: Any = None
    relevant: Any = None


@pytest.fixture
def clicks():
    """Rows with labels, a model's scores (probabilities), and a slightly worse model's."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    base = 1 / (1 + np.exp(-truth))
    worse = 1 / (1 + np.exp(-(truth + rng.normal(0, 0.4, 4000))))
    return Examples(base, labels=labels, groups=np.repeat(np.arange(400), 10)), worse


def test_auc_is_scikit_learns_and_its_interval_that_of_a_bootstrap(clicks):
    examples, worse = clicks
    (found,) = evaluate(examples, worse, ["auc"])
    assert found.value == pytest.approx(roc_auc_score(examples.labels, worse))
    assert found.base == pytest.approx(roc_auc_score(examples.labels, examples.reference))
    rng = np.random.default_rng(1)
    deltas = []
    for _ in range(300):
        rows = rng.integers(4000, size=4000)
        labels = examples.labels[rows]
        deltas.append(roc_auc_score(labels, worse[rows]) - roc_auc_score(labels, examples.reference[rows]))
    half = (found.high - found.low) / 2
    assert half == pytest.approx(1.96 * np.std(deltas), rel=0.15)
    assert found.delta == pytest.approx(np.mean(deltas), abs=half / 3)


def test_auc_with_ties_and_one_class():
    positive = np.array([True, False, True, False])
    one, other, error = paired_auc(positive, np.array([0.5, 0.5, 0.9, 0.1]), np.ones(4))
    assert (one, other) == (0.875, 0.5)
    assert error > 0
    assert math.isnan(paired_auc(np.ones(4, bool), np.ones(4), np.ones(4))[0])
    assert paired_auc(np.array([True, False]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))[2] == 0.0


@pytest.mark.parametrize("logits", [False, True])
def test_logloss_is_scikit_learns(clicks, logits):
    examples, worse = clicks
    (value,) = (log_loss(examples.labels, worse),)
    if logits:
        examples.reference, worse = (np.log(p / (1 - p)) for p in (examples.reference, worse))
    (found,) = evaluate(examples, worse[:, None], ["logloss"])
    assert found.value == pytest.approx(value)
    assert found.low < found.delta < found.high
    assert not found.higher_is_better


def test_grouped_ndcg_is_scikit_learns(clicks):
    examples, worse = clicks
    (found,) = evaluate(examples, worse, ["ndcg@10"])
    rows = [np.arange(10 * g, 10 * g + 10) for g in range(400)]
    values = [ndcg_score([examples.labels[r]], [worse[r]], k=10) for r in rows if np.ptp(examples.labels[r])]
    assert found.value == pytest.approx(np.mean(values))
    assert found.examples == len(values)


def test_retrieval_ndcg():
    rng = np.random.default_rng(2)
    texts = rng.normal(size=(300, 16))
    queries = texts[:100] + rng.normal(0, 0.8, (100, 16))
    base = np.concatenate([queries, texts])
    examples = Examples(base, "retrieval", queries=np.arange(100), relevant=np.arange(100, 200))
    noisy = base + rng.normal(0, 0.5, base.shape)
    (found,) = evaluate(examples, noisy, ["ndcg@10"])
    unit = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    relevance = np.eye(100, 300)
    assert found.value == pytest.approx(ndcg_score(relevance, unit[:100] @ unit[100:].T, k=10))
    assert found.delta < 0
    assert found.examples == 100
    (same,) = evaluate(examples, base.astype(np.float32), ["ndcg@10"])
    assert same.delta == 0.0
    (constant,) = evaluate(examples, np.ones_like(base), ["ndcg@10"])
    assert constant.value == pytest.approx(ndcg_score(relevance, np.ones((100, 300)), k=10))


def test_normalized_entropy_is_the_logloss_over_that_of_the_click_rate(clicks):
    examples, worse = clicks
    found, logloss = evaluate(examples, worse, ["normalized_entropy", "logloss"])
    of_the_rate = log_loss(examples.labels, np.full(4000, examples.labels.mean()))
    for figure in ("value", "base", "delta", "low", "high"):
        assert getattr(found, figure) == pytest.approx(getattr(logloss, figure) / of_the_rate)
    assert found.delta > 0
    assert not found.higher_is_better


def test_recall_is_paired_over_users():
    rng = np.random.default_rng(4)
    base = rng.normal(size=(300, 200))
    users = np.repeat(np.arange(0, 300, 2), 3)
    relevant = np.argsort(-base[users] + rng.normal(0, 1.0, (450, 200)))[:, 0]
    examples = Examples(base, "catalogue", queries=users, relevant=relevant)
    noisy = base + rng.normal(0, 0.5, base.shape)
    (found,) = evaluate(examples, noisy, ["recall@50"])
    assert found.examples == 150
    assert found.low < found.delta < found.high < 0
    alone = np.std([(np.argsort(-base[user])[:50] == 0).any() for user in range(150)])
    assert found.high - found.low < 4 * alone / math.sqrt(150)
    (same,) = evaluate(examples, base.astype(np.float32).astype(np.float64), ["recall@50"])
    assert (same.delta, same.low, same.high) == (0.0, 0.0, 0.0)


def test_classes_are_judged_by_accuracy_and_a_bootstrap_of_macro_f1():
    rng = np.random.default_rng(6)
    labels = rng.choice(5, size=2000, p=[0.5, 0.3, 0.1, 0.06, 0.04])
    base = np.eye(5)[labels] + rng.normal(0, 0.5, (2000, 5))
    worse = base + rng.normal(0, 0.3, base.shape)
    top1, macro = evaluate(Examples(base, "classes", labels=labels), worse, ["top1", "macro_f1"])
    guesses = [scores.argmax(axis=1) for scores in (worse, base)]
    assert top1.value == pytest.approx((guesses[0] == labels).mean())
    assert macro.value == pytest.approx(f1_score(labels, guesses[0], average="macro"))
    assert macro.low < macro.delta < macro.high < 0
    deltas = []
    for _ in range(120):
        rows = rng.integers(2000, size=2000)
        one, other = (f1_score(labels[rows], guess[rows], average="macro") for guess in guesses)
        deltas.append(one - other)
    assert macro.high - macro.low == pytest.approx(2 * 1.96 * np.std(deltas), rel=0.25)
    for quality in evaluate(Examples(base, "classes", labels=labels), base, ["top1", "macro_f1"]):
        assert quality.delta == quality.low == quality.high == 0.0


def test_served_places_that_change_are_a_loss(clicks):
    examples, worse = clicks
    (found,) = evaluate(examples, worse, ["top10_changed"])
    assert (found.base, found.examples, found.higher_is_better) == (0.0, 400, False)
    changed = [np.argsort(-one, kind="stable") for one in worse.reshape(400, 10)]
    usual = [np.argsort(-one, kind="stable") for one in examples.reference.reshape(400, 10)]
    assert found.value == pytest.approx(np.mean([a != b for a, b in zip(changed, usual, strict=True)]))
    assert judge(found, Floor(amount=0.9)) == "ok"
    assert judge(found, Floor(amount=0.1)) == "missed"
    (same,) = evaluate(examples, examples.reference, ["top10_changed"])
    assert judge(same, Floor(amount=0.0)) == "ok"


def test_where_nothing_is_to_be_judged_there_is_no_figure(clicks):
    examples, worse = clicks
    assert evaluate(examples, worse, ()) == ()
    assert evaluate(examples, np.full(3, math.nan), ()) == ()


def test_fidelity_to_the_base(clicks):
    examples, worse = clicks
    metrics = ["score_error", "rank_correlation", "top10_agreement"]
    for quality in evaluate(examples, examples.reference, metrics):
        assert quality.delta == quality.low == quality.high == 0.0
    error, correlation, agreement = evaluate(examples, worse, metrics)
    rms = np.sqrt(np.mean((worse - examples.reference) ** 2)) / np.std(examples.reference)
    assert error.value == pytest.approx(rms)
    assert error.low < error.value < error.high
    assert 0.5 < correlation.value < 1.0
    assert 0.5 < agreement.value < 1.0
    assert correlation.high < 0
    _, flat, _ = evaluate(examples, np.zeros(4000), metrics)
    assert flat.value == 0.0


def test_fidelity_of_several_scores_a_row_ranks_them_within_the_row():
    rng = np.random.default_rng(3)
    base = rng.normal(size=(50, 40))
    error, correlation, agreement = evaluate(
        Examples(base),
        base + 0.01 * rng.normal(size=base.shape),
        ["score_error", "rank_correlation", "top10_agreement"],
    )
    assert error.value == pytest.approx(0.01, rel=0.1)
    assert (correlation.examples, agreement.examples) == (50, 50)
    assert correlation.value > 0.99


def test_one_single_list_gives_a_value_but_no_bound():
    base = np.arange(30.0)
    (found,) = evaluate(Examples(base), base[::-1].copy(), ["rank_correlation"])
    assert found.value == pytest.approx(-1.0)
    assert found.low == -math.inf
    assert judge(found, Floor(amount=0.1)) == "undecided"
    (nothing,) = evaluate(Examples(np.zeros(30)), base, ["rank_correlation"])
    assert math.isnan(nothing.value)


def test_scores_that_are_no_numbers_or_of_another_shape_pass_nothing(clicks):
    examples, worse = clicks
    broken = worse.copy()
    broken[7] = math.nan
    metrics = ["auc", "logloss", "normalized_entropy", "ndcg@10", "recall@5", "top10_changed"]
    for outputs in (broken, worse[:-1], np.full(4000, math.inf)):
        found = evaluate(examples, outputs, metrics)
        assert [one.higher_is_better for one in found] == [True, False, False, True, True, False]
        for quality in found:
            assert math.isnan(quality.value)
            assert judge(quality, Floor(amount=1.0)) == "missed"


def test_metrics_that_cannot_be_had_are_named(clicks):
    examples, worse = clicks
    with pytest.raises(ValueError, match="unknown metric 'accuracy'"):
        evaluate(examples, worse, ["accuracy"])
    with pytest.raises(ValueError, match="needs labels"):
        evaluate(Examples(worse), worse, ["auc"])
    with pytest.raises(ValueError, match="rows of the queries"):
        evaluate(Examples(worse, "retrieval"), worse, ["ndcg@10"])


@pytest.mark.parametrize(
    ("delta", "half", "higher", "floor", "outcome"),
    [
        (-0.001, 0.0005, True, Floor(amount=0.002), "ok"),
        (-0.003, 0.0005, True, Floor(amount=0.002), "missed"),
        (-0.002, 0.0005, True, Floor(amount=0.002), "undecided"),
        (0.001, 0.0005, False, Floor(amount=0.002), "ok"),
        (0.003, 0.0005, False, Floor(amount=0.002), "missed"),
        (-0.003, 0.0005, True, Floor(amount=0.01, relative=True), "ok"),
        (0.0, 0.0, True, Floor(amount=0.0), "ok"),
        (math.nan, 0.0, True, Floor(amount=1.0), "missed"),
        (-0.001, math.nan, True, Floor(amount=1.0), "undecided"),
    ],
)
def test_the_worst_end_must_be_allowed(delta, half, higher, floor, outcome):
    quality = Quality("m", 0.7 + delta, 0.7, delta, delta - half, delta + half, 10, higher)
    assert judge(quality, floor) == outcome
