"""Apache TVM: the torch.export program through Relax, compiled ahead of time by LLVM for this CPU."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
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
    Option,
    Resources,
    Session,
    Setting,
    Unavailable,
    Unsupported,
    owned,
    refusing,
    require_device,
    splits,
)
from bakeoff_backends import apache_tvm_import, apache_tvm_schedule, torch_session

if TYPE_CHECKING:
    from torch.export import ExportedProgram

REMEDY = "pip install 'bakeoff[tvm]'"
SIZES = (1, 2, 7)
LARGEST_ERROR = 1e-3
ALIGNMENT_BYTES = 64


class ApacheTvm(Backend):
    """TVM's Relax VM with a free batch dimension. A call releases the GIL: instances are threads, each with its VM."""

    name: ClassVar[str] = "tvm"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "threads"

    def probe(self, device: str) -> Facts:
        """The version (with a GPU's architecture, which its artifacts are bound to), and one addition compiled."""
        require_device("TVM", device, "cpu", "cuda")
        torch_session.probe("cpu")  # it imports the models
        try:
            import tvm
        except (ImportError, OSError, AttributeError) as error:
            raise Unavailable(f"tvm cannot be imported: {error}", REMEDY) from error
        compiler = _compiler()
        if device == "cuda":
            place = _cuda()
            architecture = f"sm_{place.compute_version.replace('.', '')}"
            facts = Facts(f"{tvm.__version__}+{architecture}", {"gpu": place.device_name})
            target = tvm.target.Target.from_device(place)
        else:
            place, described = tvm.cpu(), apache_tvm_schedule.cpu_target(1)
            facts = Facts(tvm.__version__, {"mcpu": described["mcpu"], "compiler": compiler})
            target = tvm.target.Target(described)
        if not np.array_equal(_one_and_one(target, place), np.full(4, 2, np.float32)):
            raise Unavailable("TVM computes 1 + 1 wrongly here", "reinstall apache-tvm for this machine")
        return facts

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into VMs x threads."""
        return splits(resources)

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """Whether loops are spread over threads."""
        return {"parallel": setting.threads > 1}

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Import, schedule, compile and link, and compare with torch at several numbers of items.

        Raises Unsupported with the operator where TVM cannot take the model, or computes something else.
        """
        self.require(precision, device)
        import tvm

        program, module = apache_tvm_import.read(model.file(*self.formats))
        _set_threads(setting.threads)
        if device == "cuda":
            target, pipeline = tvm.target.Target.from_device(_cuda()), "default"
        else:
            target = tvm.target.Target(apache_tvm_schedule.cpu_target(setting.threads))
            pipeline = apache_tvm_schedule.cpu_pipeline(target, setting.threads)
        artifact = Artifact(into / "model.so", precision, model.inputs, model.outputs)
        with refusing("TVM cannot compile it:", apache_tvm_import.one_line):
            compiled = tvm.compile(module, target, relax_pipeline=pipeline)
        with tempfile.TemporaryDirectory(dir=into) as workspace:
            compiled.export_library(str(artifact.path), workspace_dir=workspace, cc=_compiler())
        session = self.load(artifact, setting, device)
        _compare(session, program, model)
        session.close()
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A VM over the library. TVM's pool is the calling thread's own, and of the setting's threads."""
        _set_threads(setting.threads)
        import tvm

        place = _cuda() if device == "cuda" else tvm.cpu()
        return TvmSession(tvm.runtime.load_module(str(artifact.path)), artifact, place)


class TvmSession(Session):
    """One VM, which belongs to one thread; `lane` makes another over the same library."""

    def __init__(self, library: Any, artifact: Artifact, place: Any) -> None:
        import tvm
        from tvm import relax

        self._library, self._artifact, self._place = library, artifact, place
        self._on_host = place.dlpack_device_type() == tvm.cpu().dlpack_device_type()
        self._rooms = {tensor.name: Room() for tensor in artifact.inputs}
        self._send = tvm.runtime.tensor
        self._main = relax.VirtualMachine(library, place)["main"]

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request; the answers are copied out of TVM's own buffers."""
        if self._on_host:
            arguments = [room.filled(inputs[name]) for name, room in self._rooms.items()]
        else:
            arguments = [self._send(inputs[name], self._place) for name in self._rooms]
        answers = self._main(*arguments)
        answers = [answers] if hasattr(answers, "shape") else answers
        return {name: self._owned(answer) for name, answer in zip(self._artifact.outputs, answers, strict=True)}

    def lane(self, index: int) -> Session:
        """A VM of its own for each thread but the first."""
        return TvmSession(self._library, self._artifact, self._place) if index else self

    def close(self) -> None:
        """Drop the VM and the library."""
        self._main = self._library = None
        self._rooms = {}

    def _owned(self, answer: Any) -> np.ndarray[Any, Any]:
        return owned(np.from_dlpack(answer) if self._on_host else answer.numpy())


