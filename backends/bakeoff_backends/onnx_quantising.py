"""Quantising an ONNX file to int8 for ONNX Runtime: its matrix products, with activations scaled per call or ahead."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakeoff.backends import Arrays, Model, Unsupported, cpu_flags, has_vnni, refusing
from bakeoff_backends.onnx_gemm import PRODUCTS
from bakeoff_backends.onnx_session import engine

if TYPE_CHECKING:
    import onnx

LARGEST_PROTOBUF_BYTES = 2**31 - 2**20


def dynamic(model: Model, path: Path) -> None:
    """Write the model with int8 weights per channel, each activation quantised at the call."""
    quantise_dynamically(read(model), path)


def quantise_dynamically(model: onnx.ModelProto, path: Path, nodes: Collection[str] | None = None) -> None:
    """Write `model` with the products named `nodes` (None: all that can be) quantised, the others as they are.

    ORT's own pre-processing is left out: it changed no timing on a DLRM and a transformer.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with refusals():
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=None if nodes is None else list(nodes),
            per_channel=True,
            reduce_range=_int8_saturates(),
            weight_type=QuantType.QInt8,
            use_external_data_format=is_large(model),
        )
    require_one(path, {"DynamicQuantizeLinear", "DynamicQuantizeMatMul"}, len(model.graph.node))


def static(model: Model, path: Path, symmetric: bool = False) -> None:
    """Write the model with int8 weights per channel and activations whose ranges come from its sample requests.

    A range is the least and the largest value seen, and a product's result stays in fp32, as in dynamic quantisation.
    Quantised too, results cost a DLRM and MiniLM two to three times the error and saved no time; clipped to a
    percentile, activations cost MiniLM two to three times it; the entropy method found the ranges of min and max.
    `symmetric`: activations as int8 around zero and biases left alone, which is all that TensorRT reads, and weights
    of all eight bits, for it is no CPU that multiplies them.
    """
    engine()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if not model.samples:
        raise Unsupported("int8-static needs sample requests to calibrate on, and this model comes without")
    source = read(model)
    with refusals():
        quantize_static(
            source,
            path,
            _reader(model.samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            per_channel=True,
            reduce_range=not symmetric and _int8_saturates(),
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "MatMulConstBOnly": True,
                "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
                "ActivationSymmetric": symmetric,
                "QuantizeBias": not symmetric,
            },
            use_external_data_format=is_large(source),
        )
    require_one(path, {"QuantizeLinear"}, len(source.graph.node))


def read(model: Model) -> onnx.ModelProto:
    """The model, its nodes named, without recorded shapes: an exporter's may contradict what quantising finds."""
    engine()
    import onnx

    read = onnx.load(model.file("onnx"))
    del read.graph.value_info[:]
    given = {node.name for node in read.graph.node}
    for number, node in enumerate(read.graph.node):
        node.name = node.name or next(name for name in _names(node.op_type, number) if name not in given)
    return read


def _names(operator: str, number: int) -> Iterator[str]:
    return (f"{operator}_{number}{'_' * more}" for more in count())


def is_large(model: onnx.ModelProto) -> bool:
    """Whether one protobuf cannot hold it, so that its weights need a file of their own."""
    return bool(model.ByteSize() > LARGEST_PROTOBUF_BYTES)


def refusals() -> AbstractContextManager[None]:
    """Whatever the engine's quantiser raises, as Unsupported."""
    return refusing("onnxruntime cannot quantise it:")


def require_one(path: Path, operators: Collection[str], nodes: int) -> None:
    """Raise Unsupported unless the file holds one of the `operators`; `nodes` is how many the model had before."""
    import onnx

    written = onnx.load(path, load_external_data=False)
    if not any(node.op_type in operators for node in written.graph.node):
        raise Unsupported(f"nothing to quantise: none of its {nodes} nodes is a MatMul or Gemm with constant weights")


def _reader(samples: Sequence[Arrays]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self._left, None)
            return None if sample is None else dict(sample)

    return Reader()


def _int8_saturates() -> bool:
    """x86 without VNNI adds pairs of byte products in 16 bits: weights keep seven bits there, as documented."""
    return "avx2" in cpu_flags() and not has_vnni()
