"""`bakeoff cache`: what is shown, what is removed, and what stays."""

import json
import os
import sys
import time

import pytest

from bakeoff.cli import main
from bakeoff.workloads.locking import made_once

DAY_S = 86400.0


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A model of a megabyte used long ago, the prepared workload that shares its file, and what is not ours."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    made_once(tmp_path / "models" / "ranker", lambda scratch: (scratch / "model.onnx").write_bytes(os.urandom(1 << 20)))
    model = tmp_path / "models" / "ranker" / "model.onnx"
    made_once(tmp_path / "prepared" / "ranker-1", lambda scratch: os.link(model, scratch / "model.onnx"))
    (tmp_path / "holidays").mkdir()
    for folder in ("models/ranker", "prepared/ranker-1", "holidays"):
        unused(tmp_path / folder, 40)
    return tmp_path


def unused(place, days):
    then_s = time.time() - days * DAY_S
    os.utime(place, (then_s, then_s))


def names(cache):
    return {str(path.relative_to(cache)) for path in cache.glob("*/*") if path.is_dir()}


@pytest.fixture
def bakeoff(monkeypatch, capsys):
    """The command line: what it prints, or its complaint where it ends badly."""

    def run(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["bakeoff", "cache", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


def test_each_kind_has_a_row_and_shared_files_count_once(bakeoff, cache):
    told = bakeoff()
    assert str(cache) in told.replace("\n", "")
    assert "1.05 MB" in told
    assert "2.1 MB" not in told
    assert "prepared" in told
    assert "40 d" in told
    assert "holidays" not in told


def test_what_was_used_lately_is_not_listed_nor_removed(bakeoff, cache):
    made_once(cache / "prepared" / "ranker-1", lambda _: pytest.fail("it is there"))
    told = bakeoff("--unused-days", "30")
    assert "models/ranker" in told
    assert "prepared/ranker-1" not in told
    assert names(cache) == {"models/ranker", "prepared/ranker-1"}
    assert "removed" in bakeoff("--unused-days", "30", "--remove")
    assert names(cache) == {"prepared/ranker-1"}
    assert len((cache / "prepared" / "ranker-1" / "model.onnx").read_bytes()) == 1 << 20


def test_what_is_not_ours_stays(bakeoff, cache):
    bakeoff("--unused-days", "1", "--remove")
    assert (cache / "holidays").is_dir()
    assert names(cache) == set()


def test_what_killed_processes_left_goes_too(bakeoff, cache):
    for name in (".ranker.unused", ".building-x1"):
        (cache / "models" / name / "inside").mkdir(parents=True)
        unused(cache / "models" / name, 2)
    bakeoff("--unused-days", "2", "--remove")
    assert names(cache) == set()


def test_json_names_the_folders(bakeoff, cache):
    told = json.loads(bakeoff("--unused-days", "30", "--json"))
    assert told["removed"] is False
    assert [each["place"] for each in told["folders"]] == ["models/ranker", "prepared/ranker-1"]
    assert told["folders"][0]["bytes"] == 1 << 20
    assert told["folders"][1]["bytes"] == 0
    assert told["folders"][0]["unused_days"] == pytest.approx(40, abs=0.1)


def test_an_empty_cache_is_no_error(bakeoff, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "none"))
    assert "0 B" in bakeoff()
    assert "0 folders" in bakeoff("--unused-days", "30", "--remove")


def test_remove_wants_to_know_what(bakeoff, cache):
    assert "goes with --unused-days, as in --unused-days 30 --remove" in bakeoff("--remove", code=2)
    assert names(cache) == {"models/ranker", "prepared/ranker-1"}
