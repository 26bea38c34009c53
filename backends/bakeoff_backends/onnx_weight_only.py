"""Weight-only quantisation for ONNX Runtime: the constants of matrix products in 8 or 4 bits, block by block."""

from __future__ import annotations

from pathlib import Path

from bakeoff.backends import Model, Unsupported
from bakeoff_backends.onnx_gemm import constant_products, unfold_gemms
from bakeoff_backends.onnx_quantising import is_large, read, refusals

BLOCK = 32
"""Consecutive inputs of a layer that share one scale; on MiniLM in 8 bits half the error of 64."""
INT8_COMPUTE = 4
"""MatMulNBits' accuracy level. At the default one its kernel unpacks the weights to fp32 at each call, which on MiniLM
takes longer than fp32 itself (126 against 77 ms in 8 bits); at this one it rounds each block of an activation to bytes
as well, which took 65 ms and changed the error from .0043 to .0052 of the outputs' spread."""


def weight_only(model: Model, path: Path, bits: int) -> None:
    """Write the model with the weights of its matrix products in `bits` (8 symmetric, 4 with a zero point per block).

    Layers with fewer inputs than a block stay in fp32, and so do embedding tables, which the embed-int8 and embed-int4
    techniques take. Raises Unsupported where no layer is left.
    """
    source = read(model)
    unfold_gemms(source)
    weights = {constant.name: constant.dims for constant in source.graph.initializer}
    chosen = [node.name for node in constant_products(source) if weights[node.input[1]][0] >= BLOCK]
    if not chosen:
        raise Unsupported(f"nothing to quantise: no MatMul or Gemm with constant weights has {BLOCK} inputs or more")
    with refusals():
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantiser = MatMulNBitsQuantizer(
            source,
            bits=bits,
            block_size=BLOCK,
            is_symmetric=bits == 8,
            accuracy_level=INT8_COMPUTE,
            nodes_to_exclude=[node.name for node in source.graph.node if node.name not in chosen],
        )
        quantiser.process()
        quantiser.model.save_model_to_file(str(path), use_external_data_format=is_large(quantiser.model.model))
