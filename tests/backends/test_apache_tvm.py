"""TVM: real models, indices from the end, threads, and what it says where it cannot."""

import json
from pathlib import Path

import numpy as np
import pytest
from engine_child import child

from bakeoff.backends import Resources, Setting, create
from bakeoff_backends.apache_tvm_schedule import cpu_name, tile_width

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.apache_tvm:ApacheTvm"
V3 = {"sse4_2", "ssse3", "popcnt", "cx16", "avx2", "bmi1", "bmi2", "fma", "f16c", "movbe", "abm"}
V4 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    child(str(HERE / "models.py"), str(folder))
    return folder


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("model", ["dlrm", "titles", "images"])
@pytest.mark.parametrize("threads", [1, 2])
def test_it_computes_real_models(models, tmp_path, model, threads):
    words = (str(models), str(tmp_path), model, str(threads))
    assert float(child(str(HERE / "tvm_trying.py"), "error", *words)) < 1e-5


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_every_layer_of_a_dlrm_is_scheduled(models, threads):
    """A schedule that does not fit falls back to loops that are twenty times slower, and says nothing."""
    scheduled = json.loads(child(str(HERE / "tvm_trying.py"), "scheduled", str(models), "dlrm", str(threads)))
    products = {name: done for name, done in scheduled.items() if "matmul" in name}
    assert len(products) >= 4
    assert [name for name, done in products.items() if not done] == []


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("case", ["last", "last_but_one", "tail", "to_the_last", "first_item", "keyword", "pairs"])
def test_indices_from_the_end_and_single_rows_are_right(tmp_path, case):
    assert float(child(str(HERE / "tvm_trying.py"), "index", str(tmp_path), case)) < 1e-6


@pytest.mark.engines
@pytest.mark.slow
def test_what_it_cannot_take_is_refused_with_the_operator(tmp_path):
    assert "aten.select.int with index -1" in child(str(HERE / "tvm_trying.py"), "refused", str(tmp_path), "last_item")
    assert "logcumsumexp.default" in child(str(HERE / "tvm_trying.py"), "refused", str(tmp_path), "no_such_operator")


@pytest.mark.engines
@pytest.mark.slow
def test_a_wrong_answer_is_refused_when_it_is_built(tmp_path):
    refusal = child(str(HERE / "tvm_trying.py"), "refused", str(tmp_path), "last", "as_it_is")
    assert refusal.startswith("TVM computes output score wrongly for 1 items")


@pytest.mark.engines
def test_a_machine_without_cuda_says_so():
    program = f"""
from bakeoff.backends import Unavailable, create
try:
    create("{TARGET}").probe("cuda")
except Unavailable as absent:
    print(absent.reason)
"""
    assert child("-c", program) == "TVM finds no CUDA device"


ON_A_GPU = """
import sys
from types import SimpleNamespace
import numpy as np, tvm
from bakeoff.backends import Unavailable
from bakeoff_backends import apache_tvm
tvm.target.Target.from_device = staticmethod(lambda place: place)
apache_tvm._cuda = lambda: SimpleNamespace(compute_version="9.0", device_name="NVIDIA Fake")
apache_tvm._one_and_one = lambda target, place: np.full(4, float(sys.argv[1]), np.float32)
try:
    print(apache_tvm.ApacheTvm().probe("cuda").version.partition("+")[2])
except Unavailable as absent:
    print(absent.reason)
"""


@pytest.mark.engines
@pytest.mark.parametrize(("answer", "told"), [("2", "sm_90"), ("3", "TVM computes 1 + 1 wrongly here")])
def test_on_a_gpu_the_probe_computes_too(answer, told):
    assert child("-c", ON_A_GPU, answer) == told


ABSENT = f"""
import sys
sys.modules["tvm"] = None
from bakeoff.backends import Unavailable, create
try:
    create("{TARGET}").probe("DEVICE")
except Unavailable as absent:
    print(absent.remedy)
"""


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it():
    assert child("-c", ABSENT.replace("DEVICE", "cpu")) == "pip install 'bakeoff[tvm]'"
    assert child("-c", ABSENT.replace("DEVICE", "abacus")) == "set resources.device: cpu or leave it out"


def test_settings_divide_the_cores_and_an_artifact_is_of_one_thread_or_of_several():
    backend = create(TARGET)
    settings = backend.settings(Resources(4))
    assert [setting.name for setting in settings] == ["1x4", "2x2", "4x1"]
    assert [backend.build_depends_on(setting)["parallel"] for setting in settings] == [True, True, False]
    assert backend.build_depends_on(Setting("x", threads=1)) == backend.build_depends_on(settings[-1])


@pytest.mark.parametrize(
    ("machine", "flags", "name"),
    [
        ("x86_64", V3 | V4, "x86-64-v4"),
        ("x86_64", V3 | V4 - {"avx512vl"}, "x86-64-v3"),
        ("x86_64", V4, "x86-64"),
        ("x86_64", set(), "x86-64"),
        ("aarch64", V3 | V4, "generic"),
    ],
)
def test_the_cpu_is_named_by_its_flags(machine, flags, name):
    assert cpu_name(machine, frozenset(flags)) == name


@pytest.mark.parametrize(
    ("width", "lanes", "expected"),
    [(64, 16, (16, 32)), (16, 16, (16, 16)), (36, 16, (4, 4)), (9, 16, (16, 16)), (3, 16, (4, 4)), (64, 8, (8, 16))],
)
def test_tiles_divide_the_columns_or_are_padded(width, lanes, expected):
    assert tile_width(width, lanes) == expected
    assert np.lcm(*expected) == expected[1]
