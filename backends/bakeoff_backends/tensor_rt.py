"""NVIDIA TensorRT 10 and 11: the ONNX file as an engine, built for this GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

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
    Tensor,
    Unavailable,
    require_device,
)
from bakeoff_backends import onnx_casting, onnx_quantising, tensor_rt_plan
from bakeoff_backends.nvidia_driver import Driver
from bakeoff_backends.tensor_rt_session import TensorRtSession

INDEX = "--extra-index-url https://pypi.nvidia.com"
REMEDY = f"pip install 'bakeoff[tensorrt]' {INDEX}"
WRITERS: Mapping[str, Callable[..., None]] = {
    "fp16": partial(onnx_casting.cast_products, precision="fp16"),
    "bf16": partial(onnx_casting.cast_products, precision="bf16"),
    "int8-static": partial(onnx_quantising.static, symmetric=True),
}


class TensorRt(Backend):
    """TensorRT on the first CUDA device. A call releases the GIL: an instance is a thread with a context of its own."""

    name: ClassVar[str] = "tensorrt"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "threads"

    def probe(self, device: str) -> Facts:
        """TensorRT's version and the GPU, and one addition built and run; raises Unavailable with what is missing."""
        require_device("TensorRT", device, "cuda")
        driver = Driver()
        trt = engine()
        answer = _one_and_one(trt, driver)
        if not np.array_equal(answer, np.full(4, 2, np.float32)):
            raise Unavailable(f"TensorRT computes 1 + 1 = {answer[0]} here", "install the TensorRT of this CUDA driver")
        return Facts(trt.__version__, {"gpu": driver.name, "architecture": driver.architecture})

    def precisions(self, device: str) -> tuple[str, ...]:
        """fp16 and bf16, and int8 where ONNX Runtime is here to quantise; on CUDA, its only device."""
        quantises = find_spec("onnxruntime") is not None
        return (FP32, *(name for name in WRITERS if quantises or name != "int8-static"))

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """One request at a time, or as many as there are cores, each on its stream; "-level5" searches longer at build
        time and is on request."""
        counts = sorted({1, resources.cpus})
        plain = tuple(Setting(f"{count}x1", instances=count) for count in counts)
        longest = Setting("1x1-level5", options={"level": 5}, on_request=True)
        return (*plain, longest)

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """How long it searches, and the GPU's architecture: an engine runs on no other."""
        return {**setting.options, "gpu": Driver().architecture}

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Write the ONNX file in its precision and build the engine; raises Unsupported with the operator."""
        self.require(precision, device)
        trt = engine()
        source = model.file(*self.formats)
        if precision == "int8-static" or (precision != FP32 and tensor_rt_plan.is_strongly_typed(trt)):
            source = into / f"model.{precision}.onnx"
            WRITERS[precision](model, path=source)
        path = into / "model.engine"
        level = setting.options.get("level")
        plan = tensor_rt_plan.Plan(trt, precision, None if level is None else int(level))
        path.write_bytes(plan.engine(source, model, into / "timing.cache"))
        for written in into.glob(f"model.{precision}.onnx*"):
            written.unlink()
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A context over the engine; raises Unavailable where it was built by another version or for another GPU."""
        trt, driver = engine(), Driver()
        driver.enter()
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        loaded = runtime.deserialize_cuda_engine(artifact.path.read_bytes())
        if loaded is None:
            raise Unavailable(f"TensorRT {trt.__version__} cannot read this engine on {driver.name}", "build it again")
        return TensorRtSession(trt, driver, loaded, artifact)


def engine() -> Any:
    """The tensorrt module; raises Unavailable that tells a missing package from bindings without their libraries."""
    try:
        import tensorrt
    except ModuleNotFoundError as error:
        if error.name == "tensorrt":
            raise Unavailable("the package tensorrt is not installed", REMEDY) from error
        raise Unavailable(f"tensorrt's bindings are here without their libraries: {error}", REMEDY) from error
    except (ImportError, OSError) as error:
        raise Unavailable(f"tensorrt's bindings are here without their libraries: {error}", REMEDY) from error
    if not hasattr(tensorrt, "Builder"):
        raise Unavailable("tensorrt is installed without its bindings", REMEDY)
    if tensor_rt_plan.major(tensorrt) < 10:
        raise Unavailable(f"TensorRT {tensorrt.__version__} is older than 10", REMEDY)
    return tensorrt


def _one_and_one(trt: Any, driver: Driver) -> np.ndarray[Any, Any]:
    driver.enter()
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    x = network.add_input("x", trt.float32, (4,))
    total = network.add_elementwise(x, x, trt.ElementWiseOperation.SUM).get_output(0)
    total.name = "y"
    network.mark_output(total)
    written = builder.build_serialized_network(network, builder.create_builder_config())
    if written is None:
        raise Unavailable(f"TensorRT {trt.__version__} builds nothing on {driver.name}", REMEDY)
    artifact = Artifact(Path(), FP32, (Tensor("x", "float32", (4,)),), ("y",))
    session = TensorRtSession(trt, driver, trt.Runtime(logger).deserialize_cuda_engine(written), artifact)
    answer = session.infer({"x": np.ones(4, np.float32)})["y"]
    session.close()
    return answer
