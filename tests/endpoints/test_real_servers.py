"""Real servers from a scenario to a verdict, in each protocol that they speak: `pytest -m engines tests/endpoints`."""

import runpy
from pathlib import Path

import pytest

import bakeoff
from bakeoff.scenario import from_dict

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.alone]
started = runpy.run_path(str(Path(__file__).with_name("real_servers.py")))["started"]
SPOKEN = {
    "triton": ("v2-json", "v2-binary", "v2-grpc"),
    "kserve": ("v2-json", "v2-binary", "v2-grpc", "tf-serving"),
    "mlserver": ("v2-json", "v2-grpc"),
}
NOT_SPOKEN = {"mlserver": ("v2-binary",)}


def endpoint(protocol, ports):
    grpc = protocol == "v2-grpc"
    url = f"{'grpc' if grpc else 'http'}://127.0.0.1:{ports.grpc if grpc else ports.http}"
    return {"url": url, "protocol": protocol, "model": "ranker", "cpus": 1, "connections": 2}


def answered(model, ports, protocols):
    """The verdict on one server in these protocols, from the model alone."""
    asked = {
        "name": "served",
        "workload": str(model),
        "traffic": {"kind": "server", "qps": 20, "batch_size": 4, "duration": "1s"},
        "sla": {"p90": "2s"},
        "resources": {"cpus": 1, "memory": "1MiB"},
        "candidates": {
            "backends": ["endpoint"],
            "endpoints": {protocol: endpoint(protocol, ports) for protocol in protocols},
        },
    }
    run = bakeoff.run(from_dict(asked), budget="60s", store="runs.db")
    (verdict,) = run.verdict()
    return {one.backend.removeprefix("endpoint@"): one for one in verdict.candidates}, run


@pytest.mark.parametrize("name", SPOKEN)
def test_a_real_server_is_measured_in_every_protocol_that_it_speaks(name, tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model.onnx"
    model.write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())
    spoken, not_spoken = SPOKEN[name], NOT_SPOKEN.get(name, ())
    with started(name, model, tmp_path) as ports:
        found, run = answered(model, ports, (*spoken, *not_spoken))
    for protocol in spoken:
        one = found[protocol]
        assert one.requests > 0, (protocol, one.outcome, one.reason)
        assert one.outcome in {"ok", "eliminated", "undecided", "sla-missed", "not-reached"}, (protocol, one.reason)
        assert 0 < one.client_ms < one.p50_ms, protocol
        assert one.memory_bytes is None, "no budget of ours is held to it"
    for protocol in not_spoken:
        assert (found[protocol].stage, found[protocol].outcome) == ("build", "unsupported")
        assert "does not take the model's requests: HTTP " in found[protocol].reason
    assert "not observable" in run.report(tmp_path / "report").read_text(encoding="utf-8")
