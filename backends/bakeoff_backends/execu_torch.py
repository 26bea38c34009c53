"""ExecuTorch (PyTorch Mobile's successor) with XNNPACK on the CPU: a .pte file per batch size."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

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
    require_device,
    splits,
)
from bakeoff_backends import fixed_batches, fixed_shapes, torch_session

REMEDY = "pip install 'bakeoff[executorch]'"
SUFFIX = ".pte"
INT8 = "int8-dynamic"
LARGEST_ERROR = {FP32: 1e-3, INT8: 0.3}


class ExecuTorch(Backend):
    """ExecuTorch's Python runtime, which holds the GIL for the whole call: hence processes.

    A program of free batch size fails in XNNPACK's delegate, so there is one for each. int8-dynamic is on request: it
    takes two to three times as long to build.
    """

    name: ClassVar[str] = "executorch"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"
    on_request: ClassVar[frozenset[str]] = frozenset({INT8})

    def probe(self, device: str) -> Facts:
        """The version, after a tiny sum through XNNPACK; raises Unavailable where that does not come out."""
        require_device("ExecuTorch", device, "cpu")
        try:
            answer = _tiny_sum()
        except ImportError as error:
            raise Unavailable(f"executorch cannot be imported: {error}", REMEDY) from error
        if answer != [2.0, 2.0, 2.0]:
            raise Unavailable(f"ExecuTorch computes 1 + 1 = {answer[0]} here", "reinstall executorch")
        return Facts(version("executorch"), {"delegate": "XNNPACK"})

    def precisions(self, device: str) -> tuple[str, ...]:
        """int8-dynamic: int8 weights per channel of the linear layers; embedding tables stay fp32."""
        return (FP32, INT8)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads. Operator fusion is XNNPACK's own and always on."""
        return splits(resources)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Lower the exported program to XNNPACK once per batch size; what XNNPACK lacks runs in portable kernels."""
        self.require(precision, device)
        module, whole = fixed_shapes.program(model, self.formats, setting)
        folder = into / "model"
        folder.mkdir()
        artifact = Artifact(folder, precision, model.inputs, model.outputs)
        for size in fixed_batches.sizes(model):
            path, request = fixed_batches.file(folder, size, SUFFIX), fixed_batches.arguments(model, size)
            arguments = fixed_shapes.tensors(model, request)
            with fixed_shapes.refusals("ExecuTorch"):
                lowered = _lowered(_int8(module, arguments) if precision == INT8 else module, arguments)
                path.write_bytes(lowered)
                fixed_batches.prove(Call(path, artifact), whole, request, LARGEST_ERROR[precision])
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A method per batch size. The thread pool is the process's: the setting loaded last holds for all sessions."""
        torch_session.set_threads(setting.threads)
        _set_pool(setting.threads)
        calls = {size: Call(path, artifact) for size, path in fixed_batches.files(artifact.path, SUFFIX).items()}
        return fixed_batches.BatchSession(calls, fixed_batches.counted(artifact.inputs), artifact.outputs)


class Call:
    """One loaded method, called with the request's arrays in the order of the signature."""

    def __init__(self, path: Path, artifact: Artifact) -> None:
        import torch

        self._path, self._method = path, _method(path)
        self._inputs = [tensor.name for tensor in artifact.inputs]
        self._owned, self._from_numpy = torch_session.owner(artifact.outputs, flat=True), torch.from_numpy
        LOADED.add(self)

    def __call__(self, inputs: Arrays) -> Arrays:
        """Run the request; the runtime copies it in, and the answers are copied out once."""
        if self._method is None:
            self._method = _method(self._path)
        arguments = [self._from_numpy(inputs[name]) for name in self._inputs]
        return self._owned(self._method(arguments, clone_outputs=False))

    def drop(self) -> None:
        """Give the method back; the next call loads it again."""
        self._method = None


LOADED: WeakSet[Call] = WeakSet()


def _set_pool(threads: int) -> None:
    """Bind the process's pool. A reset frees the one that loaded methods point into, so they go first."""
    from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count, _unsafe_reset_threadpool

    if _threadpool_get_thread_count() != threads:
        for call in LOADED:
            call.drop()
        _unsafe_reset_threadpool(threads)


def _method(program: Path | bytes) -> Any:
    """The program's one method; `program` as bytes is not copied and must outlive it.

    It is what the runtime's Method wraps, whose `execute` clones the answers, which are copied out anyhow.
    """
    from executorch.runtime import Runtime

    return Runtime.get().load_program(program).load_method("forward")._method


def _lowered(module: Any, arguments: tuple[Any, ...]) -> bytes:
    """The .pte of a module at the shapes of `arguments`."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with torch.no_grad():
        program = torch.export.export(module, arguments)
        return bytes(to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)


def _int8(module: Any, arguments: tuple[Any, ...]) -> Any:
    """The module with the linear layers' weights in int8; the activations' scales are found at each call."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    scheme = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    with torch.no_grad():
        fixed = torch.export.export(module, arguments).module()
        prepared = prepare_pt2e(fixed, XNNPACKQuantizer().set_global(scheme))
        prepared(*arguments)
        return convert_pt2e(prepared)


def _tiny_sum() -> list[float]:
    import torch

    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    ones = torch.ones(3)
    program = _lowered(Sum().eval(), (ones,))
    (answer,) = _method(program)([ones])
    return [float(value) for value in answer]
