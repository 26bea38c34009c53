"""Where exported logs were written, and what was left out of them, is told."""

import pytest
from typer.testing import CliRunner

from bakeoff import api, cli
from bakeoff.show.mlperf import Written


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
