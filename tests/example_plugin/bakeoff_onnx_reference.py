"""onnx's own reference evaluator as a bakeoff backend: slow, exact, and all that a plugin has to be."""

from typing import Any

from bakeoff.backends import Arrays, Artifact, Backend, Facts, Session, Setting, Unavailable


class OnnxReference(Backend):
    """`name`, `formats` and `load` are required; `probe` is here to show how an engine says that it is missing."""

    name = "onnx-reference"
    formats = ("onnx",)

    def probe(self, device: str) -> Facts:
        try:
            import onnx.reference
        except ImportError as error:
            raise Unavailable(f"onnx cannot be imported: {error}", "pip install onnx") from error
        return Facts(onnx.__version__)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        from onnx.reference import ReferenceEvaluator

        return ReferenceSession(ReferenceEvaluator(str(artifact.path)), artifact.outputs)


class ReferenceSession(Session):
    def __init__(self, evaluator: Any, outputs: tuple[str, ...]) -> None:
        self.evaluator, self.outputs = evaluator, outputs

    def infer(self, inputs: Arrays) -> Arrays:
        return dict(zip(self.outputs, self.evaluator.run(list(self.outputs), dict(inputs)), strict=True))
