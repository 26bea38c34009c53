"""`python trying.py BACKEND FOLDER MODEL...`: run every precision; prints {model/precision: worst error} as JSON.

BACKEND is a name or "module:Class"; SETTING in the environment numbers one core's settings (default: the first), and
SIZES are the sample requests' batch sizes (default: 1,5,20), for which an engine of fixed shapes compiles. The
error is the Euclidean distance to torch's fp32 answer over that answer's size, the worst over batch sizes.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from models import BATCH_SIZES, OUTPUTS, request

from bakeoff.backends import Model, Resources, Tensor, Unsupported, create, registered


def signature(name):
    arrays = request(name, 3)
    return tuple(
        Tensor(key, str(values.dtype), (None, *values.shape[1:]) if len(values) == 3 else values.shape)
        for key, values in arrays.items()
    )


def worst_error(session, name, expected):
    errors = []
    for size in BATCH_SIZES:
        answer = session.infer(request(name, size))
        assert tuple(answer) == OUTPUTS[name]
        for key, values in answer.items():
            reference = expected[f"{key}-{size}"]
            assert values.shape == reference.shape
            assert values.dtype == np.float32
            errors.append(np.linalg.norm(values - reference) / np.linalg.norm(reference))
    return float(max(errors))


def main(backend_name, folder, names):
    backend = create(registered()[backend_name].value if backend_name in registered() else backend_name)
    backend.probe("cpu")
    setting = backend.settings(Resources(cpus=1))[int(os.environ.get("SETTING", "0"))]
    sizes = [int(size) for size in os.environ.get("SIZES", "1,5,20").split(",")]
    found = {}
    for name in names:
        samples = [request(name, size, seed) for seed in range(1, 7) for size in sizes]
        files = {"onnx": folder / f"{name}.onnx", "exported": folder / f"{name}.pt2"}
        model = Model(files, signature(name), OUTPUTS[name], samples, (sizes[0], sizes[-1]))
        expected = np.load(folder / f"{name}.npz")
        for precision in backend.precisions("cpu"):
            into = folder / backend_name / name / precision
            into.mkdir(parents=True)
            try:
                artifact = backend.build(model, precision, setting, "cpu", into)
            except Unsupported as refusal:
                found[f"{name}/{precision}"] = str(refusal)
                continue
            session = backend.load(artifact, setting, "cpu")
            found[f"{name}/{precision}"] = worst_error(session, name, expected)
            session.close()
    return found


if __name__ == "__main__":
    result = main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
    sys.stdout.write("\n" + json.dumps(result) + "\n")
