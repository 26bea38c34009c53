"""Bytes by hash: folders that a pin names, kept in the cache so that what replaces them later does not lose them.

An object is a folder `objects/<digest>` with the kept `files` (hard links, or copies where links fail) and an `index`
of their SHA-256 sums, whose own sum is the digest. What an engine adds to it later is no part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from bakeoff.measure.engine_room import StageFailed
from bakeoff.workloads import cache_dir
from bakeoff.workloads.cache import used, writable
from bakeoff.workloads.locking import made_once

FILES, INDEX = "files", "index.json"
_FOLDER = "folder"
"""What stands for the sum of a folder, which an engine may want even where it is empty."""


def keep(folder: Path, paths: Iterable[Path] | None = None, written: Mapping[str, bytes] | None = None) -> str:
    """Keep a folder's content (or only `paths` below it), with files `written` beside; gives the digest.

    Raises UserError where the cache cannot be written, or is full.
    """
    held, written = _listed(folder, paths), written or {}
    index = _index(held, written)
    digest = _sum(index)

    def make(scratch: Path) -> None:
        for name, path in held.items():
            _link(path, scratch / FILES / name)
        for name, content in written.items():
            (scratch / FILES / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / FILES / name).write_bytes(content)
        (scratch / INDEX).write_bytes(index)

    place = _place(digest)
    _whole.cache_clear()
    with writable():
        if place.exists() and not _whole(place):
            shutil.rmtree(place)
            _whole.cache_clear()
        made_once(place, make)
    return digest


def find(digest: str) -> Path | None:
    """The kept folder, its content verified at the first time; None where this machine's cache has none such.

    Raises StageFailed("load", "failed", ...) where its content is not what was kept.
    """
    place = _place(digest)
    if not place.exists():
        return None
    if not _whole(place):
        reason = f"its bytes in the cache ({digest[:12]}…) are not those that were pinned"
        raise StageFailed("load", "failed", reason, "`bakeoff pin` keeps what is here now")
    used(place)
    return place / FILES


def digest_of(folder: Path, paths: Iterable[Path] | None = None, written: Mapping[str, bytes] | None = None) -> str:
    """What `keep` would give, without keeping anything."""
    return _sum(_index(_listed(folder, paths), written or {}))


def _place(digest: str) -> Path:
    return cache_dir() / "objects" / digest


@cache
def _whole(place: Path) -> bool:
    """Whether an object holds all that its digest, the name of its place, stands for."""
    try:
        index = (place / INDEX).read_bytes()
        sums: dict[str, str] = json.loads(index)
        unchanged = all(_sum_of(place / FILES / name) == known for name, known in sums.items())
        return unchanged and _sum(index) == place.name
    except (OSError, ValueError):
        return False


def _listed(folder: Path, paths: Iterable[Path] | None) -> dict[str, Path]:
    """The files and folders to keep by their names from the folder on, `/` between the parts."""
    found = folder.rglob("*") if paths is None else paths
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def _index(held: Mapping[str, Path], written: Mapping[str, bytes]) -> bytes:
    sums = {name: _sum_of(path) for name, path in held.items()} | {name: _sum(each) for name, each in written.items()}
    return json.dumps(dict(sorted(sums.items())), indent=1).encode()


def _link(path: Path, into: Path) -> None:
    if path.is_dir():
        into.mkdir(parents=True, exist_ok=True)
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), into)
    except OSError:
        shutil.copyfile(path, into)


def _sum_of(path: Path) -> str:
    if path.is_dir():
        return _FOLDER
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
