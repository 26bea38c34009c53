"""A bundle as a file: what is written is read back, always as the same bytes, and no stranger's zip is trusted."""

import io
import json
import math
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bakeoff.errors import UserError
from bakeoff.store import bundle
from bakeoff.store.record import BlockRecord, CandidateRecord, LedgerRow, Quality, RunRecord, ScenarioRecord

NAN = math.nan
COLUMNS = ("request", "items", "scheduled_ns", "sent_ns", "started_ns", "done_ns")


@pytest.fixture
def record(candidate, block):
    """A run with a block of each kind, an empty one, and figures that could not be computed."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    some = block(40, kind="closed", qps=None, busy=2.5)
    none = replace(some, **{name: getattr(some, name)[:0] for name in COLUMNS})
    blocks = (block(300, unanswered=3, note="x"), none, some)
    measured = CandidateRecord(
        candidate,
        {"version": "1.2"},
        (LedgerRow("build", "ok", "", NAN, "bakeoff run", at, {"artifact_bytes": 12}),),
        tuple(BlockRecord(number, 0, lambda each=each: each) for number, each in enumerate(blocks)),
        (Quality("logloss", 0.5, 0.4, 0.1, NAN, NAN, 1000, False),),
    )
    whole = LedgerRow("prepare", "ok", at=at)
    scenario = ScenarioRecord("ctr", {"workload": "ctr-dlrm"}, {"data": "real"}, (measured,), (whole,))
    other = replace(scenario, name="other", candidates=(CandidateRecord(candidate),), ledger=())
    scenarios = (scenario, other)
    return RunRecord("20260102-0304-abcd", at, None, "running", "bakeoff run", {"cpus": 2}, {}, 90.0, 7, scenarios)


def packed(record):
    members = bundle.members_of(record, str)
    return bundle.zipped(members, record.run, {}, with_host=True)


def test_what_is_written_is_read_back(record, tmp_path):
    path = tmp_path / "run.zip"
    path.write_bytes(packed(record))
    opened = bundle.read(path)
    again = opened.record()
    assert opened.changed() == ""
    assert opened.manifest.run == record.run
    assert bundle.members_of(again, str) == bundle.members_of(record, str)
    assert replace(again, scenarios=()) == replace(record, scenarios=())
    (mine,), (theirs,) = (each.scenarios[0].candidates for each in (record, again))
    assert (mine.candidate, mine.facts, mine.ledger[0].facts) == (
        theirs.candidate,
        theirs.facts,
        theirs.ledger[0].facts,
    )
    assert again.scenarios[0].ledger == record.scenarios[0].ledger
    assert math.isnan(theirs.ledger[0].seconds)
    assert math.isnan(theirs.quality[0].low)
    for mine, theirs in zip(
        record.scenarios[0].candidates[0].blocks, again.scenarios[0].candidates[0].blocks, strict=True
    ):
        assert mine.block.to_bytes() == theirs.block.to_bytes()


def test_one_run_always_gives_the_same_bytes(record):
    assert packed(record) == packed(record)
    assert packed(record) != packed(replace(record, seed=8))


def test_a_changed_member_is_named(record, tmp_path):
    for name in bundle.MEMBERS:
        assert name in changed(tmp_path, record, {name: b" " + members(packed(record))[name]}).changed()
        assert changed(tmp_path, record, {name: None}).changed() == f"{name} is missing or damaged"


def test_a_flipped_bit_is_named(record, tmp_path):
    data = bytearray(packed(record))
    data[data.index(b"PAR1") + 100] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert bundle.read(tmp_path / "x.zip").changed() == "stamps.parquet is missing or damaged"


def test_what_is_no_bundle_is_one_clear_line(record, tmp_path):
    good = members(packed(record))
    manifest = json.loads(good["manifest.json"])
    newer = json.dumps(manifest | {"version": 2, "new": 1}).encode()
    for changes, said in [
        ({"manifest.json": None}, "manifest.json is missing or damaged"),
        ({"manifest.json": newer}, "a bundle of format 2; this bakeoff reads up to 1: install a newer one"),
        ({"manifest.json": b"{}"}, "manifest.json: 'bakeoff': Field required"),
        ({"manifest.json": b"["}, "manifest.json: Invalid JSON"),
        ({"manifest.json": b"[" * 100_000}, "manifest.json: Invalid JSON"),
        ({"../\x1b[31mevil": b"x"}, r"holds '../\\x1b\[31mevil', which a bundle does not"),
    ]:
        with pytest.raises(UserError, match=said):
            changed(tmp_path, record, changes)


def test_a_file_that_is_none_or_no_zip_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.zip: cannot be read: No such file"):
        bundle.read(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(UserError, match="is not a bundle, which is a zip file"):
        bundle.read(tmp_path / "text.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_or_one_that_swells_is_refused_before_it_is_unpacked(record, tmp_path, monkeypatch):
    path = tmp_path / "twice.zip"
    path.write_bytes(packed(record))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("run.json", "{}")
    with pytest.raises(UserError, match=r"holds 'run\.json'.*not twice"):
        bundle.read(path)
    with pytest.raises(UserError, match=r"stamps\.parquet would unpack to 10,000,000 bytes"):
        changed(tmp_path, record, {"stamps.parquet": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(bundle, "MOST_TEXT_BYTES", 1_000)
    with pytest.raises(UserError, match=r"ledger\.json would unpack to 1,001 bytes"):
        changed(tmp_path, record, {"ledger.json": b" " * 1001}, zipfile.ZIP_DEFLATED)


def test_members_that_make_no_record_are_one_clear_line(record):
    good = bundle.members_of(record, str)
    other = replace(record, scenarios=(replace(record.scenarios[0], name="ctr2"),))
    fewer = replace(record, scenarios=(replace(record.scenarios[0], candidates=()),))
    for changes, said in [
        ({"run.json": b"[]"}, "run.json: Input should be an object"),
        ({"ledger.json": good["ledger.json"].replace(b'"build"', b"5")}, "ledger.json: '1.stage': Input should be"),
        ({"stamps.parquet": b"PAR1"}, "is not a bundle"),
        (
            {"stamps.parquet": bundle.members_of(fewer, str)["stamps.parquet"]},
            "holds 0 blocks, and the candidates have 3",
        ),
    ]:
        with pytest.raises(UserError, match=said):
            bundle.record_of(good | changes, "x.zip")
    for changes, said in [
        ({"stamps.parquet": bundle.members_of(other, str)["stamps.parquet"]}, "block 0 is not all of scenario ctr"),
        ({"scenarios.json": good["scenarios.json"].replace(b'"requests": 300', b'"requests": 301')}, "301 requests"),
    ]:
        first = bundle.record_of(good | changes, "x.zip").scenarios[0].candidates[0].blocks[0]
        with pytest.raises(UserError, match=said):
            _ = first.block


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(folder, record, changes, packing=zipfile.ZIP_STORED):
    """The bundle with other members, None for none, and the manifest as it was."""
    path = folder / "changed.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in (members(packed(record)) | changes).items():
            if data is not None:
                archive.writestr(name, data)
    return bundle.read(path)
