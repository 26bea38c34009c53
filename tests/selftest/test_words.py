"""What a person types wrongly is one line and exit 2."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bakeoff import api, cli
from bakeoff.show.mlperf import Written


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["selftest", "--against", "wrk"], "bakeoff: --against wrk: unknown; it takes loadgen"),
        (["selftest", "--service", "fast"], "bakeoff: --service fast: must be a duration with its unit"),
        (["selftest", "--service", "2s"], "bakeoff: --service: must be from 0.1ms to 10ms"),
        (["selftest", "--repeats", "3"], "bakeoff: --repeats: goes with --against loadgen"),
        (
            ["run", "model.onnx", "--export", "mlperf", "logs", "--dry-run"],
            "bakeoff: --export: writes what was measured",
        ),
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


@pytest.mark.parametrize(
    ("command", "err"), [(["export", "--to", "logs"], False), (["run", "m.onnx", "--export", "mlperf", "logs"], False),
                         (["run", "m.onnx", "--export", "mlperf", "logs", "--json"], True)],
)  # fmt: skip
def test_what_was_exported_and_what_was_not_is_told(command, err, monkeypatch):
    monkeypatch.setattr(api, "run", lambda *_, **__: Stored())
    monkeypatch.setattr(api, "load", lambda *_: Stored())
    monkeypatch.setattr(cli.measuring, "show", lambda *_: None)
    told = CliRunner().invoke(cli.app, command)
    assert told.exit_code == 0, told.output
    left_out = "left out, with no block under the scenario's load: ctr: b, ctr: c"
    assert told.stderr.splitlines()[-1] == left_out
    assert ("wrote logs/ctr/a" in told.stderr.splitlines()) is err
    assert ("wrote logs/ctr/a" in told.stdout.splitlines()) is not err


class Stored:
    """A run as the command line sees it."""

    def report(self):
        return "reports/r/index.html"

    def verdict(self):
        return ()

    def export_mlperf(self, folder):
        return Written((folder / "ctr" / "a",), ("ctr: b", "ctr: c"))
