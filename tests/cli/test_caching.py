"""`bakeoff cache`: what is shown, what is removed, and what stays."""

import json
import os
import shutil
import time
from functools import partial

import pytest

from bakeoff.api import logs_folder
from bakeoff.workloads import housekeeping
from bakeoff.workloads.cache import marked, used
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


def test_the_logs_that_a_read_only_project_leaves_here_are_listed(cache, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    (logs_folder() / "2026-11-30").mkdir(parents=True)
    assert [each.kind for each in housekeeping.kept()].count("logs") == 1


@pytest.fixture
def bakeoff(command):
    """The verb."""
    return partial(command, "cache")


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


def test_what_was_used_or_removed_since_it_was_listed_is_left_alone(bakeoff, cache, monkeypatch):
    listed = housekeeping.kept

    def then_changed(days):
        found = listed(days)
        used(cache / "models" / "ranker")
        shutil.rmtree(cache / "prepared" / "ranker-1")
        return found

    monkeypatch.setattr(housekeeping, "kept", then_changed)
    assert json.loads(bakeoff("--unused-days", "30", "--remove", "--json"))["folders"] == []
    assert names(cache) == {"models/ranker"}


def test_what_vanishes_while_it_is_listed_is_gone_and_no_error(bakeoff, cache, monkeypatch):
    def removes(place, counted):
        shutil.rmtree(place)
        return 0

    with monkeypatch.context() as other:
        other.setattr(housekeeping.os, "lstat", lambda path: (_ for _ in ()).throw(FileNotFoundError(path)))
        assert "0 B" in bakeoff()
    monkeypatch.setattr(housekeeping, "_bytes", removes)
    assert json.loads(bakeoff("--json"))["folders"] == []


def test_an_unused_folder_that_was_made_again_beside_what_a_killed_removal_left_goes_too(bakeoff, cache):
    (cache / "models" / ".ranker.unused" / "inside").mkdir(parents=True)
    bakeoff("--unused-days", "30", "--remove")
    assert names(cache) == {"models/.ranker.unused"}


def test_what_is_not_marked_as_a_cache_is_listed_and_never_removed(bakeoff, cache):
    """Such as a shared folder that BAKEOFF_CACHE was pointed at, with models of others."""
    tag = cache / "CACHEDIR.TAG"
    assert tag.read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n"), "a new cache is marked"
    tag.unlink()
    assert "models/ranker" in bakeoff("--unused-days", "30")
    (line,) = bakeoff("--unused-days", "30", "--remove", code=2).splitlines()
    assert line.startswith(f"bakeoff: {cache}: nothing is removed, for nothing in it says that its downloads, models, ")
    assert names(cache) == {"models/ranker", "prepared/ranker-1"}
    tag.write_text(line.split('"')[1])
    bakeoff("--unused-days", "30", "--remove")
    assert names(cache) == set()


def test_a_folder_that_holds_other_things_is_not_marked_and_the_usual_place_is(bakeoff, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "shared"))
    (tmp_path / "shared" / "holidays").mkdir(parents=True)
    made_once(tmp_path / "shared" / "models" / "ranker", lambda _: None)
    assert not marked()
    monkeypatch.delenv("BAKEOFF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    older = tmp_path / "bakeoff" / "models" / "ranker"
    older.mkdir(parents=True)
    unused(older, 40)
    assert "removed" in bakeoff("--unused-days", "30", "--remove")
    assert marked()
