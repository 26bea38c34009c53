"""A night as JUnit XML, JSON, customSmallerIsBetter and CSV, each read by a reader of its own kind."""

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from nights import IMPROVED, INCONCLUSIVE, MISSING, NIGHT, OK, REGRESSED

from bakeoff.decide.drift.answers import SERVICE_TIME, Figure
from bakeoff.errors import UserError
from bakeoff.show.nightly.lists import otava, smaller_is_better, to_json
from bakeoff.show.nightly.writing import FORMATS, write

CASE = {"failure": "regression", "error": "missing", "skipped": "inconclusive"}


def read(night, form, path):
    write(form, night, path)
    return path.read_text(encoding="utf-8")


def suites(text):
    """The suites of a document that keeps to the xunit schema, their counts checked against their cases."""
    root = Xml.fromstring(text)
    assert root.tag == "testsuites"
    for suite in (root, *root):
        cases = list(suite.iter("testcase"))
        counted = {"tests": len(cases)} | {
            f"{name}s": sum(case.find(name) is not None for case in cases) for name in ("failure", "error")
        }
        counted |= {"skipped": sum(case.find("skipped") is not None for case in cases)} if suite is not root else {}
        assert {name: int(suite.get(name)) for name in counted} == counted
        assert float(suite.get("time")) == pytest.approx(sum(float(case.get("time")) for case in cases))
    for suite in root:
        assert suite[0].tag == "properties"
        assert all(case.get("name") and case.get("classname") for case in suite.iter("testcase"))
        assert all(len(case) == 1 for case in suite.iter("testcase"))
    return list(root)


def test_junit_fails_what_regressed_skips_what_is_inconclusive_and_errs_on_what_is_missing(night, tmp_path):
    (suite,) = suites(read(night, "junit", tmp_path / "n.xml"))
    found = {case.get("name"): case[0] for case in suite.iter("testcase")}
    assert {name: CASE.get(child.tag, "") for name, child in found.items()} == {
        each.candidate: each.status if each.status in CASE.values() else "" for each in night.answers
    }
    failure = found[REGRESSED.candidate]
    assert "service time 5.2 % longer (4.10–6.30 %)" in failure.get("message")
    assert "onnxruntime 1.30.0 -> 1.31.1" in failure.get("message")
    assert "capacity 5.2 % less" in failure.text
    skipped = found[INCONCLUSIVE.candidate]
    assert skipped.attrib == {}, "the schema gives it none"
    assert "against stored figures" in skipped.text
    assert suite.get("timestamp") == "2026-11-29T02:00:00"


def test_junit_has_a_suite_for_each_scenario(only, tmp_path):
    found = suites(read(only(OK, replace(MISSING, scenario="search")), "junit", tmp_path / "n.xml"))
    assert [(suite.get("name"), suite.get("errors")) for suite in found] == [("ctr-ranking", "0"), ("search", "1")]


def test_a_night_that_checked_nothing_is_an_error_and_no_empty_success(only, tmp_path):
    (suite,) = suites(read(only(), "junit", tmp_path / "n.xml"))
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")


def test_junit_holds_hostile_names_as_text(hostile_night, only, hostile, tmp_path):
    (suite,) = suites(read(hostile_night, "junit", tmp_path / "n.xml"))
    assert suite.get("name").startswith("<script>alert('x')</script> & \"quoted\"")
    odd = "".join(map(chr, [*range(32), 127, 0x85, 0xD800, 0xFFFE, 0xFFFF, 0x1F600]))
    (suite,) = suites(read(only(replace(MISSING, candidate=odd, reason=odd)), "junit", tmp_path / "n.xml"))
    assert suite.find("testcase").get("name").endswith("\U0001f600")


def test_json_is_strict_and_holds_every_session(only, tmp_path):
    broken = replace(OK, figures=(Figure(SERVICE_TIME, "ok", float("nan"), float("-inf"), now=float("inf")),))
    found = json.loads(read(only(REGRESSED, broken), "json", tmp_path / "n.json"), parse_constant=pytest.fail)
    assert (found["verdict"], found["exit_code"]) == ("regression", 1)
    regressed, odd = found["answers"]
    assert regressed["benchmark"] == "ctr-ranking: onnxruntime/fp32/1x1"
    assert regressed["sessions"][0]["changes"] == {SERVICE_TIME: 0.05}
    assert regressed["sessions"][0]["at"] == "2026-11-29T02:00:00+00:00"
    assert (odd["figures"][0]["change"], odd["figures"][0]["now"]) == (None, None)
    assert found["answers"][0]["figures"][0]["gate"] == 0.02


