"""Bytes by hash: real folders, links, and what somebody changed."""

import errno
import os
import shutil

import pytest

from bakeoff.errors import UserError
from bakeoff.measure.engine_room import StageFailed
from bakeoff.nightly import objects


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "model"
    (place / "deep" / "empty").mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"weights")
    (place / "deep" / "data.bin").write_bytes(b"\0" * 5000)
    return place


def test_what_was_kept_outlives_the_folder_that_it_came_from(folder):
    digest = objects.keep(folder)
    for path in (folder / "model.onnx", folder / "deep" / "data.bin"):
        path.unlink()
    found = objects.find(digest)
    assert (found / "model.onnx").read_bytes() == b"weights"
    assert (found / "deep" / "data.bin").stat().st_size == 5000
    assert (found / "deep" / "empty").is_dir()


def test_it_is_linked_not_copied_and_copied_where_links_fail(folder, monkeypatch):
    linked = objects.find(objects.keep(folder)) / "model.onnx"
    assert linked.samefile(folder / "model.onnx")

    def no_links(*_):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", no_links)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").write_bytes(b"others")
    copied = objects.find(objects.keep(folder)) / "model.onnx"
    assert copied.read_bytes() == b"others"
    assert not copied.samefile(folder / "model.onnx")


def test_the_digest_is_that_of_names_and_content_alone(folder, tmp_path):
    digest = objects.keep(folder)
    assert objects.digest_of(folder) == digest
    os.utime(folder / "model.onnx", (0, 0))
    assert objects.keep(folder) == digest
    (folder / "model.onnx").rename(folder / "other.onnx")
    assert objects.digest_of(folder) != digest
    assert objects.digest_of(folder, [folder / "deep" / "data.bin"], {"a.json": b"{}"}) != objects.digest_of(
        folder, [folder / "deep" / "data.bin"], {"a.json": b"[]"}
    )


def test_what_an_engine_adds_later_is_no_change(folder):
    digest = objects.keep(folder)
    (objects.find(digest) / "engine.cache").write_bytes(b"built at load")
    objects._whole.cache_clear()
    assert objects.find(digest)


def test_changed_bytes_are_told_and_kept_anew_by_the_next_pin(folder):
    digest = objects.keep(folder)
    kept = objects.find(digest) / "model.onnx"
    kept.unlink()
    kept.write_bytes(b"wEights")
    objects._whole.cache_clear()  # as another process sees it
    with pytest.raises(StageFailed, match="not those that were pinned"):
        objects.find(digest)
    assert objects.keep(folder) == digest
    assert (objects.find(digest) / "model.onnx").read_bytes() == b"weights"


def test_what_is_not_kept_here_is_not_found(folder):
    assert objects.find(objects.digest_of(folder)) is None


def test_a_full_disk_is_one_clear_line_and_leaves_nothing_half(folder, cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match="No space left on device"):
        objects.keep(folder)
    assert [path for path in (cache / "objects").iterdir() if path.is_dir()] == []
