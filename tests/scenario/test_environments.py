"""Environments in a scenario file: what a person may write, and one clear line for what not."""

import sys

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario.environment import named
from bakeoff.scenario.loading import from_dict, restore


def scenario(environments):
    traffic = {"kind": "server", "qps": 10}
    whole = {"name": "n", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "20ms"}}
    return from_dict(whole | {"candidates": {"environments": environments}})


def test_requirements_or_an_interpreter() -> None:
    both = {"onnxruntime@old": {"requirements": ["onnxruntime == 1.30.0"]}, "torch@mine": {"python": sys.executable}}
    asked = scenario(both)
    found = asked.candidates.environments
    assert found["onnxruntime@old"].requirements == ("onnxruntime==1.30.0",)
    assert found["torch@mine"].python == sys.executable
    assert restore(asked.definition(), "again").candidates.environments == found


@pytest.mark.parametrize(
    ("environments", "said"),
    [
        ({"onnxruntime": {"requirements": ["a"]}}, "must be a backend and a name of yours, as in onnxruntime@1.30"),
        ({"onnxruntime@old": {}}, "must have python (an interpreter's path) or requirements, one of the two"),
        ({"onnxruntime@old": {"requirements": ["a b"]}}, "a b: must be a requirement as pip takes it"),
        ({"onnxruntime@old": {"python": "nowhere/python"}}, "no such file (looked for "),
        ({"onnxruntime@old": {"python": sys.executable, "requirements": ["a"]}}, "one of the two"),
    ],
)
def test_what_is_wrong_is_one_line(environments, said) -> None:
    with pytest.raises(UserError) as error:
        scenario(environments)
    assert said in str(error.value)
    assert "candidates.environments" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("onnxruntime==1.30.0", "torch@1.30.0"),
        ("x<3,>=2.1", "torch@from-2.1-below-3"),
        ("x", "torch@newest"),
        ("x==1.*", "torch@1"),
    ],
)
def test_another_version_has_a_name(requirement, name) -> None:
    assert named("torch", requirement) == name