class Room(dict[tuple[int, ...], tuple[np.ndarray[Any, Any], Any]]):
    """One input's memory, as large as its largest value so far, with an array and a tensor over it for each shape."""

    bytes: np.ndarray[Any, Any] = np.empty(0, np.uint8)

    def filled(self, values: np.ndarray[Any, Any]) -> Any:
        """A tensor that holds these values, aligned as TVM needs it; the next call may write over it."""
        array, tensor = self.get(values.shape) or self.make(values)
        array[...] = values
        return tensor

    def make(self, values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], Any]:
        """The array and the tensor for values like these."""
        from tvm.runtime import from_dlpack

        if self.bytes.nbytes < values.nbytes:
            self.clear()
            buffer = np.empty(values.nbytes + ALIGNMENT_BYTES, np.uint8)
            start = -buffer.__array_interface__["data"][0] % ALIGNMENT_BYTES
            self.bytes = buffer[start : start + values.nbytes]
        array = self.bytes[: values.nbytes].view(values.dtype).reshape(values.shape)
        held = self[values.shape] = (array, from_dlpack(array))
        return held


def _set_threads(threads: int) -> None:
    """What TVM's pool reads when it starts: unpinned (two pools would share one core), and at rest between calls."""
    os.environ.update(TVM_NUM_THREADS=str(threads), TVM_BIND_THREADS="0", TVM_THREAD_POOL_SPIN_COUNT="0")


def _compiler() -> str:
    """The compiler that links the library; raises Unavailable where there is none."""
    from tvm.support import cc

    found = cc.get_cc()
    if found is None:
        raise Unavailable("TVM needs a C++ compiler to link its library and none is on PATH", "apt install g++")
    return str(found)


def _cuda() -> Any:
    """The first CUDA device; raises Unavailable where TVM finds none."""
    import tvm

    place = tvm.cuda(0)
    if not place.exist:
        raise Unavailable("TVM finds no CUDA device", "run it where nvidia-smi lists a GPU, with a CUDA build of TVM")
    return place


def _one_and_one(target: Any, place: Any) -> np.ndarray[Any, Any]:
    """1 + 1, compiled for the target and run on the device."""
    import tvm
    from tvm import relax

    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((4,), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.add(x, x)))
    machine = relax.VirtualMachine(tvm.compile(builder.get(), target), place)
    answer: np.ndarray[Any, Any] = machine["main"](tvm.runtime.tensor(np.ones(4, np.float32), place)).numpy()
    return answer


def _compare(session: Session, program: ExportedProgram, model: Model) -> None:
    """Raise Unsupported where the session's answers are not torch's, at one, a few and as many items as are usual."""
    whole = torch_session.called(program.module(), model)
    for items in dict.fromkeys((*SIZES, *model.batch_sizes[-1:])):
        request = _request(program, model, items)
        expected, found = whole(request), session.infer(request)
        for name, values in expected.items():
            error = float(np.linalg.norm(found[name] - values) / max(float(np.linalg.norm(values)), 1e-30))
            if found[name].shape != values.shape or not error <= LARGEST_ERROR:
                raise Unsupported(f"TVM computes output {name} wrongly for {items} items: relative error {error:.2g}")


def _request(program: ExportedProgram, model: Model, items: int) -> dict[str, np.ndarray[Any, Any]]:
    """A request of `items` items, their rows those of a sample in turn."""
    if model.samples:
        sample = dict(model.samples[0])
    else:
        arguments, _ = program.example_inputs
        sample = {tensor.name: value.numpy() for tensor, value in zip(model.inputs, arguments, strict=True)}
    free = {t.name for t in model.inputs if t.shape and t.shape[0] is None and t.per == "item"}
    return {
        name: np.ascontiguousarray(values[np.arange(items) % len(values)] if name in free else values)
        for name, values in sample.items()
    }
