"""Quality figures as one family: what a night of many scored figures tells, and what it does not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from bakeoff.decide.drift.qualities import judged, unknown
from bakeoff.decide.drift.rule import FAMILY, SCORED, TESTED, Benchmark, judge
from bakeoff.store.record import Quality

ALLOWED = 0.002
Z = float(special.ndtri(0.975))


def auc(loss, error, examples=5000):
    """An AUC that is lower by `loss`, of such a standard error."""
    return Quality("auc", 0.7 - loss, 0.7, -loss, -loss - Z * error, -loss + Z * error, examples)


@pytest.mark.parametrize(
    ("loss", "error", "status"),
    [
        (0.0, 0.0, "ok"),
        (0.001, 0.0004, "ok"),
        (0.001, 0.0006, "inconclusive"),
        (0.003, 0.0005, "regression"),
        (0.0015, 0.0001, "ok"),
        (0.003, 0.0015, "inconclusive"),
        (-0.004, 0.0005, "improved"),
        (-0.004, 0.003, "ok"),
    ],
)
def test_a_loss_beside_what_is_allowed(loss, error, status):
    figure = judged(auc(loss, error), ALLOWED, 1, decides=True)
    assert (figure.metric, figure.status, figure.gate) == ("quality:auc", status, ALLOWED)
    assert figure.change == pytest.approx(loss)
    assert figure.low <= figure.change <= figure.high
    assert judged(auc(loss, error), ALLOWED, 1, decides=False) == replace(figure, gate=None)
    assert (figure.baseline, figure.now) == (0.7, pytest.approx(0.7 - loss))
    assert bool(figure.reason) == (status == "inconclusive")


def test_a_metric_that_is_better_where_it_is_lower_is_turned_round():
    found = Quality("logloss", 0.51, 0.5, 0.01, 0.008, 0.012, 5000, higher_is_better=False)
    figure = judged(found, ALLOWED, 1, decides=True)
    assert (figure.status, figure.change) == ("regression", 0.01)
    assert figure.low < 0.008 < 0.012 < figure.high
    better = replace(found, value=0.49, delta=-0.01, low=-0.012, high=-0.008)
    assert judged(better, ALLOWED, 1, decides=True).status == "improved"


def test_the_more_a_night_scores_the_more_each_must_show():
    found = auc(0.003, 0.0009)
    alone, among = (judged(found, ALLOWED, count, decides=True) for count in (1, 100))
    assert (alone.status, among.status) == ("regression", "inconclusive")
    assert among.low < 0.0 < alone.low
    assert among.mde > alone.mde > ALLOWED
    few = judged(auc(0.003, 0.0009, examples=3), ALLOWED, 100, decides=True)
    assert few.high - few.low > 3 * (among.high - among.low), "three examples have no such tails to rely on"


def test_no_more_nights_than_allowed_tell_of_a_loss_that_is_none():
    """100 figures a night whose truth is no loss, nothing allowed; each for itself at 95 % cries in nine of ten."""
    losses = 0.001 * np.random.default_rng(0).standard_normal((1000, 100))
    worst = [judged(auc(loss, 0.001), 0.0, 100, decides=True) for loss in losses.max(axis=1)]
    assert np.mean([each.status == "regression" for each in worst]) <= SCORED
    assert SCORED + TESTED == pytest.approx(FAMILY) == 0.01, "what sessions and qualities tell is one family"
    assert np.mean([-auc(each.change, 0.001).high > 0.0 for each in worst]) > 0.9


def test_four_in_five_losses_of_the_mde_are_found():
    mde = judged(auc(0.0, 0.001), ALLOWED, 10, decides=True).mde
    losses = mde + 0.001 * np.random.default_rng(1).standard_normal(2000)
    found = [judged(auc(loss, 0.001), ALLOWED, 10, decides=True).status == "regression" for loss in losses]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("wrong", [{"value": math.nan}, {"low": -math.inf}, {"delta": math.inf}, {"base": math.nan}])
def test_what_is_no_number_is_unknown_and_decides_where_quality_does(wrong):
    found = replace(auc(0.0, 0.001), **wrong)
    gating, reported = (judged(found, ALLOWED, 1, decides=decides) for decides in (True, False))
    assert (gating.status, gating.gate) == ("inconclusive", ALLOWED)
    assert (reported.status, reported.gate) == ("inconclusive", None)
    night = judge([Benchmark("s", name, gates={}, exact=(each,)) for name, each in (("a", gating), ("b", reported))])
    assert night[0].figures == (gating,)
    assert unknown("auc", "why", None).gate is None


def test_a_score_error_of_nothing_is_ok():
    same = Quality("score_error", 0.0, 0.0, 0.0, 0.0, 0.0, 5000, higher_is_better=False)
    assert judged(same, 0.0, 50, decides=True).status == "ok"
