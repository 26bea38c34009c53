"""The starter scenarios: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from pathlib import Path

from bakeoff.errors import UserError

INSTALLED = Path(__file__).parent / "starter"
CHECKOUT = Path(__file__).parents[2] / "scenarios"


def write_starters(folder: Path, force: bool = False) -> list[Path]:
    """Copy every starter into `folder` and give the paths; raises UserError before it would overwrite one."""
    source = INSTALLED if INSTALLED.is_dir() else CHECKOUT
    starters = sorted(source.glob("*.yaml"))
    taken = [folder / starter.name for starter in starters if (folder / starter.name).exists()]
    if taken and not force:
        raise UserError(f"{taken[0]}: is there already; name another folder, or --force overwrites it")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for starter in starters:
        (folder / starter.name).write_bytes(starter.read_bytes())
        written.append(folder / starter.name)
    return written
