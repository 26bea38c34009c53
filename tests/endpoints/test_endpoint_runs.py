"""A server from the command line to the page, beside an engine of this process, and its secret nowhere."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from small_servers import running

pytestmark = [pytest.mark.alone, pytest.mark.slow]
TOKEN = "a-secret-that-no-one-may-read"


@pytest.fixture
def bakeoff(tmp_path):
    def run(*words, code=0, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "bakeoff", *words],
            cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done

    return run


def test_a_server_is_measured_judged_and_shown_and_its_token_is_nowhere(bakeoff, tiny_prepared, tiny_score, tmp_path):
    (tmp_path / "model.onnx").write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())
    with running(tiny_score, token=TOKEN) as server:
        named = {"url": f"http://127.0.0.1:{server.port}", "model": "ranker", "connections": 2, "cpus": 1}
        named |= {"headers": {"Authorization": "Bearer env:SHOP_TOKEN"}}
        asked = {
            "workload": "model.onnx",
            "traffic": {"kind": "server", "qps": 40, "batch_size": 4, "duration": "500ms"},
            "sla": {"p50": "1s"},
            "resources": {"cpus": 1},
            "candidates": {"backends": ["endpoint"], "endpoints": {"small": named}},
        }
        (tmp_path / "served.yaml").write_text(yaml.safe_dump(asked))
        told = bakeoff("run", "served.yaml", "--dry-run").stdout
        assert "SHOP_TOKEN" in told, "it says what is missing"
        bakeoff("run", "served.yaml", "--budget", "10s", SHOP_TOKEN=TOKEN)
    (answer,) = json.loads(bakeoff("verdict", "--json").stdout)["scenarios"]
    (one,) = answer["candidates"]
    assert one["candidate"] == "endpoint@small/fp32/c2"
    assert one["remote"]
    assert 0 < one["client_ms"] < one["p50_ms"]
    assert one["memory_bytes"] is None
    rows = json.loads(bakeoff("table", "--json").stdout)
    assert {row["cpu_ms_per_request"] for row in rows} == {None}
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path


def test_a_server_that_is_not_there_is_a_row_with_a_remedy(bakeoff, tiny_prepared, tmp_path):
    (tmp_path / "model.onnx").write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())
    asked = {
        "workload": "model.onnx",
        "traffic": {"kind": "single_stream"},
        "candidates": {"backends": ["endpoint"], "endpoints": {"x": {"url": "http://127.0.0.1:9", "model": "m"}}},
    }
    (tmp_path / "served.yaml").write_text(yaml.safe_dump(asked))
    told = " ".join(bakeoff("run", "served.yaml", "--dry-run").stdout.split())
    assert "endpoint@x/fp32/any" in told
    assert "refuses connections" in told


def test_bad_input_is_one_line_and_exit_2(bakeoff, tmp_path):
    asked = {
        "workload": "ctr-dlrm",
        "traffic": {"kind": "single_stream"},
        "candidates": {"endpoints": {"x": {"url": "http://shop", "model": "m", "headers": {"Authorization": TOKEN}}}},
    }
    (tmp_path / "served.yaml").write_text(yaml.safe_dump(asked))
    told = bakeoff("run", "served.yaml", "--dry-run", code=2).stderr
    assert "candidates.endpoints.x.headers.Authorization: must name an environment variable" in " ".join(told.split())
