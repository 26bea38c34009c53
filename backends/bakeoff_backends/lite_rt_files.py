"""LiteRT's files: converted from torch, rewritten to a lower precision, and a tiny one for the probe."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bakeoff.backends import Unsupported
from bakeoff_backends import fixed_shapes


def convert(module: Any, arguments: tuple[Any, ...], path: Path) -> None:
    """Write `module` for the shapes of `arguments`; raises Unsupported with the operator that does not go.

    The file takes int32 ids, widened at its door and 64 bits wide within: the converter's own narrowing would let a
    product of ids overflow in silence. (Where it narrows them all the same, the plugin's proof refuses the file.)
    """
    import torch

    class Widening(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> Any:
            return module(*(x.long() if wide else x for x, wide in zip(inputs, widened, strict=True)))

    widened = [x.dtype == torch.int64 for x in arguments]
    narrow = tuple(x.int() if wide else x for x, wide in zip(arguments, widened, strict=True))
    with fixed_shapes.refusals("LiteRT"):
        import litert_torch

        logging.disable(logging.WARNING)
        try:
            litert_torch.convert(Widening().eval(), narrow, enable_x64=True).export(str(path))
        finally:
            logging.disable(logging.NOTSET)


def int8_dynamic(path: Path) -> None:
    """Rewrite the file with int8 weights per channel (and tables per row); raises Unsupported where it has none."""
    from ai_edge_quantizer import quantizer, recipe

    _rewrite(path, quantizer.Quantizer(path.read_bytes(), recipe.dynamic_wi8_afp32()), "INT8")


def half(path: Path) -> None:
    """Rewrite the file with its weights stored as fp16, which are made fp32 again when it is loaded."""
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.recipe import AlgorithmName

    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    stored = qtyping.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT
    )
    writer = quantizer.Quantizer(path.read_bytes())
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    writer.update_quantization_recipe(".*", everything, stored, AlgorithmName.FLOAT_CASTING)
    _rewrite(path, writer, "FLOAT16")


def _rewrite(path: Path, writer: Any, kind: str) -> None:
    """Quantise the file; raises Unsupported where no tensor of the type `kind` comes of it."""
    from ai_edge_litert import schema_py_generated as schema

    with fixed_shapes.refusals("ai-edge-quantizer"):
        written = bytes(writer.quantize(enable_progress_report=False).quantized_model)
    model = schema.ModelT.InitFromPackedBuf(written, 0)
    wanted = getattr(schema.TensorType, kind)
    if all(tensor.type != wanted for graph in model.subgraphs for tensor in graph.tensors):
        raise Unsupported(f"the model has nothing to quantise: no {kind.lower()} weights come of it")
    path.unlink()  # and not over it: an interpreter may have it mapped
    path.write_bytes(written)


def doubling() -> bytes:
    """y = x + x over three floats."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tensors = []
    for name in "xy":
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), [3], schema.TensorType.FLOAT32
        tensors.append(tensor)
    add, code, graph, model = schema.OperatorT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    add.inputs, add.outputs, add.opcodeIndex = [0, 0], [1], 0
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.ADD, 0, 1
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [add], [0], [1]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
