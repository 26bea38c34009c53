"""What a backend says of itself in a child process: whatever goes wrong there is an answer with a remedy."""

import os
from pathlib import Path

import pytest

from bakeoff.backends import Resources, registered
from bakeoff.contest.probing import ask_backend
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.worker import _installing

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
