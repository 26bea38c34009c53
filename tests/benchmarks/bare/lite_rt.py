"""LiteRT's interpreter: set the tensors, invoke, get the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(session={"resolver": ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF")})


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """One thread, an interpreter for each size of request, made when the first of it comes."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = getattr(OpResolverType, str(options.get("resolver", "AUTO")))
    interpreters: dict[int, tuple[Any, dict[str, Any], list[int]]] = {}
    counted = next(tensor.name for tensor in artifact.inputs if tensor.per == "item")

    def made(size: int) -> tuple[Any, dict[str, Any], list[int]]:
        path = str(artifact.path / f"{size}.tflite")
        interpreter = Interpreter(path, num_threads=1, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        details = interpreter.get_signature_runner().get_input_details()
        inputs = {tensor.name: details.get(f"args_{place}") for place, tensor in enumerate(artifact.inputs)}
        return interpreter, inputs, [output["index"] for output in interpreter.get_output_details()]

    def given(request: Arrays) -> tuple[Any, list[tuple[int, Any]], list[int]]:
        size = len(request[counted])
        if size not in interpreters:
            interpreters[size] = made(size)
        interpreter, inputs, outputs = interpreters[size]
        placed = [
            (each["index"], np.array(request[name], each["dtype"])) for name, each in inputs.items() if each is not None
        ]
        return interpreter, placed, outputs

    def call(prepared: tuple[Any, list[tuple[int, Any]], list[int]]) -> list[Any]:
        interpreter, placed, outputs = prepared
        for index, values in placed:
            interpreter.set_tensor(index, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return Loop(given, call)
