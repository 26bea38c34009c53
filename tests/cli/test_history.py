"""`bakeoff history`, as a person runs it."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest

from bakeoff import api
from bakeoff.cli import main
from bakeoff.store.nights import Nights
from bakeoff.store.record import SessionRecord


def fill(place, nights, step_at=None):
    """So many nights of two benchmarks, the first slower by 5 % from a night on."""
    rng = np.random.default_rng(5)
    with Nights.open(place) as store:
        for number in range(nights):
            night = store.begin_night("bakeoff check", {"ctr": "a"}, {}, {})
            for candidate in ("onnxruntime/fp32/1x1", "torch/fp32/1x1"):
                slower = step_at is not None and number >= step_at and candidate.startswith("onnxruntime")
                for session, value in enumerate(rng.normal(0.05 * slower, 0.01, 3)):
                    record = SessionRecord("ctr", candidate, "screen", session, {"service_time": float(value)})
                    store.add_session(night, record)
            store.finish_night(night, "finished")
        return list(reversed(store.nights()))


@pytest.fixture
def bakeoff(tmp_path, monkeypatch, capsys):
    """The command line: standard output and standard error, or its complaint where it ends badly."""

    def run(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["bakeoff", *words, "--store", str(tmp_path / "b.db")])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code
        told = capsys.readouterr()
        return told.err if code else told.out + told.err

    return run


@pytest.mark.slow
def test_a_lasting_change_is_told_drawn_and_in_the_json(bakeoff, tmp_path):
    nights = fill(tmp_path / "b.db", 40, step_at=25)
    told = bakeoff("history", "--figure", str(tmp_path / "h.png"))
    assert "service time over 40 nights" in told
    assert "1 change point, in 1 of 2 benchmarks." in told
    assert nights[25] in told
    assert f"wrote {tmp_path / 'h.png'}" in told
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(bakeoff("history", "onnxruntime", "--json"))
    (only,) = found["benchmarks"]
    assert [change["night"] for change in only["change_points"]] == [nights[25]]
    assert [each["night"] for each in only["nights"]] == nights
    assert api.history("onnxruntime", store=tmp_path / "b.db").series[0].changes[0].place == 25


def test_a_few_nights_are_told_in_order(bakeoff, tmp_path):
    nights = fill(tmp_path / "b.db", 2)
    told = bakeoff("history", "torch")
    assert [told.index(each) < told.index(later) for each, later in pairwise(nights)] == [True]
    assert "No level has changed for good." in told


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nil",), "nil: is in the name of no benchmark; there are ctr: onnxruntime/fp32/1x1, ctr: torch/fp32/1x1"),
        (("--metric", "speed"), "--metric speed: unknown; it takes service_time, p99, capacity, memory, load_time"),
        (("--metric", "p99"), "has no session that measured p99 yet; --metric names another"),
        (("--figure", "h.pdf"), "--figure h.pdf: must end in .png or .svg"),
    ],
)
def test_bad_input_is_one_line(bakeoff, tmp_path, words, complaint):
    fill(tmp_path / "b.db", 2)
    told = bakeoff("history", *words, code=2)
    assert complaint in told
    assert len(told.splitlines()) == 1


def test_an_empty_history_is_one_line(bakeoff, tmp_path):
    missing = bakeoff("history", code=2)
    assert "does not exist; `bakeoff run` and `bakeoff check` make one" in missing
    Nights.open(tmp_path / "b.db").close()
    empty = bakeoff("history", code=2)
    assert "b.db: holds no nights yet; `bakeoff check` makes some, --store names another" in empty
    assert len(empty.splitlines()) == 1
