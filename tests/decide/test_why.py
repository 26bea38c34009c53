"""One candidate's whole story."""

import pytest

from bakeoff.decide.why import find, why
from bakeoff.errors import UserError
from bakeoff.store.record import LedgerRow

NAMES = ("torch/fp32/1x1", "torch/fp32/1x1+b64-0ms", "onnxruntime/int8/1x1")


@pytest.mark.parametrize(
    ("part", "name"), [("int8", NAMES[2]), ("+b64", NAMES[1]), (NAMES[0], NAMES[0]), ("onnxruntime/", NAMES[2])]
)
def test_an_id_or_a_part_of_one_alone(part, name):
    assert find(part, NAMES, "ctr") == name


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("torch", "torch: 2 candidates of ctr are named so: torch/fp32/1x1, torch/fp32/1x1+b64-0ms"),
        ("tvm", f"tvm: no candidate of ctr is named so; there are {', '.join(NAMES)}"),
    ],
)
def test_another_is_one_clear_line(part, told):
    with pytest.raises(UserError) as raised:
        find(part, NAMES, "ctr")
    assert str(raised.value) == told
    with pytest.raises(UserError, match=r"…$"):
        find("e", [f"e{number}" for number in range(20)], "ctr")


def test_the_story_of_one_that_lost(scenario, engine):
    record = scenario({"good": engine(2.0), "slow": engine(3.0, rounds=3)})
    found = why(record, "slow")
    assert (found.judged.backend, found.best.backend) == ("slow", "good")
    assert [row.stage for row in found.ledger] == ["build", "load", "verify", "screen", "load"]
    assert list(found.laps) == [0, 1, 2, 3]
    for mine, theirs in found.laps.values():
        assert mine.tail_ms > theirs.tail_ms
        assert mine.capacity_qps < theirs.capacity_qps
        assert mine.score > theirs.score
    assert found.loss.low < found.loss.value < found.loss.high
    assert f"{found.loss.value * 100:.0f} % dearer" in found.judged.reason


def test_the_choice_is_beside_nobody_and_what_never_ran_has_its_stages(scenario, engine):
    gone = (LedgerRow("probe", "unavailable", "not installed", command="bakeoff run x --candidate gone/fp32/1x1"),)
    record = scenario({"good": engine(2.0), "gone": engine(None, ledger=gone)})
    chosen = why(record, "good")
    assert (chosen.best, chosen.loss, len(chosen.laps)) == (None, None, 5)
    never = why(record, "gone")
    assert (never.laps, never.loss, never.ledger[-1].reason) == ({}, None, "not installed")


def test_where_nothing_is_chosen_it_stands_beside_what_leads(scenario, engine):
    found = why(scenario({"good": engine(3.0), "young": engine(2.0, rounds=2)}), "young")
    assert (found.verdict.choice, found.best.backend) == (None, "good")
    assert found.loss.value < 0.0
    assert why(scenario({"late": engine(15.0)}), "late").best is None
