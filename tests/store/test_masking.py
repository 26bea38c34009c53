"""What names a machine or its owner stays out of a run's texts; all else stays as it is."""

import platform
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakeoff.store.masking import mask, masked
from bakeoff.store.record import RunRecord, ScenarioRecord

SERVERS = {"a": {"url": "https://ranking.shop.example:8000"}, "b": {"url": "grpc://localhost:8001"}}


@pytest.fixture
def hide(monkeypatch):
    """For a person jo at ranker-07.shop.example."""
    monkeypatch.setattr(platform, "node", lambda: "ranker-07.shop.example")
    monkeypatch.setenv("LOGNAME", "jo")
    monkeypatch.setenv("HOME", "/home/jo doe")
    scenario = ScenarioRecord("ctr", {"candidates": {"endpoints": SERVERS}})
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return mask(RunRecord("r", at, None, "finished", "", {}, {}, None, 0, (scenario,)))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/srv/models/ranker.onnx", "/PATH/ranker.onnx"),
        ("/srv/Our Models/ranker.onnx", "/PATH/ranker.onnx"),
        ("/srv/Our Models/ranker.onnx: no such file", "/PATH/ranker.onnx: no such file"),
        ("bakeoff run '/srv/Our Models/ranker.onnx' --qps 5", "bakeoff run '/PATH/ranker.onnx' --qps 5"),
        ('File "/usr/lib/engine/build.py", line 3', 'File "/PATH/build.py", line 3'),
        ("c++ -I/opt/engine/include -o x", "c++ -I/PATH -o x"),
        ("LD_LIBRARY_PATH=/opt/a/lib:/opt/b/lib", "LD_LIBRARY_PATH=/PATH:/PATH"),
        ("cannot open sqlite:////data/team/runs.db now", "cannot open sqlite:////PATH/runs.db now"),
        ("see file:///data/team/log.txt", "see file:///PATH/log.txt"),
        ("lies in /home/jo doe", "lies in /PATH"),
        ("lies in /home/jo doe/models/x.onnx", "lies in /PATH/x.onnx"),
        ("Ranker-07 and ranker-07.shop.example", "HOST and HOST"),
        ("by jo, not by joanna", "by USER, not by joanna"),
        ("https://ranking.shop.example:8000 refused", "https://SERVER1:8000 refused"),
    ],
)
def test_paths_and_names_become_placeholders(hide, text, left):
    assert hide(text) == left
    assert hide(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "onnxruntime/fp32/1x1/prune:0.5/cuda:0",
        "300 requests/s and/or 2 cores",
        "scenarios/ctr-ranking.yaml",
        "../models/ranker.onnx",
        "https://example.com/v2/models",
        "/health",
        "grpc://localhost:8001",
    ],
)
def test_what_tells_nothing_stays(hide, text):
    assert hide(text) == text


PART = st.text("abcXYZ09_-+@", min_size=3, max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    folders=st.lists(PART, min_size=1, max_size=4),
    before=st.sampled_from(["", "cannot read ", "in '", "--model=", "[", "(see ", "a\n"]),
    after=st.sampled_from(["", "'", ", line 3", ": it is gone", ")", "\nb"]),
)
def test_no_folder_of_an_absolute_path_is_left(hide, folders, before, after):
    secret = ["q" + part for part in folders]
    value = masked({f"{before}/{'/'.join(secret)}/model.onnx{after}": ["x"]}, hide)
    (left,) = value
    assert not any(part in left for part in secret)
    assert left.startswith(f"{before}/PATH")
