"""`ctr-dlrm` on a made-up shop of 50 users, 60 items and 60 days; test_built_in.py has the real one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from bakeoff.workloads import ctr_dlrm, ta_feng
from bakeoff.workloads.ctr_dlrm import CtrDlrm
from bakeoff.workloads.ta_feng import Features, Purchases, Visits

HERE = Path()
COLUMNS = ("day", "user", "item", "price")


def quiet(_: str) -> None:
    pass


@pytest.fixture
def workload(monkeypatch) -> CtrDlrm:
    rng = np.random.default_rng(0)
    events = pd.DataFrame(rng.integers(0, (60, 50, 60), (6000, 3)), columns=["day", "user", "item"])
    events = events[events["item"] % 5 == events["user"] % 5].sort_values(["day", "user", "item"]).drop_duplicates()
    day, user, item = (events[name].to_numpy() for name in ("day", "user", "item"))
    known = np.arange(60) // 5, np.arange(50) % 2, np.arange(50) % 3
    purchases = Purchases(day, user, item, np.ones(len(day)), *known, {})
    shop = purchases, Features(purchases), Visits(purchases)
    monkeypatch.setattr(ctr_dlrm, "_shop", lambda folder: shop)
    small = {
        "TABLE_ROWS": purchases.sizes, "FIRST_DAY": 15, "SPLIT_DAY": 50, "LAST_DAY": 60, "HELD_OUT_PURCHASES": 100,
        "SHARDS": 4, "SHARD_PURCHASES": 100, "STEPS_PER_SHARD": 10, "BATCH_ROWS": 50, "APART_PURCHASES": 100,
    }  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(ctr_dlrm, name, value)
    return CtrDlrm()


def answers(module: nn.Module, workload: CtrDlrm) -> torch.Tensor:
    arrays = workload.held_out(0, 0, HERE, quiet).arrays
    with torch.no_grad():
        answer: torch.Tensor = module.eval()(*(torch.from_numpy(arrays[name]) for name in ("dense", "sparse")))
    return answer


def test_training_learns_and_is_the_same_twice(workload) -> None:
    torch.manual_seed(0)
    untrained = workload.loss(workload.student(1), 0, HERE)
    one, other = (workload.train(0, HERE, quiet) for _ in range(2))
    assert workload.loss(one.module, 0, HERE) < untrained - 0.05
    assert torch.equal(answers(one.module, workload), answers(other.module, workload))
    assert one.facts["training_rows"] == 2000


def test_what_is_kept_apart_is_never_trained_on(workload) -> None:
    shop = ctr_dlrm._shop(HERE)
    shuffled = ctr_dlrm._shuffled(shop[2], np.random.default_rng([0, 0]))
    drawn = []
    shop[2].labelled, labelled = lambda rows, rng: (drawn.append(rows), labelled(rows, rng))[1], shop[2].labelled
    workload.fit(workload.student(1), 2, 0, HERE, quiet)
    trained = set(np.concatenate(drawn).tolist())
    assert trained == set(shuffled[:-100].tolist()), "two trainings come to all the rest"
    drawn.clear()
    workload.loss(workload.student(1), 0, HERE)
    assert drawn[0].tolist() == shuffled[-100:].tolist()


def test_fine_tuning_starts_with_what_the_training_left(workload) -> None:
    shop = ctr_dlrm._shop(HERE)
    shuffled = ctr_dlrm._shuffled(shop[2], np.random.default_rng([0, 0]))
    drawn = []
    shop[2].labelled, labelled = lambda rows, rng: (drawn.append(rows), labelled(rows, rng))[1], shop[2].labelled
    workload.fit(workload.student(1), 0.5, 0, HERE, quiet)
    assert drawn[0].tolist() == shuffled[400:500].tolist()


def test_a_request_of_the_held_out_data_is_one_users_visit(workload) -> None:
    held_out = workload.held_out(256, 0, HERE, quiet)
    assert held_out.rows.sum() == len(held_out.labels) == 500
    visit = np.repeat(np.arange(len(held_out.rows)), held_out.rows)
    assert (held_out.groups == visit).all()
    user, weekday = (held_out.arrays["sparse"][:, ta_feng.SPARSE.index(name)] for name in ("user", "weekday"))
    assert len(set(zip(visit.tolist(), user.tolist(), weekday.tolist(), strict=True))) == len(held_out.rows)
    assert len(held_out.rows) < 100, "several purchases of a visit are one request"
    assert held_out.labels.sum() >= 100


class Halves(nn.Module):
    """A table in two factors, as a technique might put it in another's place."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = table.num_embeddings, table.embedding_dim
        self.rows, self.wide = nn.Embedding(table.num_embeddings, 2), nn.Linear(2, table.embedding_dim)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.wide(self.rows(ids))
        return answer


def test_a_replaced_table_and_a_pruned_layer_are_trained_as_what_they_are(workload) -> None:
    module = workload.student(1)
    module.tables[1] = Halves(module.tables[1])
    prune.l1_unstructured(module.top[0], "weight", amount=0.5)
    adam, _ = ctr_dlrm._optimiser(module, 20)
    tables, layers = ({id(weights) for weights in group["params"]} for group in adam.param_groups)
    assert tables == {id(weights) for weights in module.tables.parameters()}
    assert layers == {id(weights) for part in (module.bottom, module.top) for weights in part.parameters()}
    before = module.tables[1].wide.weight.clone()
    workload.fit(module, 0.5, 0, HERE, quiet)
    assert not torch.equal(module.tables[1].wide.weight, before)
    assert (module.top[0].weight == 0).float().mean() >= 0.5


def test_a_student_is_narrower_and_takes_after_its_teacher(workload) -> None:
    torch.manual_seed(3)
    teacher = workload.student(1)
    nn.init.constant_(teacher.top[-1].bias, 2.0)
    student, alone = workload.student(0.5), workload.student(0.5)
    alone.load_state_dict(student.state_dict())
    assert sum(w.numel() for w in student.parameters()) < 0.6 * sum(w.numel() for w in teacher.parameters())
    workload.fit(alone, 1, 0, HERE, quiet)
    workload.fit(student, 1, 0, HERE, quiet, teacher)
    wanted = answers(teacher, workload)
    assert (answers(student, workload) - wanted).abs().mean() < (answers(alone, workload) - wanted).abs().mean() - 0.05
