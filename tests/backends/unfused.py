"""`python unfused.py FOLDER`: the ranker by torch-compile in each of its settings; prints kernels and difference."""

import json
import sys
from pathlib import Path

import numpy as np

from bakeoff.backends import Resources
from bakeoff.conformance import ranker
from bakeoff_backends.torch_compile import TorchCompile


def main(folder):
    import torch._inductor.metrics as metrics

    backend, kernels, answers = TorchCompile(), {}, []
    ranker.write(folder, "exported")
    model = ranker.model(folder, ("exported",))
    for setting in backend.settings(Resources(1)):
        metrics.reset()
        into = folder / setting.name
        into.mkdir()
        artifact = backend.build(model, "fp32", setting, "cpu", into)
        kernels[setting.name] = metrics.generated_kernel_count
        answers.append(backend.load(artifact, setting, "cpu").infer(ranker.request(50, 3))["vector"])
    return {"kernels": kernels, "difference": max(float(np.abs(answers[0] - each).max()) for each in answers)}


if __name__ == "__main__":
    result = main(Path(sys.argv[1]))
    sys.stdout.write("\n" + json.dumps(result) + "\n")
