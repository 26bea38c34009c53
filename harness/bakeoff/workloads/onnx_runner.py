"""Runs an ONNX file for its reference outputs: on ONNX Runtime, unoptimised, or else on onnx's own slow evaluator."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.workloads.prepared import Array


class Runner:
    """A model that answers requests; `slow` where it is interpreted in Python."""

    def __init__(self, answer: Any, outputs: Sequence[str], slow: bool) -> None:
        self._answer = answer
        self._outputs = tuple(outputs)
        self.slow = slow

    def run(self, request: Arrays) -> dict[str, Array]:
        """Every output by name."""
        answers = self._answer(list(self._outputs), dict(request))
        return {name: np.asarray(array) for name, array in zip(self._outputs, answers, strict=True)}


def open_model(path: Path, outputs: Sequence[str]) -> Runner:
    """Load a file to run for `outputs`. ONNX Runtime is an optional extra, so it is looked for by name."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return _evaluator(path, outputs)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Runner(session.run, outputs, slow=False)


def _evaluator(path: Path, outputs: Sequence[str]) -> Runner:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))
    return Runner(evaluator.run, outputs, slow=True)
