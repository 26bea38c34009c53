"""What quantised embedding tables take on disk and in a process that serves them, beside the same tables at fp32."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff.backends import thread_environment
from proofs import children
from proofs.proof import Proof

ENGINES = ("onnxruntime", "openvino", "torch", "torch-compile")
LIMITS = {"embed-int8": 0.30, "embed-int4": 0.17}
ROWS, EMPTY_ROWS, WIDTH, TABLES = 2_000_000, 800, 32, 8
CHILD_LIMIT_S = 1200
FEWEST_ENGINES = 2


@dataclass(frozen=True, slots=True)
class Taken:
    """What one engine takes for one variant: the artifact's bytes, and resident bytes above its empty level, which is
    the same model with hardly any rows. `decoding_bytes` is how far that level lies above that of fp32."""

    engine: str
    variant: str
    table_bytes: int
    file_bytes: int
    resident_bytes: int
    decoding_bytes: int
    fp32_table_bytes: int
    fp32_resident_bytes: int

    @property
    def on_disk(self) -> float:
        """The artifact over the fp32 tables."""
        return self.file_bytes / self.fp32_table_bytes

    @property
    def resident(self) -> float:
        """What is resident over the fp32 tables."""
        return self.resident_bytes / self.fp32_table_bytes

    @property
    def resident_of_own(self) -> float:
        """What is resident over what the same engine has resident for the fp32 tables."""
        return self.resident_bytes / self.fp32_resident_bytes

    @property
    def holds(self) -> bool:
        """Whether it keeps within the limits of its variant; fp32 has none."""
        return max(self.on_disk, self.resident) <= LIMITS.get(self.variant, float("inf"))


def tables() -> Proof:
    """The engines that keep within both limits for both variants, on disk and in memory."""
    found = list(taken(ENGINES))
    within = [engine for engine in ENGINES if all(each.holds for each in found if each.engine == engine)]
    return Proof(
        f"bytes of embedding tables in int8 and int4 ({TABLES} tables, {ROWS:,} rows of {WIDTH} in all), of the fp32"
        " tables' bytes: on disk, and resident above the engine's empty level once every row was looked up",
        f"at most {LIMITS['embed-int8']:.0%} and {LIMITS['embed-int4']:.0%} on at least {FEWEST_ENGINES} engines",
        "; ".join(_measured([each for each in found if each.engine == engine]) for engine in ENGINES),
        len(within) >= FEWEST_ENGINES,
        {f"{each.engine}_{each.variant}_{name}": getattr(each, name) for each in found for name in _FIGURES},
    )


_FIGURES = ("table_bytes", "file_bytes", "resident_bytes", "decoding_bytes", "on_disk", "resident", "resident_of_own")


def _measured(found: Sequence[Taken]) -> str:
    smaller = [each for each in found if each.variant in LIMITS]
    on_disk, resident = (
        " and ".join(f"{getattr(each, name):.1%}" for each in smaller) for name in ("on_disk", "resident")
    )
    return f"{smaller[0].engine} {on_disk} on disk, {resident} resident"


def taken(engines: Sequence[str], rows: int = ROWS) -> Iterator[Taken]:
    """For each engine fp32, then each variant; the models are made once."""
    variants = ("fp32", *LIMITS)
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as scratch:
        full, empty = Path(scratch) / "full", Path(scratch) / "empty"
        table_bytes = {variant: _child("make", full / variant, variant, rows) for variant in variants}
        for variant in variants:
            _child("make", empty / variant, variant, EMPTY_ROWS)
        for engine in engines:
            levels = {variant: _sizes(engine, empty / variant, EMPTY_ROWS)[1] for variant in variants}
            fp32_bytes = 0
            for variant in variants:
                file_bytes, resident_bytes = _sizes(engine, full / variant, rows)
                above_bytes = resident_bytes - levels[variant]
                fp32_bytes = fp32_bytes or above_bytes
                yield Taken(
                    engine,
                    variant,
                    table_bytes[variant],
                    file_bytes,
                    above_bytes,
                    levels[variant] - levels["fp32"],
                    table_bytes["fp32"],
                    fp32_bytes,
                )


def _sizes(engine: str, folder: Path, rows: int) -> tuple[int, int]:
    """Bytes of the artifact that the engine builds, and of a fresh process that loads it and looks every row up."""
    return _child("build", folder, engine), _child("serve", folder, engine, rows)


def _child(task: str, folder: Path, *words: str | int) -> int:
    done = subprocess.run(
        children.python("-W", "ignore", "-m", "proofs.tables_child", task, str(folder), *map(str, words)),
        env=children.environment() | thread_environment(1),
        capture_output=True,
        text=True,
        timeout=CHILD_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"{task} {folder.name} {words}: {done.stderr[-2000:]}")
    found: Mapping[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found["bytes"]
