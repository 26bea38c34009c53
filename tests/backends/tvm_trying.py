"""`python tvm_trying.py VERB …`: what test_apache_tvm.py asks of TVM, each in a process of its own."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from models import OUTPUTS, request
from trying import signature, worst_error

from bakeoff.backends import Model, Setting, Tensor, Unsupported
from bakeoff_backends import apache_tvm_import, apache_tvm_schedule
from bakeoff_backends.apache_tvm import ApacheTvm

INPUTS = (Tensor("x", "float32", (None, 6)),)
CASES = {
    "last": lambda torch, x: x[:, -1],
    "last_but_one": lambda torch, x: x.reshape(-1, 2, 3)[:, -1, -2],
    "tail": lambda torch, x: x[:, -3:].sum(1),
    "to_the_last": lambda torch, x: x[:, :-2].sum(1),
    "first_item": lambda torch, x: (x * x[:1]).sum(1),
    "keyword": lambda torch, x: torch.ops.aten.select.int(x, dim=1, index=-1) * 1.0,
    "pairs": lambda torch, x: x.reshape(-1, 2, 3)[:, torch.tensor([0, 1, 1]), torch.tensor([2, 0, 2])].sum(1),
    "last_item": lambda torch, x: x.sum(1) + x[-1].sum(),
    "no_such_operator": lambda torch, x: x.logcumsumexp(1)[:, 0],
}


def build(model, threads, into):
    setting = Setting("given", threads=threads)
    into.mkdir(parents=True, exist_ok=True)
    backend = ApacheTvm()
    return backend.load(backend.build(model, "fp32", setting, "cpu", into), setting, "cpu")


def error(folder, into, name, threads):
    folder = Path(folder)
    model = Model({"exported": folder / f"{name}.pt2"}, signature(name), OUTPUTS[name], [request(name, 5)], (1, 20))
    return worst_error(build(model, int(threads), Path(into)), name, np.load(folder / f"{name}.npz"))


def scheduled(folder, name, threads):
    import tvm

    _, module = apache_tvm_import.read(Path(folder) / f"{name}.pt2")
    target = tvm.target.Target(apache_tvm_schedule.cpu_target(int(threads)))
    found = apache_tvm_schedule.cpu_pipeline(target, int(threads))(module)
    functions = {str(key.name_hint): f for key, f in found.functions.items() if isinstance(f, tvm.tirx.PrimFunc)}
    wide = {name: f for name, f in functions.items() if "T.int64(1)), " not in f.script()}
    return {name: bool((f.attrs or {}).get("tirx.is_scheduled", False)) for name, f in wide.items()}


def exported(folder, case):
    import torch

    class Module(torch.nn.Module):
        def forward(self, x):
            return CASES[case](torch, x)

    shapes = ({0: torch.export.Dim("items", min=1, max=64)},)
    path = Path(folder) / "model.pt2"
    torch.export.save(torch.export.export(Module(), (torch.randn(5, 6),), dynamic_shapes=shapes), path)
    return Model({"exported": path}, INPUTS, ("score",), (), (4,))


def index(folder, case):
    import torch

    session = build(exported(folder, case), 1, Path(folder) / "built")
    worst = 0.0
    for items in (1, 2, 9):
        x = np.random.default_rng(items).standard_normal((items, 6), np.float32)
        difference = session.infer({"x": x})["score"] - CASES[case](torch, torch.from_numpy(x)).numpy()
        worst = max(worst, float(np.abs(difference).max()))
    return worst


def refused(folder, case, *how):
    if how:
        apache_tvm_import.rewrite = lambda program: program
    try:
        build(exported(folder, case), 1, Path(folder) / "built")
    except Unsupported as refusal:
        return str(refusal)
    return "built"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    answer = globals()[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write("\n" + (answer if isinstance(answer, str) else json.dumps(answer)) + "\n")
