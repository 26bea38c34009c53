"""`feed-sasrec` on a made-up catalogue in MovieLens' format, and (marked) on the real data."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bakeoff.errors import UserError
from bakeoff.workloads import feeds, movielens, ta_feng
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.feed_sasrec import FeedSasrec

USERS, FILMS = 40, 20


def quiet(_: str) -> None:
    pass


@pytest.fixture
def folder(tmp_path) -> Path:
    """Every user sees the films in the same circle, from a place of their own, and the table is shuffled."""
    rng = np.random.default_rng(0)
    lines = [
        f"{user + 1}\t{(user * 7 + step) % FILMS + 1}\t3\t{1000 * user + step}"
        for user in range(USERS)
        for step in range(10 + user % 8)
    ]
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (tmp_path / "ml-100k.inter").write_text("\n".join([head, *rng.permutation(lines)]))
    return tmp_path


@pytest.fixture
def workload(folder, monkeypatch) -> FeedSasrec:
    """The workload, which finds the small data."""
    monkeypatch.setattr(feeds, "fetch", lambda carried, cache: folder)
    monkeypatch.setattr(movielens, "FILMS", FILMS)
    small = feeds.Source(feeds.films, feeds.MOVIELENS, FILMS, 8, 4, 16, 8, 1e-3, 0.0)
    monkeypatch.setitem(feeds.SOURCES, "movielens-100k", small)
    return FeedSasrec("movielens-100k")


def test_data_that_it_does_not_know_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^feed-sasrec: data must be ta-feng or movielens-100k, not netflix$"):
        FeedSasrec("netflix")


def test_the_terms_of_the_data_are_told() -> None:
    assert "no commercial use, no redistribution" in FeedSasrec("movielens-100k").licence
    assert "Harper and Konstan" in FeedSasrec("movielens-100k").citation
    assert "Ta-Feng" in FeedSasrec().citation


def test_what_is_held_out_or_apart_is_never_trained_on(workload, folder) -> None:
    feed = feeds.films(folder)
    visits = [feed.held_out, feed.apart, np.flatnonzero(feed.trained)]
    assert len(np.unique(np.concatenate(visits))) == sum(map(len, visits)) == len(feed.histories.user)
    windows = feed.histories.windows(feed.trained, 8, 4)
    read = feed.histories.visit[windows[windows >= 0]]
    foretold = feed.histories.next_visits(windows)
    assert feed.trained[read].all()
    assert feed.trained[foretold[foretold >= 0]].all()
    assert set(foretold[foretold >= 0]) == set(np.flatnonzero(feed.trained & (feed.histories.ordinal > 0)))


def test_held_out_users_rank_all_that_they_have_not_seen(workload, folder) -> None:
    held_out = workload.held_out(256, 0, folder, quiet)
    assert held_out.rows.tolist() == [FILMS - (9 + user % 8) for user in range(USERS)]
    assert (held_out.groups == np.repeat(np.arange(USERS), held_out.rows)).all()
    assert held_out.arrays["history"].shape == (USERS, 8)
    lists = np.split(held_out.arrays["candidates"], np.cumsum(held_out.rows)[:-1])
    for user, (history, items) in enumerate(zip(held_out.arrays["history"], lists, strict=True)):
        seen = {(user * 7 + step) % FILMS + 1 for step in range(9 + user % 8)}
        assert set(history) <= seen
        assert set(items) == set(range(1, FILMS + 1)) - seen
    bought = held_out.arrays["candidates"][held_out.labels == 1]
    assert (bought == held_out.arrays["history"][:, -1] % FILMS + 1).all(), "the film that follows in the circle"


def test_grocers_may_buy_again_and_recent_visits_count_more(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    user, day, item = rng.integers(0, (12, 120, 5), (4000, 3)).T
    days = np.zeros(0), np.zeros(5), np.zeros(12), np.zeros(12)
    purchases = ta_feng.Purchases(day, user, item, *days, {"item": np.arange(100, 105)})
    monkeypatch.setattr(feeds, "fetch", lambda carried, cache: tmp_path / "empty")
    (tmp_path / "empty").write_bytes(b"")
    monkeypatch.setattr(ta_feng, "read", lambda archive: purchases)
    feed = feeds.groceries(tmp_path)
    moment = feed.histories.moment
    assert feed.items == 5
    assert feed.ids.tolist() == [100, 101, 102, 103, 104]
    assert moment[feed.trained].max() == 104
    assert ((moment[feed.held_out] >= 105) & (moment[feed.held_out] < 110)).all()
    assert len(set(feed.histories.user[feed.held_out])) == len(feed.held_out) > 5
    assert not feed.trained[feed.apart].any()
    assert set(feed.histories.user[feed.apart]) == {0, 4, 8}
    assert feed.weight[moment == 100] == pytest.approx(2 * feed.weight[moment == 86][0])
    assert feed.candidates(feed.held_out).sum(axis=1).tolist() == [5] * len(feed.held_out)
    _, items, shares = feed.targets(np.flatnonzero(moment == 100)[:2])
    assert shares.sum() == pytest.approx(1)
    assert len(shares) == len(items)
    assert items.min() >= 0


def test_requests_are_users_with_candidates_of_their_own(workload, folder) -> None:
    rows = np.array([3, 5, 2])
    arrays = workload.requests(rows, 0, folder, quiet)
    assert arrays["history"].shape == (3, 8)
    assert arrays["candidates"].shape == (10,)
    assert {name: array.dtype for name, array in arrays.items()} == {"history": np.int64, "candidates": np.int64}
    assert arrays["candidates"].min() >= 1
    again = workload.requests(rows, 0, folder, quiet)
    assert all((arrays[name] == again[name]).all() for name in arrays)


def test_training_learns_what_follows_and_is_the_same_twice(workload, folder) -> None:
    torch.manual_seed(0)
    untrained = workload.loss(workload.student(1), 0, folder)
    one, other = (workload.train(0, folder, quiet).module for _ in range(2))
    assert untrained > 2.8
    assert workload.loss(one, 0, folder) < 2.2, "guessing among 20 films would be 3.0"
    for mine, others in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, others, rtol=0, atol=0)


def test_a_student_is_smaller_and_takes_after_its_teacher(workload, folder) -> None:
    teacher, student = workload.student(1), workload.student(0.5)
    assert sum(w.numel() for w in student.parameters()) < 0.5 * sum(w.numel() for w in teacher.parameters())
    assert len(student.blocks) == 1
    torch.nn.init.normal_(teacher.items.weight, 0, 1)
    history = torch.from_numpy(workload.held_out(256, 0, folder, quiet).arrays["history"])

    def ranking(module: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return torch.stack([module.eval()(one[None], torch.arange(1, FILMS + 1)) for one in history]).softmax(1)

    def distance(module: torch.nn.Module) -> float:
        return float((ranking(module) - ranking(teacher)).abs().sum(1).mean())

    alone = workload.student(0.5)
    alone.load_state_dict(student.state_dict())
    workload.fit(alone, 1, 0, folder, quiet)
    workload.fit(student, 1, 0, folder, quiet, teacher)
    assert distance(student) < distance(alone) - 0.1


def test_fine_tuning_takes_small_steps(workload, folder) -> None:
    module = workload.train(0, folder, quiet).module
    before = [weights.detach().clone() for weights in module.parameters()]
    workload.fit(module, 0.1, 0, folder, quiet)
    moved = max(float((now.detach() - then).abs().max()) for now, then in zip(module.parameters(), before, strict=True))
    assert 0 < moved < 0.05


@pytest.mark.quality
@pytest.mark.parametrize(("data", "ndcg", "recall"), [("movielens-100k", 0.085, 0.45), ("ta-feng", 0.065, 0.195)])
def test_the_real_models_rank_well(data: str, ndcg: float, recall: float) -> None:
    """Ta-Feng by what sold most in the three days before the split: NDCG@10 .050, recall@50 .183."""
    workload, cache = FeedSasrec(data), cache_dir() / "downloads"
    trained = workload.train(0, cache, quiet)
    held_out = workload.held_out(256, 0, cache, quiet)
    cuts = np.cumsum(held_out.rows)[:-1]
    ndcg_of, recall_of = [], []
    discounts = 1 / np.log2(np.arange(2, 12))
    columns = zip(np.split(held_out.arrays["candidates"], cuts), np.split(held_out.labels, cuts), strict=True)
    for user, (candidates, labels) in enumerate(columns):
        history = torch.from_numpy(held_out.arrays["history"][user : user + 1])
        with torch.inference_mode():
            best = trained.module(history, torch.from_numpy(candidates)).topk(50).indices.numpy()
        ndcg_of.append(labels[best[:10]] @ discounts / discounts[: int(labels.sum())].sum())
        recall_of.append(labels[best].sum() / labels.sum())
    assert np.mean(ndcg_of) > ndcg
    assert np.mean(recall_of) > recall
