"""What a person types wrongly is one line that says what would be right, and exit 2; nothing is written."""

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml"),
        (("run", "nowhere.onnx", "--qps", "5", "--p99", "20ms"), "nowhere.onnx"),
        (("run", "model.onnx", "--qps", "5", "--p99", "20"), "p99"),
        (("run", "model.onnx", "--qps", "-5", "--p99", "20ms"), "qps"),
        (("run", "model.onnx", "--qps", "nan", "--p99", "20ms"), "qps"),
        (("run", "model.onnx", "--qps", "most", "--p99", "20ms"), "or max"),
        (("run", "model.onnx", "--budget", "soon"), "--budget"),
        (("run", "model.onnx", "--backend", "onnxruntimes"), "onnxruntime"),
        (("run", "--resume", "latest", "model.onnx"), "--resume"),
        (("run", "--resume", "latest"), "bakeoff.db"),
        (("run", "model.onnx", "--versus", "onnxruntime=1.30"), "must be a requirement such as onnxruntime==1.30.0"),
        (
            ("run", "model.onnx", "--versus", "onnxruntime==1.30.0", "--versus", "onnxruntime-gpu==1.30.0"),
            "onnxruntime-gpu==1.30.0: would be onnxruntime@1.30.0, as another one is; name it yourself",
        ),
        (("run", "model.onnx", "--versus", "leftpad==1"), "no installed backend needs that project"),
        (("verdict", "--fail-on", "rain"), "infeasible"),
        (("verdict", "--store", "none.db"), "none.db"),
        (("plan", "--store", "none.db", "--fleet-qps", "1M"), "none.db"),
        (("run",), "bakeoff init"),
        (("selftest", "--against", "wrk"), "bakeoff: --against wrk: unknown; it takes loadgen"),
        (("selftest", "--service", "fast"), "bakeoff: --service fast: must be a duration with its unit"),
        (("selftest", "--service", "2s"), "bakeoff: --service: must be from 0.1ms to 10ms"),
        (("selftest", "--repeats", "3"), "bakeoff: --repeats: goes with --against loadgen"),
        (
            ("run", "model.onnx", "--export", "mlperf", "logs", "--dry-run"),
            "bakeoff: --export: writes what was measured",
        ),
        (("export", "--format", "csv", "--to", "logs"), "bakeoff: --format csv: unknown; it takes mlperf"),
        (("run", "model.onnx", "--export", "csv", "logs"), "bakeoff: --export csv: unknown; it takes mlperf"),
    ],
)
def test_bad_input_is_one_clear_line_and_writes_nothing(words, said, command, tiny_prepared, tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())
    monkeypatch.chdir(tmp_path)
    (line,) = command(*words, code=2).splitlines()
    assert said in line
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
