"""Techniques of others: found by their entry points, of whatever style, and none that is broken hides the rest."""

import os
import subprocess
import sys

import pytest

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
from bakeoff.variants import Bench, Technique
"""
WHOLE = '''
@dataclass(frozen=True, slots=True)
class Whole(Technique):
    """Its annotations are classes, for want of `from __future__ import annotations`."""

    name: ClassVar[str] = "whole"
    about: ClassVar[str] = "all that it takes"
    rows: int = 64
    ratio: float = 0.5
    way: str = "up"

    def apply(self, module, bench):
        return module
'''
FAULTS = {
    "absent": ("import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    "mistyped": (f"{HEAD}\nclass Mistype(Technique): ...\n", "cannot be imported: AttributeError"),
    "unfinished": (HEAD + WHOLE.replace("def apply", "def aply").replace("Whole", "Unfinished"), "lacks apply"),
    "nameless": (HEAD + WHOLE.replace("    name", "    nom").replace("Whole", "Nameless"), "lacks name"),
    "plain": (
        HEAD + WHOLE.replace("@dataclass(frozen=True, slots=True)", "").replace("Whole", "Plain"),
        "is no dataclass",
    ),
    "stranger": ("class Stranger: ...\n", "is no bakeoff.variants.Technique"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages with a plugin that works and one for each fault."""
    folder = tmp_path_factory.mktemp("site")
    sources = {"whole": HEAD + WHOLE} | {name: source for name, (source, _) in FAULTS.items()}
    points = []
    for name, source in sources.items():
        (folder / f"plugin_{name}.py").write_text(source)
        points.append(f"{name} = plugin_{name}:{name.title()}")
    info = folder / "plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bakeoff.variants]\n" + "\n".join(points))
    return folder


@pytest.fixture(scope="module")
def bakeoff(site):
    def run(*words):
        path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, *words]
        return subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60
        )

    return run


def test_the_list_has_all_and_a_line_for_each_that_is_broken(bakeoff):
    done = bakeoff("-m", "bakeoff", "techniques")
    assert (done.returncode, done.stderr) == (0, "")
    told = " ".join(done.stdout.split())
    assert "whole:64:ratio=0.5:way=up all that it takes" in told
    assert "prune:RATIO:finetune=0.0 zero" in told
    for name, (_, reason) in FAULTS.items():
        assert f" {name} its plugin plugin_{name}:{name.title()} {reason}" in told


@pytest.mark.parametrize("name", ["absent", "unfinished"])
def test_a_recipe_that_names_a_broken_one_is_one_line(bakeoff, name):
    done = bakeoff("-m", "bakeoff", "quality", "ctr-dlrm", "--variants", f"base,{name}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"bakeoff: --variants: {name}: its plugin plugin_{name}:{name.title()} ")
    assert FAULTS[name][1] in line


def test_parameters_are_read_as_classes_say_too(bakeoff):
    text = "from bakeoff import variants; from bakeoff.scenario.recipe import Recipe; print(variants.techniques(Recipe."
    done = bakeoff("-c", f"{text}parse('whole:100000:ratio=1:way=2'))[0])")
    assert done.stdout.strip() == "Whole(rows=100000, ratio=1.0, way='2')", done.stderr
    refused = bakeoff("-c", f"{text}parse('whole:x')))")
    assert refused.stderr.strip().endswith("ValueError: whole:x: rows must be a whole number, not x")
