"""A server from the command line to the page, beside an engine of this process, and its secret nowhere."""

import os
import subprocess
import sys

import pytest
import yaml
from small_servers import running

import bakeoff

pytestmark = [pytest.mark.alone, pytest.mark.slow]
TOKEN = "a-secret-that-no-one-may-read"


def command(folder, *words, **environment):
    """What the command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff", *words],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return " ".join(done.stdout.split())


@pytest.fixture
def asked(tiny_prepared, tmp_path):
    """Writes a scenario of these servers beside the model that they serve."""
    (tmp_path / "model.onnx").write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())

    def write(endpoints):
        scenario = {
            "workload": "model.onnx",
            "traffic": {"kind": "server", "qps": 40, "batch_size": 4, "duration": "500ms"},
            "sla": {"p50": "1s"},
            "resources": {"cpus": 1},
            "candidates": {"backends": ["endpoint"], "endpoints": endpoints},
        }
        (tmp_path / "served.yaml").write_text(yaml.safe_dump(scenario))
        return tmp_path

    return write


SMALL = {"model": "ranker", "connections": 2, "cpus": 1, "headers": {"Authorization": "Bearer env:SHOP_TOKEN"}}


@pytest.mark.engines
def test_a_server_is_measured_judged_and_shown_and_its_token_is_nowhere(asked, tiny_score):
    with running(tiny_score, token=TOKEN) as server:
        folder = asked({"small": SMALL | {"url": f"http://127.0.0.1:{server.port}"}})
        command(folder, "run", "served.yaml", "--budget", "20s", SHOP_TOKEN=TOKEN)
    run = bakeoff.load(store=folder / "results" / "bakeoff.db")
    (verdict,) = run.verdict()
    (one,) = verdict.candidates
    assert one.candidate == "endpoint@small/fp32/c2"
    assert one.outcome in {"ok", "undecided"}
    assert one.remote
    assert 0 < one.client_ms < one.p50_ms
    assert one.memory_bytes is None
    assert run.table()["cpu_ms_per_request"].isna().all()
    for path in folder.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path


def test_a_server_that_cannot_be_measured_is_a_row_with_a_remedy(asked):
    url = {"url": "http://127.0.0.1:9"}
    folder = asked({"gone": {"model": "m"} | url, "locked": SMALL | url})
    told = command(folder, "run", "served.yaml", "--dry-run")
    assert "endpoint@gone/fp32/any" in told
    assert "refuses connections" in told
    assert "SHOP_TOKEN for its header Authorization is not set" in told
