"""MLServer with a runtime that calls ONNX Runtime: `python serve_mlserver.py MODEL HTTP_PORT GRPC_PORT`."""

import asyncio
import sys

import onnxruntime
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceResponse


class Ranker(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri)
        self.names = [each.name for each in self.session.get_outputs()]
        return True

    async def predict(self, payload):
        answers = self.session.run(self.names, {each.name: NumpyCodec.decode_input(each) for each in payload.inputs})
        outputs = [NumpyCodec.encode_output(name, each) for name, each in zip(self.names, answers, strict=True)]
        for output, answer in zip(outputs, answers, strict=True):
            output.shape = list(answer.shape)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)


async def main(model, http_port, grpc_port):
    settings = Settings(
        host="127.0.0.1",
        http_port=int(http_port),
        grpc_port=int(grpc_port),
        parallel_workers=0,
        metrics_endpoint=None,
        use_structured_logging=False,
    )
    ranker = ModelSettings(name="ranker", implementation=Ranker, parameters=ModelParameters(uri=model))
    await MLServer(settings).start(models_settings=[ranker])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
