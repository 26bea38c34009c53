"""JAX: it computes models like real ones, and builds for a GPU that is not here."""

import json
from pathlib import Path

import pytest
from engine_child import child

from bakeoff.backends import Resources
from bakeoff_backends.jax_xla import Jax

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.jax_xla:Jax"


@pytest.mark.engines
@pytest.mark.slow
def test_it_computes_real_models(tmp_path):
    child(str(HERE / "models.py"), str(tmp_path))
    found = json.loads(child(str(HERE / "trying.py"), TARGET, str(tmp_path), "dlrm", "titles", "images"))
    assert set(found) == {"dlrm/fp32", "titles/fp32", "images/fp32"}
    assert all(error <= 1e-5 for error in found.values()), found


@pytest.mark.engines
@pytest.mark.slow
def test_lists_whose_items_look_at_each_other_are_scored_as_they_are(tmp_path):
    assert float(child(str(HERE / "building.py"), TARGET, "softmax-over-items", "fp32", str(tmp_path))) < 1e-6


FOR_A_GPU = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from bakeoff.backends import Setting, create
from bakeoff.conformance import ranker
import jax.export, numpy as np
folder = Path(sys.argv[2])
ranker.write(folder, "exported")
artifact = create(sys.argv[1]).build(ranker.model(folder, ("exported",)), "bf16", Setting("1x1"), "cuda", folder)
exported = jax.export.deserialize(artifact.path.read_bytes())
program = exported.mlir_module()
print(exported.platforms, "bf16>) -> tensor" in program, sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.engines
@pytest.mark.slow
def test_a_build_for_cuda_needs_no_gpu(tmp_path):
    files = "['compiled', 'ladder.json', 'model.stablehlo', 'ranker.pt2', 'weights.npz']"
    assert child("-c", FOR_A_GPU, TARGET, str(tmp_path)) == f"('cuda',) True {files}"


PROBE = """
import sys
{first}
from bakeoff.backends import Unavailable, create
try:
    create("bakeoff_backends.jax_xla:Jax").probe("{device}")
except Unavailable as absent:
    print(absent.remedy)
"""


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it():
    assert child("-c", PROBE.format(first="sys.modules['jax'] = None", device="cpu")) == "pip install 'bakeoff[jax]'"


def test_an_unknown_device_is_unavailable():
    assert child("-c", PROBE.format(first="", device="abacus")) == "set resources.device: cpu or leave it out"


@pytest.mark.engines
def test_without_a_gpu_cuda_is_unavailable():
    remedy = child("-c", PROBE.format(first="", device="cuda"), CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="")
    assert remedy == "pip install 'jax[cuda13]', or jax[cuda12] for an older driver"


LOADS = """
import sys, warnings
from pathlib import Path
from bakeoff.backends import Setting, create
from bakeoff.conformance import ranker
backend, folder, setting = create(sys.argv[1]), Path(sys.argv[2]), Setting("1x1")
if not (folder / "ladder.json").exists():
    ranker.write(folder, "exported")
    backend.build(ranker.model(folder, ("exported",)), "fp32", setting, "cpu", folder)
else:
    from jax._src import compiler
    from bakeoff.backends import Artifact
    compiled = []
    compile = compiler.backend_compile_and_load
    compiler.backend_compile_and_load = lambda *words: compiled.append(words) or compile(*words)
    artifact = Artifact(folder / "model.stablehlo", "fp32", ranker.INPUTS, ranker.OUTPUTS)
    before = sorted(folder.rglob("*"))
    session = backend.load(artifact, setting, "cpu")
    at_load = len(compiled)
    session.infer(ranker.request(30, 1))
    at_a_known_size = len(compiled)
    session.infer(ranker.request(7, 1))
    print(at_load, at_a_known_size, len(compiled) > at_a_known_size, sorted(folder.rglob("*")) == before)
"""


@pytest.mark.engines
@pytest.mark.slow
def test_a_load_finds_what_was_compiled_at_build_and_writes_nothing(tmp_path):
    child("-c", LOADS, TARGET, str(tmp_path))
    assert child("-c", LOADS, TARGET, str(tmp_path)) == "0 0 True True"


def test_the_cores_are_divided_and_bf16_is_for_gpus():
    one, two = Jax().settings(Resources(2))
    assert (one.name, two.name) == ("1x2", "2x1")
    assert Jax().build_depends_on(one) != Jax().build_depends_on(two), "what is compiled is for so many threads"
    assert Jax().precisions("cpu") == ("fp32",)
    assert Jax().precisions("cuda") == ("fp32", "bf16")
