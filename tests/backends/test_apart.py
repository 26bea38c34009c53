"""No plugin changes another: an engine is imported, and sets what it sets, in children alone."""

import os
import sys

import pytest

from bakeoff.backends import Resources, registered
from bakeoff.contest.probing import ask_backend
from bakeoff.measure.engine_room import Probed

ENGINES = ("onnxruntime", "openvino", "torch", "jax", "tensorflow", "tvm", "ai_edge_litert", "executorch", "MNN")


@pytest.mark.engines
@pytest.mark.slow
def test_asking_every_backend_leaves_this_process_as_it_was():
    before, imported = dict(os.environ), {name for name in ENGINES if name in sys.modules}
    answers = {name: ask_backend(point.value, "cpu", Resources(1)) for name, point in registered().items()}
    assert any(isinstance(answer, Probed) for answer in answers.values())
    assert dict(os.environ) == before
    assert {name for name in ENGINES if name in sys.modules} == imported
