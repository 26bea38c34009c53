"""What a run must agree in before it is taken up again: the host and the versions, by old records and new."""

import pytest

from bakeoff.contest.contest import resume
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


def begun(store, environment, here=True):
    facts = host.facts() if here else {"host": "0123456789ab"}
    run = store.begin("bakeoff run x.yaml", facts, environment)
    store.add_scenario(run, "ctr", {"nonsense": True})
    return run


def refusal(store, run, tmp_path):
    with pytest.raises(UserError) as refused:
        resume(run, store, logs=tmp_path)
    return str(refused.value)


def test_another_host_is_refused(store, tmp_path):
    run = begun(store, host.environment(), here=False)
    assert "was measured on another host; run it anew here: bakeoff run x.yaml" in refusal(store, run, tmp_path)


@pytest.mark.parametrize("flat", [False, True], ids=["now", "the first runs"])
def test_other_versions_are_refused_and_the_same_are_not(store, tmp_path, flat):
    packages = host.versions()
    same, other = packages, packages | {"numpy": "1.0"}
    whole = dict if flat else (lambda versions: host.environment() | {"packages": versions, "git_commit": "other"})
    assert "numpy has another version now" in refusal(store, begun(store, whole(other)), tmp_path)
    assert "nonsense" in refusal(store, begun(store, whole(same)), tmp_path), "it gets as far as the scenario"
