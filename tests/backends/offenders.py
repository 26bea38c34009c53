"""Backends for the tests of the conformance suite: one with the least that a plugin needs, and some that offend."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from bakeoff.backends import Backend, Facts, Session, Setting, Unavailable, require_device
from bakeoff.conformance import ranker


class Least(Backend):
    """A name, formats and load: onnx's reference evaluator as an engine."""

    name = "least"
    formats = ("onnx",)

    def load(self, artifact, setting, device):
        return LeastSession(artifact)


class LeastSession(Session):
    def __init__(self, artifact):
        from onnx.reference import ReferenceEvaluator

        self.outputs, self.evaluator = list(artifact.outputs), ReferenceEvaluator(str(artifact.path))

    def infer(self, inputs):
        answers = self.evaluator.run(self.outputs, dict(inputs))
        return {name: np.array(values, np.float32) for name, values in zip(self.outputs, answers, strict=True)}


class Absent(Least):
    def probe(self, device):
        raise Unavailable("the engine is not here", "pip install engine")


class Broken(Least):
    """Here, and its library is not."""

    def probe(self, device):
        raise OSError("libengine.so: cannot open shared object file")


class OnGpus(Least):
    """Least, on a device that a GPU's suite must name, and with a setting that only one there has."""

    def probe(self, device):
        require_device("OnGpus", device, "cuda")
        return Facts("1")

    def settings(self, resources):
        alone = Setting("1x1", threads=resources.cpus)
        return (alone, replace(alone, name="1x1-gpu")) if resources.gpus else (alone,)

    def build(self, model, precision, setting, device, into):
        require_device("OnGpus", device, "cuda")
        return super().build(model, precision, setting, device, into)

    def load(self, artifact, setting, device):
        require_device("OnGpus", device, "cuda")
        return super().load(artifact, setting, device)


class Taciturn(Least):
    def probe(self, device):
        raise Unavailable("", "")


class Unfinished(Backend):
    name = "unfinished"
    formats = ("onnx",)


class Slob(Least):
    """Everything that a session and a build can do wrong without being wrong once."""

    name = "slob"
    instances = "threads"

    def probe(self, device):
        return Facts("1.0")

    def settings(self, resources):
        return (Setting("same", threads=resources.cpus), Setting("same", threads=2, instances=resources.cpus))

    def build(self, model, precision, setting, device, into):
        Path("litter").write_text("in the current folder")
        return super().build(model, "fp32", setting, device, into)

    def load(self, artifact, setting, device):
        return SlobSession()


class SlobSession(Session):
    """Answers from one buffer for all and never twice alike, writes into its inputs, spins while idle, closes once."""

    def __init__(self):
        self.buffers = {}
        self.drift = 0.0
        self.closed = False
        threading.Thread(target=self.spin, daemon=True).start()

    def spin(self):
        while not self.closed:
            pass

    def infer(self, inputs):
        answer = ranker.reference(inputs)
        self.drift += 1e-3
        inputs["ids"][...] = 0
        for name, values in answer.items():
            buffer = self.buffers.setdefault(name, np.empty((1000, *values.shape[1:]), np.float32))
            buffer[: len(values)] = values + self.drift
        time.sleep(0.001)
        return {name: self.buffers[name][: len(values)] for name, values in answer.items()}

    def close(self):
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


class Liar(Least):
    def load(self, artifact, setting, device):
        return LiarSession(artifact)


class LiarSession(LeastSession):
    def infer(self, inputs):
        answer = super().infer(inputs)
        answer["score"][len(answer["score"]) // 2] = np.nan if len(inputs["ids"]) > 1 else 0.5
        return answer


class Aborts(Least):
    def load(self, artifact, setting, device):
        os.abort()


class Hangs(Least):
    def load(self, artifact, setting, device):
        time.sleep(600)


class Coy(Least):
    """All that it offers is on request."""

    on_request = frozenset({"fp32"})

    def settings(self, resources):
        return (Setting("1x1", on_request=True),)


class Clutches(Least):
    """Holds the GIL through each call, and says that its instances are threads."""

    instances = "threads"

    def load(self, artifact, setting, device):
        return ClutchingSession(artifact)


class ClutchingSession(LeastSession):
    def infer(self, inputs):
        if "x" in inputs:
            return {"mean": np.array([sum(range(5_000_000))], np.float32)}
        return super().infer(inputs)
