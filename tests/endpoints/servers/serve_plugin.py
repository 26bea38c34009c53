"""KServe's Python server calling one of bakeoff's plugins: `python serve_plugin.py ORDER HTTP_PORT GRPC_PORT`.

ORDER is a JSON file: the plugin's `target`, the `artifact` that it built, the `setting`, and the CPUs to stay on. The
plugins must be on PYTHONPATH.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer

from bakeoff.backends import Artifact, Setting, Tensor

KINDS = {"f": "FP", "i": "INT", "u": "UINT"}


class Ranker(Model):
    def __init__(self, target, artifact, setting):
        super().__init__("ranker")
        module, _, name = target.partition(":")
        self.artifact = artifact
        self.session = getattr(import_module(module), name)().load(artifact, setting, "cpu")
        self.ready = True

    def get_input_types(self):
        return [described(each.name, np.dtype(each.dtype), each.shape) for each in self.artifact.inputs]

    def get_output_types(self):
        return [described(name, np.dtype(np.float32), [None]) for name in self.artifact.outputs]

    def predict(self, payload, headers=None, response_headers=None):
        answers = self.session.infer({each.name: each.as_numpy() for each in payload.inputs})
        outputs = []
        for name, answer in answers.items():
            output = InferOutput(name=name, shape=list(answer.shape), datatype="FP32")
            output.set_data_from_numpy(answer, binary_data=True)
            outputs.append(output)
        return InferResponse(response_id=payload.id, model_name="ranker", infer_outputs=outputs)


def described(name, dtype, shape):
    return {
        "name": name,
        "datatype": f"{KINDS[dtype.kind]}{8 * dtype.itemsize}",
        "shape": [-1 if size is None else size for size in shape],
    }


def main(order, http_port, grpc_port):
    asked = json.loads(Path(order).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, asked["cpus"])
    given = asked["artifact"]
    inputs = tuple(Tensor(each["name"], each["dtype"], tuple(each["shape"])) for each in given["inputs"])
    artifact = Artifact(Path(given["path"]), given["precision"], inputs, tuple(given["outputs"]))
    ranker = Ranker(asked["target"], artifact, Setting.of(asked["setting"]))
    ModelServer(http_port=int(http_port), grpc_port=int(grpc_port), workers=1).start([ranker])


if __name__ == "__main__":
    main(*sys.argv[1:])
