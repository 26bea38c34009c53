"""A SavedModel's signature, called on tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.backends import Arrays, Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(
    session={"jit_compile": (True, False)},
    process={"TF_ENABLE_ONEDNN_OPTS": ("0", "1")},
    offered=({"jit_compile": False}, {"jit_compile": False, "TF_ENABLE_ONEDNN_OPTS": "1"}),
)


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """Compiled by XLA, or as a graph. The process is told its threads before its first call."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(artifact.path))
    signature = loaded.signatures["serving_default"]
    if options.get("jit_compile", True):
        specs = signature.structured_input_signature[1]
        compiled = tf.function(lambda **inputs: signature(**inputs), jit_compile=True, autograph=False)
        function = compiled.get_concrete_function(**specs)
    else:
        function = signature

    def given(request: Arrays) -> dict[str, Any]:
        return {tensor.name: tf.constant(request[tensor.name]) for tensor in artifact.inputs}

    def call(tensors: dict[str, Any], _model: Any = loaded) -> Any:
        return function(**tensors)

    return Loop(given, call)
