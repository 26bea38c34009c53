"""The contract that every inference engine's plugin fulfils, and the registry that finds the plugins.

A plugin builds, loads and runs a model; it never measures. This module needs the standard library and numpy alone, so
that a worker process starts in any environment.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from bakeoff.imports import imports

ENTRY_POINT_GROUP = "bakeoff.backends"
_OPTIONS = "?"

Arrays = Mapping[str, np.ndarray[Any, Any]]
Instances = Literal["threads", "streams", "processes"]
Option = str | int | float | bool

OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate",
    "can't allocate memory",
    "oom when allocating",
    "alloc_failed",
    "bad_alloc",
)
"""What engines say, in lower case, where the memory of the host or of a GPU runs out and they raise no MemoryError."""

FP32 = "fp32"
LOSSLESS = frozenset({FP32})


class Unavailable(Exception):  # noqa: N818 - a result, not an error
    """The engine cannot run here: a result with a reason and a remedy, never a crash."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} ({remedy})")
        self.reason = reason
        self.remedy = remedy


class OtherDevice(Unavailable):
    """The engine is not made for this device, whatever is installed."""


class Unsupported(Exception):  # noqa: N818 - a result, not an error
    """The engine is here but cannot take this model, precision or setting; the message says what it stumbled over."""


def describe(error: BaseException) -> str:
    """An exception as one short line: its type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, the host's or a GPU's."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)


@contextmanager
def refusing(said: str, words: Callable[[Exception], str] = describe) -> Iterator[None]:
    """What an engine raises over a model becomes Unsupported: `said`, and then the error's `words`.

    Unsupported and Unavailable stay what they are, and memory that ran out is no refusal.
    """
    try:
        yield
    except (Unsupported, Unavailable):
        raise
    except Exception as error:
        if ran_out_of_memory(error):
            raise
        raise Unsupported(f"{said} {words(error)}") from error


@dataclass(frozen=True, slots=True)
class Facts:
    """What a probe found: the engine's version and anything else worth recording (providers, instruction sets)."""

    version: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica may use: `cpus` cores and `gpus` GPUs (counts; 0 on the CPU), `memory_bytes` (None: no limit).

    An engine sees the replica's GPUs alone: its first GPU is the replica's first.
    """

    cpus: int
    memory_bytes: int | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Batching:
    """Dynamic batching in front of an engine: waiting requests are joined into one call, until the next would make it
    more than `most_items` items or until `wait_ms` have passed since the first was taken."""

    most_items: int
    wait_ms: float

    @property
    def name(self) -> str:
        """Such as "b512-2ms"."""
        return f"b{self.most_items}-{self.wait_ms:.12g}ms"


@dataclass(frozen=True, slots=True)
class Setting:
    """An engine's own knobs. `instances` requests run at once, each on `threads` cores; `options` are the engine's.

    `batching` is the harness's affair, the same for every engine: a plugin neither sets nor reads it. One `on_request`
    takes part only where a scenario names it, or a candidate with it.
    """

    name: str
    threads: int = 1
    instances: int = 1
    options: Mapping[str, Option] = field(default_factory=dict)
    batching: Batching | None = None
    on_request: bool = False

    def batched(self, batching: Batching) -> Setting:
        """The same knobs behind a batcher, named such as "1x1+b512-2ms"."""
        return replace(self, name=f"{self.name}+{batching.name}", batching=batching)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Setting:
        """The setting that `dataclasses.asdict` wrote, before batchers existed or since."""
        batching = stored.get("batching")
        return cls(**{**stored, "batching": Batching(**batching) if batching else None})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: name, numpy dtype name, shape with None for a free axis.

    `per` says what the first axis counts: the "item"s scored in a request, or the "request" itself (length 1).
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    per: Literal["item", "request"] = "item"


_FORMATS = {"onnx": "an ONNX file (.onnx)", "exported": "a torch.export program (.pt2)"}


def _format_words(name: str) -> str:
    return _FORMATS.get(name, name)


@dataclass(frozen=True, slots=True)
class Model:
    """A model as files, one per format ("onnx", "exported" = torch.export's .pt2), with its signature.

    `samples` are real requests, each a mapping of input name to array, for calibration and for shape specialisation.
    `batch_sizes` are the item counts that the traffic holds, so that an engine may build for them.
    """

    files: Mapping[str, Path]
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    samples: Sequence[Arrays] = ()
    batch_sizes: tuple[int, ...] = ()

    def file(self, *formats: str) -> Path:
        """The model's file in the first of `formats` that it has; raises Unsupported where it has none."""
        for name in formats:
            if name in self.files:
                return self.files[name]
        raise Unsupported(
            f"needs the model as {' or '.join(map(_format_words, formats))}, "
            f"has {' and '.join(map(_format_words, sorted(self.files))) or 'no file'}"
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a build left on disk: the file to load, the precision it holds, and the model's signature."""

    path: Path
    precision: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]


class Session(ABC):
    """A loaded engine. One thread uses one lane."""

    @abstractmethod
    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request; `inputs` are C-contiguous host arrays, and so are the outputs, which the caller owns."""

    def lane(self, index: int) -> Session:
        """What thread `index` uses (an infer request, a VM). Default: this session, for thread-safe engines."""
        return self

    def baseline(self, inputs: Arrays) -> Session | None:
        """For a server elsewhere: a session like this one, before a stub on this machine that answers at once with what
        the server answers to `inputs`, so that its calls take what the client takes. Default: None, nothing is remote.
        """
        return None

    def spent_ns(self) -> Mapping[str, int]:
        """What calls of this lane have spent so far on a part worth telling apart: {"transfer": nanoseconds} of a model
        that is split over devices. Default: nothing is counted."""
        return {}

    def close(self) -> None:
        """Give back what the engine holds."""
        return


class Backend(ABC):
    """A plugin that can build, load and run a model on an engine. `name`, `formats` and `load` make a working one."""

    name: ClassVar[str]
    """The name in reports and scenario files, such as "onnxruntime"."""
    formats: ClassVar[tuple[str, ...]]
    """The model formats it can build from, the preferred one first: "onnx", "exported"."""
    instances: ClassVar[Instances] = "processes"
    """How it uses more than one core at once: "threads" where the engine releases the GIL, "streams" where it queues
    requests itself, "processes" (the default, always right) where it does neither."""
    on_request: ClassVar[frozenset[str]] = frozenset()
    """Those of its precisions that take part only where a scenario names them, or a candidate with one: each further
    one costs every run a build and a first look."""

    def probe(self, device: str) -> Facts:
        """The engine's version and details on `device`; raises Unavailable(reason, remedy)."""
        return Facts(version="unknown")

    def precisions(self, device: str) -> tuple[str, ...]:
        """All precisions it can run on `device`. Called in a child after a successful probe."""
        return (FP32,)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """The settings worth trying within `resources`, the documented best preset first, those on request last.

        Imports no engine.
        """
        return (Setting(name=f"1x{resources.cpus}", threads=resources.cpus),)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Turn the model into what the engine loads, inside the folder `into`. Default: the model file as it is.

        Raises Unsupported where model, precision and setting do not go together. Runs in a child with a time limit.
        """
        self.require(precision, device)
        source = model.file(*self.formats)
        path = into / source.name
        for part in [source, *source.parent.glob(source.name + ".data")]:
            shutil.copyfile(part, into / part.name)
        return Artifact(path, precision, model.inputs, model.outputs)

    def require(self, precision: str, device: str) -> None:
        """Raise Unsupported unless `precision` is one of `precisions(device)`; a `build` starts with it."""
        offered = self.precisions(device)
        if precision not in offered:
            raise Unsupported(f"{self.name} has no {precision} on this {device}, it has {', '.join(offered)}")

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """The part of a setting that the built artifact depends on; settings that agree in it share one artifact."""
        return {}

    @abstractmethod
    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Load the artifact with the setting's knobs, bound to its threads."""


def splits(resources: Resources) -> tuple[Setting, ...]:
    """The ways to divide the CPU budget into instances x threads, named "2x1" and so on; all threads in one first."""
    cpus = resources.cpus
    divisors = [threads for threads in range(cpus, 0, -1) if cpus % threads == 0]
    return tuple(
        Setting(name=f"{cpus // threads}x{threads}", threads=threads, instances=cpus // threads) for threads in divisors
    )


def thread_environment(threads: int) -> dict[str, str]:
    """Every variable by which a library takes its number of threads, and those that keep idle threads from spinning."""
    counted = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "NPROC",
    )
    quiet = {
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_DYNAMIC": "FALSE",
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return dict.fromkeys(counted, str(threads)) | quiet


def as_float32(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats as float32, for an answer that is the caller's already."""
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


def owned(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy in C order, floats as float32 (numpy has no bf16: its kind is V), for an answer in an engine's buffer."""
    return np.array(values, dtype=np.float32 if values.dtype.kind in "fV" else None, order="C")


def require_device(engine: str, device: str, *devices: str) -> None:
    """Raise OtherDevice where an engine does not run on `device`, the usual one of its `devices` first."""
    if device not in devices:
        usual = f"set resources.device: {devices[0]}" + (" or leave it out" if devices[0] == "cpu" else "")
        raise OtherDevice(f"{engine} runs on {' and '.join(devices)} alone", usual)


def cpu_flags() -> frozenset[str]:
    """The instruction sets of this machine's CPU by the kernel's names ("avx512_bf16"); empty where it tells none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(flags, "").split())


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware (AVX512-BF16, AMX or ARM's), not by emulation."""
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def has_vnni() -> bool:
    """Whether this CPU adds products of bytes in 32 bits (VNNI): without, engines keep to seven bits or saturate."""
    return not cpu_flags().isdisjoint({"avx512_vnni", "avx_vnni"})


def registered() -> dict[str, EntryPoint]:
    """Every installed backend by name, unimported: a broken one must not hide the others."""
    return {point.name: point for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)}


def create(target: str) -> Backend:
    """The backend named by "module:Class" (an entry point's value), with the options that `configured` gave it."""
    name, _, options = target.partition(_OPTIONS)
    backend = EntryPoint(name="backend", value=name, group=ENTRY_POINT_GROUP).load()(**json.loads(options or "{}"))
    if not isinstance(backend, Backend):
        raise TypeError(f"{name} is not a bakeoff.backends.Backend")
    return backend


def build_key(backend: Backend, setting: Setting) -> str:
    """What an artifact depends on besides model, precision, device and engine: the plugin's code, and of the setting
    what `build_depends_on` names.
    """
    return f"{_code_digest(type(backend))} {sorted(backend.build_depends_on(setting).items())}"


@cache
def _code_digest(backend: type[Backend]) -> str:
    """Of the plugin's file and those of its package that it imports."""
    files = imports(Path(inspect.getfile(backend)), backend.__module__.rpartition(".")[0])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:16]


def configured(target: str, options: Mapping[str, Any]) -> str:
    """The target of a backend that is constructed with these keyword arguments, JSON-able values."""
    return f"{target}{_OPTIONS}{json.dumps(options, sort_keys=True)}"
