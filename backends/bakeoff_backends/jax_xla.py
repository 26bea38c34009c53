"""JAX: the exported torch program, written again in JAX and kept as StableHLO; XLA compiles it per batch size."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bakeoff.backends import (
    FP32,
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
    require_device,
    splits,
)
from bakeoff_backends import aten_graph, fixed_shapes, torch_graph, torch_session
from bakeoff_backends.fixed_batches import Ladder
from bakeoff_backends.jax_call import JaxCall

if TYPE_CHECKING:
    from jax.export import Exported

REMEDIES = {
    "cpu": "pip install 'bakeoff[jax]'",
    "cuda": "pip install 'jax[cuda13]', or jax[cuda12] for an older driver",
}
PROGRAM, WEIGHTS, LADDER, COMPILED = "model.stablehlo", "weights.npz", "ladder.json", "compiled"
NEVER_S = 1e9
"""No compilation takes so long."""


class Jax(Backend):
    """JAX on its CPU or CUDA client. One pool of threads serves a whole process: hence processes."""

    name: ClassVar[str] = "jax"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"

    def probe(self, device: str) -> Facts:
        """The version and the device's kind; raises Unavailable where JAX has no such device."""
        require_device("JAX", device, *REMEDIES)
        try:
            jax = _engine(device, threads=1)
        except ImportError as error:
            raise Unavailable(f"jax cannot be imported: {error}", REMEDIES["cpu"]) from error
        try:
            found = jax.devices(device)[0]
        except RuntimeError as error:
            raise Unavailable(f"jax finds no {device} device: {_first_line(error)}", REMEDIES[device]) from error
        ones = jax.device_put(np.ones((4, 4), np.float32), found)
        if not np.array_equal(jax.numpy.dot(ones, ones, precision="highest"), np.full((4, 4), 4, np.float32)):
            raise Unavailable("jax computes a wrong matrix product here", REMEDIES[device])
        return Facts(
            jax.__version__, {"jaxlib": importlib.import_module("jaxlib").__version__, "kind": found.device_kind}
        )

    def precisions(self, device: str) -> tuple[str, ...]:
        """bf16 on a GPU alone: a CPU with AMX was slower (MiniLM, batch 1: 62 ms for 24) or no faster (batch 32)."""
        return (FP32,) if device == "cpu" else (FP32, "bf16")

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads."""
        return splits(resources)

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """The number of threads, among which XLA shares out the work when it compiles."""
        return {"threads": setting.threads}

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Translate the program with its free axes left free; raises Unsupported with the operator that JAX lacks.

        The weights lie beside the StableHLO and are its arguments: as constants in it, XLA would hold them once more
        for each batch size. What XLA makes of it for the model's own sizes is kept, for every load to find.
        """
        self.require(precision, device)
        jax = _engine(device, setting.threads)
        program = torch_session.read(model.file(*self.formats))
        graph = aten_graph.read(torch_graph.in_half(program, "bf16") if precision == "bf16" else program)
        exported = _export(jax, graph, model, device)
        (into / PROGRAM).write_bytes(exported.serialize())
        np.savez(into / WEIGHTS, *map(_storable, graph.constants.values()))
        fixed_shapes.ladder(program, graph, model, setting).write(into / LADDER)
        artifact = Artifact(into / PROGRAM, precision, model.inputs, model.outputs)
        (into / COMPILED).mkdir()
        if _finds(jax, device):
            _loaded(artifact, setting, device, keep=True).close()
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Put the weights on the device and compile for the model's batch sizes, or find them compiled.

        Only the first load in a process sets the number of threads: JAX has one pool, which starts with it.
        """
        return _loaded(artifact, setting, device, keep=False)


def _loaded(artifact: Artifact, setting: Setting, device: str, keep: bool) -> Session:
    jax = _engine(device, setting.threads)
    folder = artifact.path.parent
    exported = jax.export.deserialize(artifact.path.read_bytes())
    with np.load(folder / WEIGHTS) as stored:
        arrays = [stored[f"arr_{number}"] for number in range(len(stored.files))]
    typed = zip(arrays, exported.in_avals, strict=False)
    weights = [jax.device_put(values.view(aval.dtype), jax.devices(device)[0]) for values, aval in typed]
    ladder, call = Ladder.read(folder / LADDER), JaxCall(exported, weights, artifact)
    with _executables(jax, folder / COMPILED, keep):
        for size in ladder.sizes:
            call.compile(size)
    return ladder.session(call)


@contextmanager
def _executables(jax: Any, folder: Path, keep: bool) -> Iterator[None]:
    """Have JAX look in `folder` for what it is to compile, and with `keep` leave there what it finds nowhere."""
    from jax.experimental.compilation_cache import compilation_cache

    wanted = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0 if keep else NEVER_S,
        "jax_persistent_cache_enable_xla_caches": "none",  # its key would hold the folder, which moves after the build
    }
    before = {name: jax.config.values[name] for name in wanted}
    try:
        for name, value in wanted.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def _finds(jax: Any, device: str) -> bool:
    """Whether JAX has the device here: a GPU's artifact can be built where there is none."""
    try:
        return bool(jax.devices(device))
    except RuntimeError:
        return False


def _engine(device: str, threads: int) -> Any:
    """The jax module with 64-bit ids, for a pool of `threads`, and without a GPU's memory taken in advance.

    A call computes on its own thread: handed to another, as is JAX's default, a small model takes twice as long.
    """
    os.environ["NPROC"] = str(threads)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device == "cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.export

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return jax


def _export(jax: Any, graph: aten_graph.Graph, model: Model, device: str) -> Exported:
    """The graph as StableHLO for `device`, which need not be here."""
    from bakeoff_backends.aten_jax import TABLE

    graph.require(TABLE)
    names = list(graph.constants)

    def call(weights: list[Any], *inputs: Any) -> tuple[Any, ...]:
        return graph.walk(TABLE, inputs, dict(zip(names, weights, strict=True)))

    scope = jax.export.SymbolicScope()
    arguments = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(", ".join(map(str, axes)) + ",", scope=scope), tensor.dtype)
        for axes, tensor in zip(graph.inputs.values(), model.inputs, strict=True)
    ]
    weights = [jax.ShapeDtypeStruct(values.shape, values.dtype) for values in graph.constants.values()]
    return jax.export.export(jax.jit(call), platforms=[device])(weights, *arguments)


def _storable(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """bf16 as the bits that it is: .npz files do not know it."""
    return values.view(np.uint16) if values.dtype.name == "bfloat16" else values


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
