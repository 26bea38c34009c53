"""A run as one zip file for others: a manifest with the hash of each member, JSON texts, and the stamps in Parquet.

No weights, no values of requests, no outputs: a record holds none. The same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bakeoff.errors import UserError
from bakeoff.measure.block import Block
from bakeoff.store.masking import Hide
from bakeoff.store.portable import LEDGER, RUN, SCENARIOS, Head, Where, complaint, json_text, record_from, texts
from bakeoff.store.record import RunRecord
from bakeoff.store.stamps_file import StampsFile, stamps_bytes

FORMAT_VERSION = 1
MANIFEST, STAMPS = "manifest.json", "stamps.parquet"
MEMBERS = (LEDGER, RUN, SCENARIOS, STAMPS)
MOST_TEXT_BYTES = 1 << 28
"""What a JSON text may unpack to; the stamps, compressed already, are stored as they are and cannot swell."""

_UNIX, _READABLE = 3, 0o644 << 16


class _Preface(BaseModel):
    """What every version of the format begins with."""

    model_config = ConfigDict(frozen=True, strict=True)

    format: Literal["bakeoff-bundle"] = "bakeoff-bundle"
    version: int = FORMAT_VERSION


class Manifest(_Preface):
    """What a bundle says of itself: who made it, of which run, each member's hash, and what it claims follows."""

    model_config = ConfigDict(extra="forbid")

    bakeoff: str
    run: str
    with_host: bool
    sha256: dict[str, str]
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as read, its members not yet believed; one that is damaged in the zip is missing."""

    place: str
    sha256: str
    manifest: Manifest
    members: Mapping[str, bytes]

    def changed(self) -> str:
        """Which member is not what the manifest says, in a sentence; empty where all are."""
        for name in MEMBERS:
            if name not in self.members:
                return f"{name} is missing or damaged"
            if hashlib.sha256(self.members[name]).hexdigest() != self.manifest.sha256.get(name):
                return f"{name} has another sha256 than its manifest says: it was changed"
        return ""

    def record(self) -> RunRecord:
        """The run, as a store would load it; raises UserError where the members do not make one."""
        return record_of(self.members, self.place)


def members_of(record: RunRecord, hide: Hide) -> dict[str, bytes]:
    """A run as the members of its bundle, with everything hidden that `hide` hides."""
    blocks = (
        ((hide(scenario.name), hide(each.id), entry.round, entry.position), entry.block)
        for scenario in record.scenarios
        for each in scenario.candidates
        for entry in each.blocks
    )
    return texts(record, hide) | {STAMPS: stamps_bytes(blocks)}


def record_of(members: Mapping[str, bytes], place: str) -> RunRecord:
    """The run that such members hold; raises UserError, naming the place, where they do not make one."""

    def fetch(number: int, where: Where, head: Head) -> Block:
        with _told(place):
            return stamps.block(number, where, head)

    with _told(place):
        stamps = StampsFile(members[STAMPS])
        record = record_from(members, fetch)
        blocks = sum(len(each.blocks) for scenario in record.scenarios for each in scenario.candidates)
        if blocks != len(stamps):
            raise ValueError(f"{STAMPS}: holds {len(stamps)} blocks, and the candidates have {blocks}")
    return record


def zipped(members: Mapping[str, bytes], run: str, claims: Mapping[str, Any], with_host: bool) -> bytes:
    """The zip file's bytes: the same for the same members, wherever and whenever it is made."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    manifest = Manifest(bakeoff=version("bakeoff"), run=run, with_host=with_host, sha256=hashes, claims=dict(claims))
    everything = {**members, MANIFEST: json_text(manifest.model_dump())}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(everything):
            info = zipfile.ZipInfo(name)  # dated 1980
            info.compress_type = zipfile.ZIP_STORED if name == STAMPS else zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = _UNIX, _READABLE
            archive.writestr(info, everything[name])
    return packed.getvalue()


def read(path: Path) -> Bundle:
    """Read a bundle without believing it; raises UserError for what is none, or is of a newer format."""
    place = str(path)
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, place)
            members = dict(_members(archive))
    except OSError as error:
        raise UserError(f"{place}: cannot be read: {error.strerror}") from None
    except zipfile.BadZipFile:
        raise UserError(f"{place}: is not a bundle, which is a zip file") from None
    if MANIFEST not in members:
        raise UserError(f"{place}: is not a bundle: {MANIFEST} is missing or damaged")
    return Bundle(place, hashlib.sha256(data).hexdigest(), _manifest(members.pop(MANIFEST), place), members)


def _check(archive: zipfile.ZipFile, place: str) -> None:
    """Refuse what no bundle holds, before anything is unpacked."""
    names = [info.filename for info in archive.infolist()]
    odd = [name for name in names if name not in (MANIFEST, *MEMBERS) or names.count(name) > 1]
    if odd:
        raise UserError(f"{place}: is not a bundle: holds {odd[0][:80]!a}, which a bundle does not, or not twice")
    for info in archive.infolist():
        swells = info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size
        if (info.filename == STAMPS and swells) or (info.filename != STAMPS and info.file_size > MOST_TEXT_BYTES):
            raise UserError(f"{place}: {info.filename} would unpack to {info.file_size:,} bytes; no bundle's does")


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Those that can be unpacked; one with another checksum than the zip says, or encrypted, cannot."""
    for info in archive.infolist():
        with suppress(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
            yield info.filename, archive.read(info)


def _manifest(data: bytes, place: str) -> Manifest:
    try:
        newest = _Preface.model_validate_json(data).version
        if newest > FORMAT_VERSION:
            raise UserError(
                f"{place}: a bundle of format {newest}; this bakeoff reads up to {FORMAT_VERSION}: install a newer one"
            )
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise UserError(f"{place}: is not a bundle: {MANIFEST}: {complaint(error)}") from None


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Turns what is wrong with a member into one clear line."""
    try:
        yield
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise UserError(f"{place}: is not a bundle: {' '.join(str(error).split())}") from None
