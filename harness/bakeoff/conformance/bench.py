"""What the checks of one stage share."""

from __future__ import annotations

import pickle
import sys
from functools import cached_property

from bakeoff.backends import Artifact, Backend, Model, Resources, Session, Setting, create
from bakeoff.conformance import ranker
from bakeoff.conformance.stages import Folder

CPUS = 2
"""Whose settings are tried."""


class NotConforming(Exception):  # noqa: N818 - a finding
    """What the backend did that it must not do."""


class Seen(str):
    """A check's detail that also fills a cell of the table of engines; the empty `cell` says that it was not seen."""

    cell: str

    def __new__(cls, detail: str, cell: str) -> Seen:
        """The text `detail`, with its cell."""
        seen = super().__new__(cls, detail)
        seen.cell = cell
        return seen


class Bench:
    """What the checks of one stage share: the backend, and in the use stage its loaded artifact."""

    session: Session

    def __init__(self, target: str, folder: Folder, precision: str, device: str) -> None:
        self.target, self.folder, self.precision, self.device = target, folder, precision, device
        self.modules_before = frozenset(sys.modules)

    @cached_property
    def backend(self) -> Backend:
        """The backend, constructed."""
        return create(self.target)

    @cached_property
    def setting(self) -> Setting:
        """Of two cores' settings the one with the most instances."""
        return max(self.settings(CPUS), key=lambda setting: setting.instances)

    def settings(self, cpus: int) -> tuple[Setting, ...]:
        """The backend's settings for so many cores, and one GPU where that is the device."""
        return self.backend.settings(Resources(cpus, gpus=int(self.device != "cpu")))

    @cached_property
    def artifact(self) -> Artifact:
        """What the build stage left."""
        artifact = pickle.loads(self.folder.artifact(self.precision).read_bytes())
        require(isinstance(artifact, Artifact), "build must return an Artifact")
        return artifact  # type: ignore[no-any-return]

    def model(self) -> Model:
        """The test model."""
        return ranker.model(self.folder.models(), self.backend.formats)


def require(held: bool, otherwise: str) -> None:
    """Raise NotConforming with the text `otherwise` unless `held`."""
    if not held:
        raise NotConforming(otherwise)
