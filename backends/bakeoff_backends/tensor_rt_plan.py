"""What TensorRT is told to build: network flags and precision by its version, shapes, and a timing cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bakeoff.backends import Model, Tensor, Unsupported

BUILDER_FLAGS = {"fp16": "FP16", "bf16": "BF16", "int8-static": "INT8"}
"""How TensorRT 10 is allowed a precision; 11 has none of these and takes every type from the file."""
LARGEST_BATCH = 4096
"""What a profile reaches to at least: a batcher in front of the engine joins requests."""
CACHE_VARIABLE = "BAKEOFF_TENSORRT_TIMING_CACHE"
"""Names a file that all builds share; without it a build leaves its timings in its own folder."""


def major(trt: Any) -> int:
    """TensorRT's major version."""
    return int(trt.__version__.partition(".")[0])


def is_strongly_typed(trt: Any) -> bool:
    """Whether this version takes the precision from the ONNX file alone."""
    return major(trt) >= 11


class Plan:
    """How one engine is built."""

    def __init__(self, trt: Any, precision: str, level: int | None) -> None:
        self._trt, self._precision, self._level = trt, precision, level

    def engine(self, source: Path, model: Model, cache: Path) -> bytes:
        """The engine of the ONNX file `source`, serialised; raises Unsupported where it cannot be built.

        Networks have an explicit batch in both versions, without a flag for it.
        """
        trt = self._trt
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(source)):
            raise Unsupported(_parser_errors(parser))
        config = builder.create_builder_config()
        self._set(config)
        profile = builder.create_optimization_profile()
        free = [tensor for tensor in model.inputs if None in tensor.shape]
        for tensor in free:
            profile.set_shape(tensor.name, *shapes(tensor, model))
        if free:
            config.add_optimization_profile(profile)
        place = Path(os.environ.get(CACHE_VARIABLE) or cache)
        _recall(config, place.read_bytes() if place.exists() else b"")
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise Unsupported(f"TensorRT {trt.__version__} finds no implementation of it in {self._precision}")
        written = place.with_name(f".{place.name}.{os.getpid()}")
        written.write_bytes(bytes(config.get_timing_cache().serialize()))
        written.replace(place)  # whole or not at all: builds side by side may share it
        return bytes(built)

    def _set(self, config: Any) -> None:
        """The precision, said explicitly: no product is rounded to TF32 unasked."""
        trt = self._trt
        config.clear_flag(trt.BuilderFlag.TF32)
        if self._precision in BUILDER_FLAGS and not is_strongly_typed(trt):
            config.set_flag(getattr(trt.BuilderFlag, BUILDER_FLAGS[self._precision]))
        if self._level is not None:
            config.builder_optimization_level = self._level


def _recall(config: Any, stored: bytes) -> None:
    """Give the builder the timings that are stored; none where they are another version's or another GPU's."""
    for timings in (stored, b""):
        cache = config.create_timing_cache(timings)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


def shapes(tensor: Tensor, model: Model) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The least, the usual and the largest shape of an input: items from the traffic, other axes from the samples."""
    axes = [
        _axis(tensor, axis, model) if size is None else (size, size, size) for axis, size in enumerate(tensor.shape)
    ]
    least, usual, largest = zip(*axes, strict=True)
    return least, usual, largest


def _axis(tensor: Tensor, axis: int, model: Model) -> tuple[int, int, int]:
    seen = sorted(sample[tensor.name].shape[axis] for sample in model.samples)
    if axis == 0 and tensor.per == "item":
        sizes = sorted({*model.batch_sizes, *seen}) or [1]
        return 1, _middle(sorted(model.batch_sizes) or sizes), max(LARGEST_BATCH, sizes[-1])
    if not seen:
        raise Unsupported(f"axis {axis} of the input {tensor.name} is free and no sample says how long it is")
    return seen[0], _middle(seen), seen[-1]


def _middle(values: Sequence[int]) -> int:
    return values[len(values) // 2]


def _parser_errors(parser: Any) -> str:
    """The first of the parser's errors, with its operator and node, and how many more there are."""
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    if not errors:
        return "TensorRT's ONNX parser refuses it and does not say why"
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"operator {first.node_operator()} (node {first.node_name()})"
    return f"TensorRT's ONNX parser: {where}: {' '.join(first.desc().split())}{more}"
