"""TensorFlow on the CPU: the exported torch program, written again as a SavedModel; as a graph, or compiled by XLA."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bakeoff.backends import (
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
    splits,
)
from bakeoff_backends import aten_graph, torch_session

if TYPE_CHECKING:
    import tensorflow as tf

REMEDY = "pip install 'bakeoff[tensorflow]'"
SIGNATURE = "serving_default"


class TensorFlow(Backend):
    """TensorFlow's CPU device. A call releases the GIL and runs in its caller's thread: instances are threads."""

    name: ClassVar[str] = "tensorflow"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "threads"

    def probe(self, device: str) -> Facts:
        """The version; raises Unavailable without TensorFlow or off the CPU."""
        if device != "cpu":
            raise Unavailable(f"this plugin drives TensorFlow on the CPU, not on {device}", "set resources.device to cpu")
        try:
            tensorflow = _engine(Setting("probe"))
        except ImportError as error:
            raise Unavailable(f"tensorflow cannot be imported: {error}", REMEDY) from error
        if float(tensorflow.reduce_sum(tensorflow.constant([1.0, 2.0]))) != 3.0:
            raise Unavailable("tensorflow computes 1 + 2 wrongly here", "reinstall tensorflow for this CPU")
        return Facts(tensorflow.__version__)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores as a graph, then compiled by XLA ("-xla"); on request with oneDNN's kernels."""
        plain = splits(resources)
        return (
            *plain,
            *(Setting(f"{s.name}-xla", s.threads, s.instances, {"xla": True}) for s in plain),
            *(Setting(f"{s.name}-onednn", s.threads, s.instances, {"onednn": True}, on_request=True) for s in plain),
        )

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Write a SavedModel with free axes left free; raises Unsupported with the operator that has no translation."""
        self.require(precision, device)
        tensorflow = _engine(setting)
        graph = aten_graph.read(torch_session.read(model.file(*self.formats)))
        path = into / "saved_model"
        _save(tensorflow, graph, model, path)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """The SavedModel's signature. Threads and oneDNN are the process's: only its first load sets them."""
        tensorflow = _engine(setting)
        return TensorFlowSession(tensorflow, artifact, bool(setting.options.get("xla", False)))


class TensorFlowSession(Session):
    """A concrete function, which any number of threads may call."""

    def __init__(self, tensorflow: Any, artifact: Artifact, xla: bool) -> None:
        loaded = tensorflow.saved_model.load(str(artifact.path))
        signature = loaded.signatures[SIGNATURE]
        self._inputs, self._outputs = tuple(tensor.name for tensor in artifact.inputs), artifact.outputs
        self._keep, self._constant = loaded, tensorflow.constant
        self._function = signature
        if xla:
            specs = [signature.structured_input_signature[1][name] for name in self._inputs]
            names = self._inputs

            def call(*inputs: Any) -> Any:
                return signature(**dict(zip(names, inputs, strict=True)))

            self._function = tensorflow.function(call, input_signature=specs, jit_compile=True).get_concrete_function()
        self._xla = xla

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request; TensorFlow copies the arrays in, and out again."""
        given = {name: self._constant(inputs[name]) for name in self._inputs}
        answers = self._function(*given.values()) if self._xla else self._function(**given)
        return {name: _owned(answers[name].numpy()) for name in self._outputs}

    def close(self) -> None:
        """Drop the model."""
        self._keep = self._function = None


def _engine(setting: Setting) -> Any:
    """The tensorflow module, bound to the setting's threads unless it has started in this process before."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1" if setting.options.get("onednn") else "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(setting.threads)
        tf.config.threading.set_inter_op_parallelism_threads(setting.instances)
    except RuntimeError:
        pass
    return tf


def _save(tensorflow: Any, graph: aten_graph.Graph, model: Model, path: Path) -> None:
    from bakeoff_backends.aten_tensorflow import TABLE

    graph.require(TABLE)
    module = tensorflow.Module()
    module.weights = [tensorflow.Variable(values, trainable=False) for values in graph.constants.values()]
    specs = [
        tensorflow.TensorSpec([n if isinstance(n, int) else None for n in axes], tensor.dtype, tensor.name)
        for axes, tensor in zip(graph.inputs.values(), model.inputs, strict=True)
    ]

    @tensorflow.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def call(*inputs: Any) -> dict[str, tf.Tensor]:
        weights = [variable.value() for variable in module.weights]
        answers = graph.walk(TABLE, inputs, dict(zip(graph.constants, weights, strict=True)))
        return dict(zip(model.outputs, answers, strict=True))

    tensorflow.saved_model.save(module, str(path), signatures={SIGNATURE: call})


def _owned(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values
