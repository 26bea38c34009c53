"""The two tables of operators against torch, and what a program that they cannot translate says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.engines

HERE = Path(__file__).parent
SEEN_IN_REAL_MODELS = {"alias", "scalar_tensor"}
"""What torch.export writes for them alone; test_jax_xla.py and test_tensor_flow.py run such."""


@pytest.mark.parametrize("module", ["aten_jax", "aten_tensorflow"])
@pytest.mark.slow
def test_every_operator_of_the_table_answers_as_torch_does_in_value_type_and_shape(module):
    command = [sys.executable, str(HERE / "operators.py"), f"bakeoff_backends.{module}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().rpartition("\n")[2])
    assert found["wrong"] == {}
    assert set(found["untried"]) <= SEEN_IN_REAL_MODELS


UNKNOWN = """
import warnings, sys
warnings.simplefilter("ignore")
import torch
from pathlib import Path
from bakeoff.backends import Model, Setting, Tensor, Unsupported, create

class Sorted(torch.nn.Module):
    def forward(self, x):
        return x.sort(1).values

path = Path(sys.argv[2]) / "sorted.pt2"
torch.export.save(torch.export.export(Sorted(), (torch.ones(2, 3),)), path)
model = Model({"exported": path}, (Tensor("x", "float32", (2, 3)),), ("y",))
try:
    create(sys.argv[1]).build(model, "fp32", Setting("1x1"), "cpu", path.parent)
except Unsupported as refusal:
    print(refusal)
"""


@pytest.mark.parametrize("target", ["jax_xla:Jax", "tensor_flow:TensorFlow"])
@pytest.mark.slow
def test_an_operator_without_a_translation_is_named(target, tmp_path):
    command = [sys.executable, "-c", UNKNOWN, f"bakeoff_backends.{target}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "no translation of the operator sort.default", done.stderr[-2000:]
