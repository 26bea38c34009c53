"""Making a bundle of a run, with the verdict it claims, and checking one: the verdict is computed anew from its stamps.

The verdict is that for the host which measured, so that it is the same wherever it is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bakeoff.decide.bundles.claims import claims, difference
from bakeoff.decide.judgement import Verdict
from bakeoff.decide.verdict import verdicts
from bakeoff.errors import UserError
from bakeoff.store import bundle
from bakeoff.store.masking import mask, masked
from bakeoff.store.record import RunRecord


@dataclass(frozen=True, slots=True)
class Checked:
    """A bundle that was checked: `problem` says what is wrong with it, and is empty where its claims hold.

    `sha256` is the file's own: who publishes it elsewhere lets others see that it is the same bundle. `record` and
    `verdicts` are what the members hold and come to; None and empty where they are not what the manifest says.
    """

    run: str
    bakeoff: str
    sha256: str
    problem: str
    record: RunRecord | None = None
    verdicts: tuple[Verdict, ...] = ()


def bundled(record: RunRecord, with_host: bool = False) -> bytes:
    """A run's bundle as the bytes of a zip file, without what names its machine or its owner unless `with_host`.

    Raises UserError where the verdict would not be the same without those names.
    """
    hide = str if with_host else mask(record)
    members, right = bundle.members_of(record, hide), claims(record, verdicts(record))
    shipped = bundle.record_of(members, f"run {record.run}")
    try:
        told = claims(shipped, verdicts(shipped))
        changed = difference(masked(right, hide), told)
    except UserError as error:
        changed = str(error)
    if changed:
        raise UserError(f"run {record.run}: the verdict needs a name that is to be left out; --with-host ({changed})")
    return bundle.zipped(members, shipped.run, told, with_host)


def check(path: Path) -> Checked:
    """Check a bundle's hashes, and that its claims follow from its stamps; raises UserError for what is no bundle."""
    opened = bundle.read(path)
    manifest = opened.manifest
    changed = opened.changed()
    if changed:
        return Checked(manifest.run, manifest.bakeoff, opened.sha256, changed)
    record = opened.record()
    found = verdicts(record)
    problem = _run_differs(manifest, record) or difference(manifest.claims, claims(record, found))
    if problem and manifest.bakeoff != version("bakeoff"):
        problem += f"; bakeoff {manifest.bakeoff} made it, and this is {version('bakeoff')}, which may judge otherwise"
    return Checked(record.run, manifest.bakeoff, opened.sha256, problem, record, found)


def _run_differs(manifest: bundle.Manifest, record: RunRecord) -> str:
    return "" if manifest.run == record.run else f"run {manifest.run} is claimed, the members are of run {record.run}"
