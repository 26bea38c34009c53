"""Smaller forms of a model in OpenVINO's own format: int8 calibrated by NNCF, narrow weights alone, fp16 storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Model, Unsupported
from bakeoff_backends.open_vino_engine import engine

CALIBRATION_REQUESTS = 300
"""NNCF's own default; more does not change its ranges."""
GROUP = 32
"""Consecutive inputs of a layer that share one 4-bit scale; on MiniLM 64 was no faster."""


def static(model: Model, path: Path) -> None:
    """Write the model with int8 weights and activations whose ranges come from the model's sample requests.

    Asymmetric activations (MIXED). The transformer scheme suits whatever lives by matrix products: it was both faster
    and nearer to fp32 on a DLRM and a transformer. Convolutional models take the general one.
    """
    openvino = engine()
    import nncf

    if not model.samples:
        raise Unsupported("int8-static needs sample requests to calibrate on, and this model comes without")
    network = openvino.Core().read_model(model.file("onnx"))
    convolutional = any(node.get_type_name() == "Convolution" for node in network.get_ops())
    quantised = nncf.quantize(
        network,
        nncf.Dataset([dict(sample) for sample in model.samples]),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=None if convolutional else nncf.ModelType.TRANSFORMER,
        subset_size=min(CALIBRATION_REQUESTS, len(model.samples)),
    )
    if not any(node.get_type_name() == "FakeQuantize" for node in quantised.get_ops()):
        raise Unsupported("nothing to quantise: NNCF found no layer with constant weights")
    openvino.save_model(quantised, path, compress_to_fp16=False)


def int8_weights(model: Model, path: Path) -> None:
    """Write the model with the weights of its layers in int8 with a zero point per channel.

    Embedding tables stay as they are: of a look-up in a compressed table OpenVINO 2026.4 answers some processes in ten
    wrongly (2 of 16 in one count, 0 of 14 without).
    """
    openvino = engine()
    import nncf

    network = openvino.Core().read_model(model.file("onnx"))
    narrow = nncf.compress_weights(network, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=_tables(nncf))
    _require_constant(narrow, "u8", "NNCF found no layer with constant weights")
    openvino.save_model(narrow, path, compress_to_fp16=False)


def int4_weights(model: Model, path: Path) -> None:
    """Write the model with the weights of its layers in int4, a scale and a zero point for each group of inputs.

    The last layer and layers that no group divides keep int8, as NNCF has it, and embedding tables stay as they are. A
    zero point cost no time and a third less error on MiniLM.
    """
    openvino = engine()
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedCompressionParameters, GroupSizeFallbackMode

    network = openvino.Core().read_model(model.file("onnx"))
    narrow = nncf.compress_weights(
        network,
        mode=nncf.CompressWeightsMode.INT4_ASYM,
        group_size=GROUP,
        ratio=1.0,
        ignored_scope=_tables(nncf),
        advanced_parameters=AdvancedCompressionParameters(group_size_fallback_mode=GroupSizeFallbackMode.ADJUST),
    )
    _require_constant(narrow, "u4", f"NNCF found no layer that groups of {GROUP} inputs divide, but for the last")
    openvino.save_model(narrow, path, compress_to_fp16=False)


def _tables(nncf: Any) -> Any:
    """What NNCF leaves alone, where there is any."""
    return nncf.IgnoredScope(types=["Gather"], validate=False)


def half(model: Model, path: Path) -> None:
    """Write the model with its constants in fp16, half the bytes on disk; it is computed in fp32.

    The conversion of a table is moved behind its look-up: in front, the CPU plugin converts the whole table at each
    call (a DLRM with 5 MB of tables: 7.0 ms in place of 1.4). Raises Unsupported where the model has no fp32 constant.
    """
    openvino = engine()
    network = openvino.Core().read_model(model.file("onnx"))
    if not any(map(_is_wide_constant, network.get_ops())):
        raise Unsupported("nothing to narrow: the model has no fp32 constant")
    for node in network.get_ops():
        if node.get_type_name() == "Gather" and _is_wide_constant(node.input_value(0).get_node()):
            _convert_behind(node)
    openvino.save_model(network, path, compress_to_fp16=True)


def _is_wide_constant(node: Any) -> bool:
    return bool(node.get_type_name() == "Constant" and node.get_element_type().get_type_name() == "f32")


def _convert_behind(gather: Any) -> None:
    """Look up in an fp16 copy of the table and widen what was found."""
    from openvino import opset13 as operators

    table = operators.constant(gather.input_value(0).get_node().get_data().astype(np.float16))
    users = list(gather.output(0).get_target_inputs())
    found = operators.gather(table, gather.input_value(1), gather.input_value(2))
    widened = operators.convert(found, "f32")
    for user in users:
        user.replace_source_output(widened.output(0))


def _require_constant(network: Any, kind: str, otherwise: str) -> None:
    """Raise Unsupported unless the network has a constant of an element type."""
    constants = (node for node in network.get_ops() if node.get_type_name() == "Constant")
    if not any(node.get_element_type().get_type_name() == kind for node in constants):
        raise Unsupported(f"nothing to quantise: {otherwise}")
