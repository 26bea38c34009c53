"""What a contest asks before anything is measured."""

import pytest

from bakeoff.contest import contest
from bakeoff.errors import UserError
from bakeoff.measure import energy
from bakeoff.scenario.loading import from_dict


@pytest.mark.parametrize(("metric", "hint"), [("ndcg", "; did you mean ndcg@10?"), ("speed", "")])
def test_a_floor_of_a_metric_that_is_not_there_names_the_nearest(tiny_prepared, monkeypatch, metric, hint):
    monkeypatch.setattr(contest, "prepare", lambda *_, **__: tiny_prepared)
    asked = {"workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}, "quality": {metric: 0.01}}
    with pytest.raises(UserError) as caught:
        contest.ask([from_dict(asked)])
    told = f"quality.{metric}: tiny has no such metric; it has auc, logloss, ndcg@10{hint}"
    assert str(caught.value).endswith(told)


def test_energy_that_cannot_be_read_is_told_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(energy, "_rapl", dict)
    asked = {"name": "shop", "workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}, "objective": "energy"}
    with pytest.raises(UserError, match="shop: objective: no counter of energy can be read here; `bakeoff doctor`"):
        contest.ask([from_dict(asked)])
