import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from bakeoff.metrics import lists, ranking
from bakeoff.metrics.fidelity import top10_changed


@pytest.fixture
def few_cells(monkeypatch):
    """Lists come in many small parts, as those of large data do."""
    monkeypatch.setattr(lists, "CELLS", 64)


@pytest.mark.parametrize("k", [1, 3, 10, 50])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_ndcg_of_groups_of_all_lengths_is_scikit_learns_ties_included(held, few_cells, k, levels):
    rng = np.random.default_rng([k, levels])
    groups = rng.permutation(np.repeat(np.arange(40), rng.integers(2, 30, 40)))
    scores = rng.integers(0, levels, len(groups)).astype(float)
    labels = rng.integers(0, 3, len(groups)).astype(float)
    found = ranking.ndcg(k, held(labels=labels, groups=groups), scores)
    mine = [groups == group for group in range(40)]
    wanted = [ndcg_score([labels[rows]], [scores[rows]], k=k) for rows in mine if np.ptp(labels[rows])]
    np.testing.assert_allclose(np.sort(found), np.sort(wanted))


def test_ndcg_of_a_catalogue_and_of_a_corpus_is_scikit_learns(held, few_cells):
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 8, (20, 30)).astype(float)
    relevance = rng.random((20, 30)) < 0.1
    relevance[4] = False
    users, items = np.nonzero(relevance)
    found = ranking.ndcg(10, held("catalogue", queries=users, relevant=items), scores)
    some = relevance.any(axis=1)
    np.testing.assert_allclose(found.mean(), ndcg_score(relevance[some], scores[some], k=10))

    corpus, queries = rng.integers(-1, 2, (50, 3)) + 0.5, rng.integers(-1, 2, (9, 3)) + 0.5
    asked = held("retrieval", queries=np.arange(9), relevant=9 + np.arange(9))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (queries, corpus)]
    found = ranking.ndcg(10, asked, np.concatenate([queries, corpus]))
    np.testing.assert_allclose(found.mean(), ndcg_score(np.eye(9, 50), unit[0] @ unit[1].T, k=10))


def test_recall_is_the_share_of_what_is_relevant_among_the_best(held):
    scores = np.array([5, 4, 3, 2, 1, 9, 8, 1, 2, 3], float)
    labels = np.array([1, 0, 0, 1, 1, 0, 0, 0, 1, 1], float)
    groups = np.repeat([0, 1], 5)
    examples = held(labels=labels, groups=groups)
    assert ranking.recall(2, examples, scores).tolist() == [1 / 3, 0.0]
    assert ranking.recall(4, examples, scores).tolist() == [2 / 3, 1.0]
    assert ranking.recall(50, examples, scores).tolist() == [1.0, 1.0]
    users = held("catalogue", queries=np.array([0, 0, 2]), relevant=np.array([1, 3, 0]))
    catalogue = np.array([[4, 3, 2, 1], [0, 0, 0, 1], [1, 2, 3, 4]], float)
    assert ranking.recall(2, users, catalogue).tolist() == [0.5, 0.0]


def test_a_list_without_anything_relevant_is_left_out_of_recall(held):
    examples = held(labels=np.array([0, 0, 1, 0]), groups=np.array([0, 0, 1, 1]))
    assert ranking.recall(1, examples, np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [0.0]
    assert ranking.recall(1, held(labels=np.zeros(4), groups=np.zeros(4)), np.arange(4.0)).tolist() == []


def test_those_that_tie_share_the_last_places_of_recall(held):
    """By brute force: the mean recall over random orders of the tied."""
    rng = np.random.default_rng(5)
    scores, labels = rng.integers(0, 4, 20).astype(float), (rng.random(20) < 0.4).astype(float)
    (found,) = ranking.recall(7, held(labels=labels), scores)
    drawn = [labels[np.lexsort((rng.random(20), -scores))[:7]].sum() / labels.sum() for _ in range(4000)]
    assert found == pytest.approx(np.mean(drawn), abs=0.01)


def test_top10_changed_counts_places_that_hold_another_item(held, few_cells):
    base = np.stack([np.arange(30.0, 0.0, -1.0)] * 3)
    scores = base.copy()
    scores[1, [0, 1]] = scores[1, [1, 0]]
    scores[2] = scores[2, ::-1]
    users = held("catalogue", queries=np.arange(3), relevant=np.zeros(3, int))
    assert top10_changed(users, scores, base).tolist() == [0.0, 0.2, 1.0]
    assert top10_changed(users, base[:, ::-1], base[:, ::-1]).tolist() == [0.0, 0.0, 0.0]


def test_places_beyond_a_short_list_do_not_count(held, few_cells):
    groups = np.repeat([0, 1], [4, 30])
    base = np.arange(34.0)
    swapped = base.copy()
    swapped[[2, 3]] = swapped[[3, 2]]
    assert top10_changed(held(groups=groups), swapped, base).tolist() == [0.5, 0.0]


def test_equal_scores_keep_the_earlier_item_first(held):
    base = np.array([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert top10_changed(held(), np.zeros(12), base).tolist() == [0.0]
    later = base.copy()
    later[1] = 1.0
    assert top10_changed(held(), later, base).tolist() == [0.9]
