"""What a person types wrongly is one line and exit 2."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["selftest", "--against", "wrk"], "bakeoff: --against wrk: unknown; it takes loadgen"),
        (["selftest", "--service", "fast"], "bakeoff: --service fast: must be a duration with its unit"),
        (["selftest", "--service", "2s"], "bakeoff: --service: must be from 0.1ms to 10ms"),
        (["export", "--format", "csv", "--to", "logs"], "bakeoff: --format csv: unknown; it takes mlperf"),
        (["run", "model.onnx", "--export", "csv", "logs"], "bakeoff: --export csv: unknown; it takes mlperf"),
    ],
)
def test_bad_input_is_one_line(words, complaint, tmp_path):
    command = [sys.executable, "-m", "bakeoff", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(complaint)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
