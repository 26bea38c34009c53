"""TensorFlow on the CPU: the exported torch program, written again as a SavedModel; as a graph, or compiled by XLA."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
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
    as_float32,
    require_device,
    splits,
)
from bakeoff_backends import aten_graph, fixed_shapes, torch_session
from bakeoff_backends.fixed_batches import Ladder

if TYPE_CHECKING:
    import tensorflow as tf

REMEDY = "pip install 'bakeoff[tensorflow]'"
SIGNATURE, LADDER = "serving_default", "ladder.json"


class TensorFlow(Backend):
    """TensorFlow's CPU device. It has one pool of threads a process, in which two callers' matrix products take turns
    (MiniLM with two callers and a pool of one: 1.06 threads runnable): hence processes."""

    name: ClassVar[str] = "tensorflow"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"

    def probe(self, device: str) -> Facts:
        """The version; raises Unavailable without TensorFlow or off the CPU."""
        require_device("TensorFlow", device, "cpu")
        try:
            tensorflow = _engine(Setting("probe"))
        except ImportError as error:
            raise Unavailable(f"tensorflow cannot be imported: {error}", REMEDY) from error
        if float(tensorflow.reduce_sum(tensorflow.constant([1.0, 2.0]))) != 3.0:
            raise Unavailable("tensorflow computes 1 + 2 wrongly here", "reinstall tensorflow for this CPU")
        return Facts(tensorflow.__version__)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores compiled by XLA ("-xla"), then as a graph, then that with oneDNN's kernels.

        XLA first, which the sweep in docs/engines.md found the fastest of most; all three share an artifact.
        """
        plain = splits(resources)
        return (
            *(Setting(f"{s.name}-xla", s.threads, s.instances, {"xla": True}) for s in plain),
            *plain,
            *(Setting(f"{s.name}-onednn", s.threads, s.instances, {"onednn": True}) for s in plain),
        )

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Write a SavedModel with free axes left free; raises Unsupported with the operator that has no translation."""
        self.require(precision, device)
        tensorflow = _engine(setting)
        program = torch_session.read(model.file(*self.formats))
        graph = aten_graph.read(program)
        path = into / "saved_model"
        _save(tensorflow, graph, model, path)
        fixed_shapes.ladder(program, graph, model, setting).write(into / LADDER)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """The SavedModel's signature; with XLA, which compiles it for each new size, for the sizes of a ladder alone.

        Threads and oneDNN are the process's: only its first load sets them.
        """
        xla = bool(setting.options.get("xla", False))
        call = Call(_engine(setting), artifact, xla)
        ladder = Ladder.read(artifact.path.parent / LADDER) if xla else Ladder((), (), ())
        for size in ladder.sizes:
            call.compile(size)
        return ladder.session(call)


class Call:
    """The SavedModel's signature, or the same compiled by XLA.

    Two of its ways in are TensorFlow's own and not public: the flat call, for the public one matches every tensor with
    the signature again, and the tensors' constructor, for `tf.constant` finds the device anew each time.
    """

    def __init__(self, tensorflow: Any, artifact: Artifact, xla: bool) -> None:
        self._loaded, any_tensor = tensorflow.saved_model.load(str(artifact.path)), tensorflow.constant(0)
        self._tensor, self._device = type(any_tensor), any_tensor.device
        self._outputs = artifact.outputs
        function = self._loaded.signatures[SIGNATURE]
        if xla:
            function = _compiled(tensorflow, function)
        self._call, self._captured = function._call_flat, function.captured_inputs
        self._places = function.inputs[: len(artifact.inputs)]
        self._order = [place.name.partition(":")[0] for place in self._places]

    def __call__(self, inputs: Arrays) -> Arrays:
        """Run one request; TensorFlow copies the arrays in, and out again."""
        given = [self._tensor(inputs[name], self._device, None) for name in self._order]
        answers = self._call(given, self._captured)
        return {name: as_float32(answers[name].numpy()) for name in self._outputs}

    def compile(self, size: int) -> None:
        """Compile for a size ahead of its first request."""
        shapes = [[size if axis is None else axis for axis in place.shape] for place in self._places]
        types = [place.dtype.as_numpy_dtype for place in self._places]
        self({name: np.zeros(*each) for name, *each in zip(self._order, shapes, types, strict=True)})


def _engine(setting: Setting) -> Any:
    """The tensorflow module, bound to the setting's threads unless it has started in this process before."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1" if setting.options.get("onednn") else "0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(setting.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
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

    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(dir=path.parent) as tempfile.tempdir:  # AutoGraph's generated sources
        tensorflow.saved_model.save(module, str(path), signatures={SIGNATURE: call})
    tempfile.tempdir = before


def _compiled(tensorflow: Any, signature: Any) -> Any:
    """The same function, compiled by XLA as a whole."""

    def call(**inputs: Any) -> Any:
        return signature(**inputs)

    specs = signature.structured_input_signature[1]
    return tensorflow.function(call, jit_compile=True, autograph=False).get_concrete_function(**specs)
