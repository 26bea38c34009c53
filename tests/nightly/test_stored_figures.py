"""Stored figures in files of pytest-benchmark's, whole and broken."""

import json

import pytest

from bakeoff.errors import UserError
from bakeoff.nightly.stored_figures import StoredFigures, read_pytest_benchmark

STATS = {"median": 0.002, "q1": 0.0019, "q3": 0.0023, "iqr": 0.0004, "rounds": 20}


def document(**stats):
    """What others' tests leave, without a word of ours."""
    return {"machine_info": {"node": "n"}, "benchmarks": [{"fullname": "test_a.py::test_a", "stats": STATS | stats}]}


@pytest.fixture
def read(tmp_path):
    def from_text(text):
        (tmp_path / "out.json").write_text(text)
        return read_pytest_benchmark(tmp_path / "out.json")

    return from_text


def test_a_file_of_others_is_read_by_full_names(read):
    assert read(json.dumps(document())) == {"test_a.py::test_a": StoredFigures(0.0019)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no JSON, or half of it"),
        (json.dumps(document())[:-9], "is no JSON, or half of it"),
        ("[" * 100_000, "is no JSON, or half of it"),
        ("[]", "it has no list of benchmarks"),
        ('{"benchmarks": {}}', "it has no list of benchmarks"),
        ('{"benchmarks": []}', "holds no benchmark"),
        ('{"benchmarks": [3]}', "benchmark 1: has no fullname"),
        ('{"benchmarks": [{"fullname": "a"}]}', "a: stats.median: None is no time"),
        (json.dumps(document(median="fast")), "stats.median: 'fast' is no time"),
        (json.dumps(document(q1=-1.0)), "stats.q1: -1.0 is no time"),
        (json.dumps(document(q3=float("nan"))), "stats.q3: nan is no time"),
        (json.dumps(document(q3=0.001)), "q1, median and q3 are not in order"),
        (json.dumps(document(rounds=0)), "stats.rounds: 0 is no number of rounds"),
        (json.dumps(document(rounds=True)), "stats.rounds: True is no number of rounds"),
        (json.dumps({"benchmarks": document()["benchmarks"] * 2}), "test_a.py::test_a: is there twice"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(read, text, complaint):
    with pytest.raises(UserError) as caught:
        read(text)
    assert complaint in str(caught.value)
    assert "out.json: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_too(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: cannot be read: No such file"):
        read_pytest_benchmark(tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"b\.json: is no JSON"):
        read_pytest_benchmark(tmp_path / "b.json")
