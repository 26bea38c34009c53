"""`python quantised.py FOLDER`: the ranker in torch-compile's int8 forms, and what its checks say of programs that are
not; prints JSON."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from bakeoff.backends import Resources, Unsupported
from bakeoff.conformance import ranker
from bakeoff_backends import torch_quantising, torch_session
from bakeoff_backends.torch_compile import TorchCompile


def error(session, items):
    request = ranker.request(items, 3)
    found, right = (answer["vector"] for answer in (session.infer(request), ranker.reference(request)))
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def without_kernels(model, path):
    """What is said of an int8 program that Inductor compiles with none of its int8 patterns, which are for freezing."""
    import torch

    with torch.no_grad():
        program = torch_quantising.quantised(torch_session.read(model.file("exported")), model, "int8-static")
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(path), inductor_configs={"freezing": False, "force_disable_caches": True}
        )
    try:
        torch_quantising.require_kernels(program, path)
    except Unsupported as refusal:
        return str(refusal)
    return "nothing"


def main(folder):
    backend, found = TorchCompile(), {}
    ranker.write(folder, "exported")
    model, setting = ranker.model(folder, ("exported",)), backend.settings(Resources(1))[0]
    for precision in torch_quantising.precisions():
        into = folder / precision
        into.mkdir()
        session = backend.load(backend.build(model, precision, setting, "cpu", into), setting, "cpu")
        found[precision] = {items: error(session, items) for items in (1, 2, 7, 50, 700)}
    return {"errors": found, "refusal": without_kernels(model, folder / "plain.pt2")}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    result = main(Path(sys.argv[1]))
    sys.stdout.write("\n" + json.dumps(result) + "\n")
