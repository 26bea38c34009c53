"""What the parent and its children agree on: the stages with the names of their checks, and where files lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

NAMES: dict[str, tuple[str, ...]] = {
    "contract": ("constructs", "is registered by its name", "settings fit the cores", "imports its engine late"),
    "probe": ("probe", "precisions", "devices"),
    "model": ("test model is written",),
    "refusal": ("refuses an unknown precision",),
    "build": ("builds", "writes only into its folder"),
    "use": (
        "loads",
        "right at every batch size",
        "answers float32 that the caller owns",
        "leaves its inputs alone",
        "same request, same answer",
        "lanes keep apart",
        "loads with its other settings",
        "rests when idle",
        "closes twice",
    ),
    "heavy": ("builds for its habits",),
    "apart": ("how it takes inputs", "the GIL is as its instances say"),
    "together": ("how many threads it uses",),
}
DEVICES = ("cpu", "cuda")
"""What the suite runs on, and asks every backend about."""
HABITS = ("heavy", "apart", "together")
"""Those that look at what an engine does on two heavy models, at its first precision, once it has passed all before."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The suite's temporary folder."""

    root: Path

    def precisions(self) -> tuple[str, ...]:
        """What the probe stage found; none before it, or where the engine is unavailable."""
        path = self.root / "precisions.json"
        return tuple(json.loads(path.read_text())) if path.exists() else ()

    def write_precisions(self, precisions: tuple[str, ...]) -> None:
        """Leave for the parent what the backend says that it can run."""
        (self.root / "precisions.json").write_text(json.dumps(precisions))

    def artifact(self, precision: str) -> Path:
        """The pickled Artifact that the build stage leaves for the use stage."""
        return self.root / f"{precision}.artifact"

    def built(self, precision: str) -> Path:
        """The folder that a build may write to."""
        return self._made(f"built-{precision}")

    def models(self) -> Path:
        """Where the test model's files lie."""
        return self._made("models")

    def scratch(self, stage: str, precision: str) -> Path:
        """A child's TMPDIR."""
        return self._made(f"scratch-{stage}-{precision}")

    def empty(self) -> Path:
        """The children's current folder, which must stay empty."""
        return self._made("empty")

    def results(self, stage: str, precision: str) -> Path:
        """One JSON line per check."""
        return self.root / f"{stage}-{precision}.jsonl"

    def log(self, stage: str, precision: str) -> Path:
        """What the engine printed."""
        return self.root / f"{stage}-{precision}.log"

    def _made(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path
