"""MNN, a mobile engine, on the CPU: what its converter makes of an ONNX file."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bakeoff.backends import (
    FP32,
    Arrays,
    Artifact,
    Backend,
    Facts,
    Instances,
    Model,
    Resources,
    Session,
    Setting,
    Unavailable,
    Unsupported,
    owned,
    require_device,
    splits,
)

REMEDY = "pip install 'bakeoff[mnn]'"
INT8 = "int8-weight-only"
CONVERTER = "import sys, _tools; _tools.mnnconvert(sys.argv)"
"""The converter itself: its Python wrapper installs a logging client by pip at import."""
NOT_TAKEN = re.compile(r"(?:not support(?:ed)?|unsupport\w*|can'?t|error|fail)[^\n]*", re.IGNORECASE)
MOST_SHAPES = 64
"""Of requests, for which a plan is kept; the one used longest ago goes first."""


class Mnn(Backend):
    """MNN's Module on the CPU at high precision. Its calls hold the GIL: an instance is a process."""

    name: ClassVar[str] = "mnn"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "processes"
    on_request: ClassVar[frozenset[str]] = frozenset({INT8})

    def probe(self, device: str) -> Facts:
        """The version, and a tiny sum to see that it computes."""
        require_device("MNN", device, "cpu")
        try:
            import MNN.expr as expr
        except ImportError as error:
            raise Unavailable(f"MNN cannot be imported: {error}", REMEDY) from error
        ones = expr.const(np.ones(3, np.float32), [3])
        answer = (ones + ones).read()
        if not np.array_equal(answer, np.full(3, 2, np.float32)):
            raise Unavailable(f"MNN computes 1 + 1 = {answer[0]} here", "reinstall MNN for this CPU")
        return Facts(version("MNN"))

    def precisions(self, device: str) -> tuple[str, ...]:
        """int8-weight-only: the weights of matrix products and convolutions in int8, computed with as fp32."""
        return (FP32, INT8)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads."""
        return splits(resources)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Convert the ONNX file, in a process of its own; raises Unsupported with what the converter says of it."""
        self.require(precision, device)
        path = into / "model.mnn"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "model.onnx"
            _without_norms(model.file(*self.formats), source)
            command = ["-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(path), "--bizCode", "bakeoff"]
            command += ["--useGeluApproximation", "0"]  # with it MiniLM's vectors miss 1e-3
            command += ["--weightQuantBits", "8"] if precision == INT8 else []
            done = subprocess.run(
                [sys.executable, "-c", CONVERTER, *command], capture_output=True, text=True, cwd=folder
            )
        if done.returncode or not path.exists():
            said = NOT_TAKEN.search(done.stdout + done.stderr)
            raise Unsupported(
                f"MNN's converter stumbles over the ONNX file: {said[0] if said else 'it gave no reason'}"
            )
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """The module, bound to the setting's threads."""
        return MnnSession(artifact, setting.threads)


class MnnSession(Session):
    """One module; for each shape of request a clone with its weights, and inputs to write into.

    A new shape makes a module plan anew, and new inputs make it take longer than written ones.
    """

    def __init__(self, artifact: Artifact, threads: int) -> None:
        from MNN import expr, nn

        manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads},))
        names = [tensor.name for tensor in artifact.inputs]
        outputs = list(artifact.outputs)
        self._module: Any = nn.load_module_from_file(
            str(artifact.path), names, outputs, runtime_manager=manager, shape_mutable=False
        )
        self._types = [_types(tensor.dtype, expr) for tensor in artifact.inputs]
        self._placeholder, self._layout = expr.placeholder, expr.data_format.NCHW
        self._names, self._outputs = names, artifact.outputs
        self._planned: OrderedDict[tuple[tuple[int, ...], ...], tuple[Any, list[Any]]] = OrderedDict()

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request; MNN copies it in, and the answers are copied out of its buffers."""
        arrays = [inputs[name] for name in self._names]
        module, places = self._plan(tuple(values.shape for values in arrays))
        for place, values, (kind, _) in zip(places, arrays, self._types, strict=True):
            place.write(np.ascontiguousarray(values, kind))
        answers = module.forward(places)
        return {name: owned(answer.read()) for name, answer in zip(self._outputs, answers, strict=True)}

    def close(self) -> None:
        """Drop the modules."""
        self._planned.clear()
        self._module = None

    def _plan(self, shapes: tuple[tuple[int, ...], ...]) -> tuple[Any, list[Any]]:
        if shapes in self._planned:
            self._planned.move_to_end(shapes)
        else:
            places = [
                self._placeholder(list(shape), self._layout, kind)
                for shape, (_, kind) in zip(shapes, self._types, strict=True)
            ]
            self._planned[shapes] = self._module.clone(True), places
            if len(self._planned) > MOST_SHAPES:
                self._planned.popitem(last=False)
        return self._planned[shapes]


def _without_norms(source: Path, into: Path) -> None:
    """Copy an ONNX file with ReduceL2 as the operators that it stands for.

    MNN 3.6 reduces over all axes where they are an input, as from opset 18 on, and answers wrongly.
    """
    import onnx

    model = onnx.load(source)
    nodes = []
    for node in model.graph.node:
        if node.op_type == "ReduceL2":
            squares, total = f"{node.output[0]}:squares", f"{node.output[0]}:total"
            summed = onnx.NodeProto()
            summed.CopyFrom(node)
            summed.op_type, summed.input[0], summed.output[0] = "ReduceSum", squares, total
            nodes.append(onnx.helper.make_node("Mul", [node.input[0], node.input[0]], [squares]))
            nodes += [summed, onnx.helper.make_node("Sqrt", [total], [node.output[0]])]
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, into)


def _types(dtype: str, expr: Any) -> tuple[Any, Any]:
    """What an input becomes in numpy and in MNN, which knows no 64-bit integers; raises Unsupported for others."""
    kinds = {"f": (np.float32, expr.float), "i": (np.int32, expr.int), "u": (np.int32, expr.int)}
    kind = np.dtype(dtype).kind
    if kind not in kinds:
        raise Unsupported(f"MNN takes no {dtype} input")
    return kinds[kind]
