"""Triton, with its Python backend calling ONNX Runtime: `python serve_triton.py MODEL HTTP_PORT GRPC_PORT`."""

import sys

import numpy as np
import onnxruntime
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def main(model, http_port, grpc_port):
    session = onnxruntime.InferenceSession(model)

    def tensors(described):
        return [
            Tensor(
                name=each.name,
                dtype=TYPES[each.type],
                shape=tuple(size if isinstance(size, int) else -1 for size in each.shape),
            )
            for each in described
        ]

    outputs = tensors(session.get_outputs())

    def infer(requests):
        names = [each.name for each in outputs]
        return [dict(zip(names, session.run(names, dict(request)), strict=True)) for request in requests]

    config = TritonConfig(http_address="127.0.0.1", http_port=int(http_port), grpc_port=int(grpc_port))
    with Triton(config=config) as triton:
        inputs = tensors(session.get_inputs())
        triton.bind("ranker", infer, inputs, outputs, config=ModelConfig(batching=False))
        triton.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
