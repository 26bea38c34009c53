"""`two-tower` on a made-up shop, and (marked) on the real data."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bakeoff.workloads import exporting, two_tower
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.ta_feng import Purchases
from bakeoff.workloads.two_tower import TwoTowers, Visits, asked, catalogue_of, popularity_recall, split, visits_of

USERS, ITEMS, DAYS = 60, 40, 40
NOWHERE = Path("nowhere")


def quiet(_: str) -> None:
    pass


def shop() -> Purchases:
    """A user buys items of one half of the catalogue, which half depends on the user; item 0 is bought twice in all."""
    rng = np.random.default_rng(0)
    rows = {
        (day, user, 1 + (user % 2) * 20 + int(item))
        for day in range(DAYS)
        for user in rng.choice(USERS, 20, replace=False).tolist()
        for item in rng.choice(19, 3, replace=False)
    }
    day, user, item = np.array(sorted(rows | {(0, 0, 0), (1, 1, 0)})).T
    return Purchases(
        day, user, item, np.ones(len(day)), np.arange(ITEMS) // 5, np.arange(USERS) % 3, np.arange(USERS) % 2, {}
    )


@pytest.fixture
def visits(monkeypatch) -> Visits:
    purchases = shop()
    sizes = {"FIRST_DAY": 2, "SPLIT_DAY": 32, "USERS": USERS, "CONTEXTS": (3, 2, 7), "SUBCLASSES": 8}
    sizes |= {"HELD_OUT_USERS": 30, "APART": 20, "BATCH": 32, "EPOCHS": 8, "PEAK_RATE": 1e-2, "TOP": 5, "WIDTH": 32}
    for name, value in sizes.items():
        monkeypatch.setattr(two_tower, name, value)
    catalogue = catalogue_of(purchases)
    monkeypatch.setattr(two_tower, "ITEMS", len(catalogue))
    monkeypatch.setattr(two_tower, "_shop", lambda cache: (purchases, catalogue, visits_of(purchases, catalogue)))
    return visits_of(purchases, catalogue)


def trained(seed: int = 0) -> nn.Module:
    return TwoTowers().train(seed, NOWHERE, quiet).module


def scores(module: nn.Module, visits: Visits, rows: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return module(*[torch.from_numpy(array) for array in visits.inputs(rows).values()])


def test_rare_items_are_not_in_the_catalogue(visits) -> None:
    catalogue = catalogue_of(shop())
    assert 0 not in catalogue
    assert len(catalogue) == 38
    assert (visits.start[1:] == visits.end[:-1]).all()


def test_a_history_is_what_the_user_bought_before_that_day_the_last_first(visits) -> None:
    purchases, code = shop(), {item: i for i, item in enumerate(catalogue_of(shop()).tolist())}
    for row in np.random.default_rng(1).choice(len(visits.user), 50):
        user, day = visits.user[row], visits.day[row]
        before = [
            (int(when), code[int(item)])
            for who, when, item in zip(purchases.user, purchases.day, purchases.item, strict=True)
            if who == user and when < day and int(item) in code
        ]
        wanted = [item for _, item in sorted(before, reverse=True)][: two_tower.PAST]
        wanted += [len(code)] * (two_tower.PAST - len(wanted))
        assert visits.history[row].tolist() == wanted
        today = purchases.item[(purchases.user == user) & (purchases.day == day)]
        assert visits.bought(np.array([row]))[1].tolist() == [code[int(item)] for item in today if int(item) in code]


def test_what_is_judged_or_kept_apart_is_never_trained_on(visits) -> None:
    training, apart = split(visits)
    rows = asked(visits, 0)
    assert len(apart) == 20
    assert not set(training) & set(apart)
    assert visits.day[training].min() >= 2
    assert visits.day[training].max() < 32 <= visits.day[rows].min()
    assert len(np.unique(visits.user[rows])) == len(rows) == 30
    held = TwoTowers().held_out(8, 0, NOWHERE, quiet)
    assert held.rows.tolist() == [8, 8, 8, 6]
    assert (np.diff(held.queries) >= 0).all()
    assert np.unique(held.queries).tolist() == list(range(30))
    assert held.relevant.max() < two_tower.ITEMS


def test_folding_the_item_tower_changes_no_score(visits) -> None:
    module = TwoTowers().student(1)
    module.history.subclass = torch.arange(two_tower.ITEMS + 1) // 5
    rows = np.arange(12)
    before = scores(module, visits, rows)
    module.fold()
    assert isinstance(module.catalogue, nn.Linear)
    assert isinstance(module.history, nn.Embedding)
    torch.testing.assert_close(scores(module, visits, rows), before)


@pytest.mark.slow
def test_it_learns_what_users_buy_and_the_same_seed_gives_the_same_weights(visits) -> None:
    module = trained()
    rows = asked(visits, 0)
    place, item = visits.bought(rows)
    best = scores(module, visits, rows).topk(two_tower.TOP, dim=1).indices.numpy()
    hits = [one in best[row] for row, one in zip(place, item, strict=True)]
    assert np.mean(hits) > 1.3 * popularity_recall(visits, rows), "half of the catalogue is not for this user"
    again, other = trained(), trained(1)
    assert torch.equal(module.catalogue.weight, again.catalogue.weight)
    assert not torch.equal(module.catalogue.weight, other.catalogue.weight)
    untrained = TwoTowers().student(1)
    assert TwoTowers().loss(module, 0, NOWHERE) < TwoTowers().loss(untrained, 0, NOWHERE) - 0.3


def test_a_student_comes_closer_to_its_teacher_than_alone(visits, monkeypatch) -> None:
    monkeypatch.setattr(two_tower, "SOFT", 0.9)
    teacher, rows = trained(), split(visits)[1]
    wanted = torch.log_softmax(scores(teacher, visits, rows), dim=1)
    apart = {}
    for taught in (True, False):
        torch.manual_seed(3)
        student = TwoTowers().student(0.5)
        TwoTowers().fit(student, 1, 3, NOWHERE, quiet, teacher if taught else None)
        assert student.catalogue.weight.shape == (two_tower.ITEMS, two_tower.WIDTH // 2)
        answer = torch.log_softmax(scores(student, visits, rows), dim=1)
        apart[taught] = float(nn.functional.kl_div(answer, wanted, log_target=True, reduction="batchmean"))
    assert apart[True] < 0.9 * apart[False]


class Tables(nn.Module):
    """Stands for a table that a technique made: a vector is the product of two factors."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        left, size, right = torch.linalg.svd(table.weight.detach(), full_matrices=False)
        self.codes = nn.Embedding.from_pretrained(left[:, :8] * size[:8], freeze=False)
        self.codebook = nn.Linear(8, table.embedding_dim, bias=False)
        self.codebook.weight = nn.Parameter(right[:8].T.contiguous())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.codebook(self.codes(ids))


