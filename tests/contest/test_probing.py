"""What a backend says of itself in a child process: whatever goes wrong there is an answer with a remedy."""

import os
from pathlib import Path

import pytest

from bakeoff.backends import Resources, registered
from bakeoff.contest.probing import Probes, ask_backend
from bakeoff.contest.reporter import Silent
from bakeoff.errors import UserError
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.worker import _installing
from bakeoff.scenario import from_dict

OFFENDERS = Path(__file__).parents[1] / "backends"


@pytest.fixture(autouse=True)
def _offenders(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(OFFENDERS), os.environ.get("PYTHONPATH", "")]))


def test_an_engine_that_breaks_in_its_probe_is_unavailable_and_its_row_holds_what_it_printed():
    found = ask_backend("offenders:Broken", "cpu", Resources(1))
    assert isinstance(found, StageFailed)
    assert (found.stage, found.outcome, found.remedy) == ("probe", "unavailable", "install its engine again")
    assert found.reason == "its probe fails: OSError: libengine.so: cannot open shared object file"
    assert "offenders.py" in found.facts["printed"], "the traceback"
    assert "log" not in found.facts, "the file is gone"


def test_the_remedy_is_the_extra_of_the_backends_name():
    told = {name: _installing(registered()[name].value) for name in ("openvino", "torch-compile", "endpoint")}
    assert told == {
        "openvino": "pip install 'bakeoff[openvino]'",
        "torch-compile": "pip install 'bakeoff[torch]'",
        "endpoint": "pip install 'bakeoff[endpoint]'",
    }


class Told(Silent):
    """Keeps the stages that it is told of."""

    def __init__(self):
        self.stages = []

    def stage(self, what):
        self.stages.append(what)


def test_only_the_backends_of_named_candidates_are_asked_unless_one_is_unknown():
    traffic = {"kind": "server", "qps": 100, "batch_size": 4}
    filters = {"backends": ["onnxruntime", "openvino"], "precisions": ["fp16", "fp32"]}
    scenario = from_dict(
        {"name": "asked", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "20ms"}, "candidates": filters}
    )
    told = Told()
    (entry,) = Probes(told).entries(scenario, ["base"], ["onnxruntime/fp32/1x1"])
    assert entry.candidate.id == "onnxruntime/fp32/1x1"
    assert told.stages == ["asking what they can do here: onnxruntime"]
    with pytest.raises(UserError, match="no such candidate; did you mean openvino/fp32/"):
        Probes(told).entries(scenario, ["base"], ["openvin/fp32/1x1"])
    assert told.stages[1:] == ["asking what they can do here: onnxruntime, openvino"]
