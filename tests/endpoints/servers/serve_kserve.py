"""KServe's Python server calling ONNX Runtime: `python serve_kserve.py MODEL HTTP_PORT GRPC_PORT`."""

import sys

import numpy as np
import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


class Ranker(Model):
    def __init__(self, path):
        super().__init__("ranker")
        self.session = onnxruntime.InferenceSession(path)
        self.names = [each.name for each in self.session.get_outputs()]
        self.ready = True

    def get_input_types(self):
        return described(self.session.get_inputs())

    def get_output_types(self):
        return described(self.session.get_outputs())

    def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, dict):
            rows = payload["instances"]
            columns = {
                each.name: np.array([row[each.name] for row in rows], DTYPES[each.type])
                for each in self.session.get_inputs()
            }
            return {"predictions": self.session.run(self.names, columns)[0].tolist()}
        answers = self.session.run(self.names, {each.name: each.as_numpy() for each in payload.inputs})
        outputs = []
        for name, answer in zip(self.names, answers, strict=True):
            output = InferOutput(name=name, shape=list(answer.shape), datatype="FP32")
            output.set_data_from_numpy(answer, binary_data=True)
            outputs.append(output)
        return InferResponse(response_id=payload.id, model_name="ranker", infer_outputs=outputs)


def described(tensors):
    return [
        {
            "name": each.name,
            "datatype": DATATYPES[each.type],
            "shape": [size if isinstance(size, int) else -1 for size in each.shape],
        }
        for each in tensors
    ]


if __name__ == "__main__":
    model, http_port, grpc_port = sys.argv[1:]
    ModelServer(http_port=int(http_port), grpc_port=int(grpc_port), workers=1).start([Ranker(model)])