def test_what_a_technique_made_is_fine_tuned_with_its_catalogue(visits) -> None:
    module = trained()
    module.history = Tables(module.history)
    module.mlp = nn.Sequential(nn.Linear(module.mlp[0].in_features, 5), nn.ReLU(), nn.Linear(5, two_tower.WIDTH))
    before = copy.deepcopy(module.state_dict())
    loss = TwoTowers().loss(module, 0, NOWHERE)
    TwoTowers().fit(module, 0.5, 0, NOWHERE, quiet)
    assert TwoTowers().loss(module, 0, NOWHERE) < loss
    changed = {name for name, weights in module.state_dict().items() if not torch.equal(weights, before[name])}
    assert {"history.codes.weight", "history.codebook.weight", "catalogue.weight", "mlp.0.weight"} <= changed


@pytest.mark.slow
def test_what_serves_can_be_exported(visits, tmp_path) -> None:
    workload = TwoTowers()
    module = workload.student(1).eval()
    module.fold()
    rows = workload.requests(np.array([17]), 0, NOWHERE, quiet)
    files = exporting.export(module, workload.inputs, workload.outputs, rows, tmp_path)
    assert files.keys() == {"exported", "onnx"}


@pytest.mark.quality
def test_on_ta_feng_it_beats_popularity_clearly() -> None:
    torch.set_num_threads(1)
    workload, cache = TwoTowers(), cache_dir() / "downloads"
    trained = workload.train(0, cache, quiet)
    held = workload.held_out(100, 0, cache, quiet)
    with torch.inference_mode():
        answers = trained.module(*[torch.from_numpy(held.arrays[tensor.name]) for tensor in workload.inputs])
    best = answers.topk(100, dim=1).indices.numpy()
    hits = (best[held.queries] == held.relevant[:, None]).any(axis=1)
    recall = float((np.bincount(held.queries, hits) / np.bincount(held.queries)).mean())
    assert trained.facts["catalogue_items"] == two_tower.ITEMS
    assert recall > trained.facts["popularity_recall@100"] + 0.02
