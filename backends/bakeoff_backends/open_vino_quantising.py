"""Smaller forms of a model in OpenVINO's own format: int8 calibrated by NNCF, and fp16 storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Model, Unsupported
from bakeoff_backends.open_vino_engine import engine

CALIBRATION_REQUESTS = 300
"""NNCF's own default; more does not change its ranges."""


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