def test_smaller_is_better_of_every_entry(night, tmp_path):
    entries = json.loads(read(night, "smaller-is-better", tmp_path / "s.json"), parse_constant=pytest.fail)
    assert all(set(entry) == {"name", "unit", "value", "range", "extra"} for entry in entries)
    values = {entry["name"]: entry["value"] for entry in entries}
    assert len(values) == len(entries)
    assert values["ctr-ranking: onnxruntime/fp32/1x1 service time"] == pytest.approx(1.052)
    assert values["ctr-ranking: onnxruntime/fp32/1x1 capacity"] == pytest.approx(1.0549, abs=1e-4), (
        "less is more than 1"
    )
    assert values["ctr-ranking: openvino/int8/1x1 service time"] == pytest.approx(0.92)
    assert not any("auc" in name or "memory" in name or "mnn" in name for name in values)
    (entry,) = (each for each in entries if each["name"].endswith("onnxruntime/fp32/1x1 service time"))
    assert entry["range"] == "± 0.011"
    assert "8.00 ms → 8.42 ms" in entry["extra"]
    assert "pin 0a1b2c3d" in entry["extra"]


def test_otava_has_a_row_for_each_night_and_no_gap_where_a_benchmark_was_not_there():
    first = replace(NIGHT, answers=(OK, INCONCLUSIVE))
    later = NIGHT.started_at + timedelta(days=1)
    second = replace(NIGHT, night="next", started_at=later, answers=(INCONCLUSIVE, IMPROVED))
    rows = list(csv.DictReader(io.StringIO(otava([first, second]))))
    assert [row["time"] for row in rows] == ["2026-11-29T02:00:00+00:00", "2026-11-30T02:00:00+00:00"]
    assert [row["night"] for row in rows] == ["20261129-0200-ab3f", "next"]
    assert [float(row["ctr-ranking: torch/fp32/1x1 service_time"]) for row in rows] == [1.01, 1.01]
    assert [float(row["ctr-ranking: openvino/fp32/1x1 service_time"]) for row in rows] == [1.001, 1.001]
    assert [float(row["ctr-ranking: openvino/int8/1x1 capacity"]) for row in rows] == 2 * [
        pytest.approx(1.0549, abs=1e-4)
    ]


def test_otavas_rows_are_in_the_order_in_which_nights_began_whatever_the_clock_said():
    first = replace(NIGHT, night="first", answers=(OK,))
    second = replace(NIGHT, night="second", started_at=NIGHT.started_at - timedelta(days=2), answers=())
    rows = list(csv.DictReader(io.StringIO(otava([first, second]))))
    assert [row["night"] for row in rows] == ["first", "second"]


def test_otavas_columns_hold_no_separator(hostile_night):
    odd = replace(hostile_night, answers=(replace(OK, candidate='a,b"c\nd'),))
    title = otava([odd]).splitlines()[0]
    assert title == "time,night,ctr-ranking: a b'c d service_time"


def test_every_form_is_written_by_its_name_and_a_summary_is_added_to(night, tmp_path, capsys):
    for form in FORMATS:
        for _ in range(2):
            write(form, night, tmp_path / form)
        once = (tmp_path / form).read_text(encoding="utf-8")
        write(form, night, Path("-"))
        assert once == capsys.readouterr().out * (2 if form == "summary" else 1)


def test_earlier_nights_are_otavas(night, tmp_path):
    before = replace(night, night="20261128-0200-ab3f", started_at=night.started_at - timedelta(days=1))
    write("otava", night, tmp_path / "o.csv", [before, night])
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 3


def test_what_cannot_be_written_is_one_line(night, tmp_path):
    with pytest.raises(UserError, match="--write xml: unknown; it takes json, summary, junit"):
        write("xml", night, tmp_path / "n")
    with pytest.raises(UserError, match="none/n: cannot be written: No such file or directory"):
        write("junit", night, tmp_path / "none" / "n")


def test_nothing_finite_is_lost_in_lists(night):
    assert to_json(night)["answers"][2]["status"] == "improved"
    assert len(smaller_is_better(night)) == 5 + 1 + 3 + 0
