"""The technique that CONTRIBUTING.md shows: it is the one in tests/example_technique, and it works."""

import io
import tomllib
from dataclasses import fields
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from bakeoff import variants
from bakeoff.backends import Unsupported
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench
from bakeoff.workloads import recipes

from .models import CASES, ITEMS, answer

TESTS = Path(__file__).parents[1]
CONTRIBUTING = TESTS.parent / "CONTRIBUTING.md"
EXAMPLE = TESTS / "example_technique"


@pytest.fixture
def plugin(monkeypatch):
    """The example as if it were installed."""
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    found = {
        name: EntryPoint(name, value, variants.ENTRY_POINT_GROUP)
        for name, value in points[variants.ENTRY_POINT_GROUP].items()
    }
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setattr(variants, "registered", lambda: found)


def applied(recipe, bench):
    (technique,) = variants.techniques(Recipe.parse(recipe))
    return technique.apply(CASES["sasrec"].module(), bench).eval()


def held_bytes(module):
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def test_the_guide_shows_its_files_its_entry_point_and_all_that_a_bench_has():
    guide = CONTRIBUTING.read_text(encoding="utf-8")
    for source in sorted(EXAMPLE.glob("*/*.py")):
        assert f"```python\n{source.read_text(encoding='utf-8')}```" in guide
    project = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("\n\n")[2]
    assert section.startswith('[project.entry-points."bakeoff.variants"]')
    assert section in guide
    named = [row.split("`")[1].partition("(")[0] for row in guide.splitlines() if row.startswith("| `")]
    assert {field.name for field in fields(Bench)} <= {*named}


def test_it_is_listed_and_its_parameter_checked(plugin):
    assert variants.listed() == [("embed-fp16:64", "store embedding tables as fp16")]
    for recipe, said in [("embed-fp16:0", "rows must be from 1 on, not 0"), ("embed-fp16:x", "must be a whole number")]:
        with pytest.raises(ValueError, match=said):
            variants.techniques(Recipe.parse(recipe))
    assert recipes.made_name("embed-fp16:100") != recipes.made_name("embed-fp16:200")


def test_it_makes_a_model_that_is_smaller_answers_alike_and_is_kept_and_exported(plugin, tmp_path):
    base, bench = CASES["sasrec"].module(), CASES["sasrec"].bench()
    small = applied("embed-fp16:100", bench)
    assert bench.facts == {"fp16_tables": 1}
    assert held_bytes(base) - held_bytes(small) == ITEMS * 32 * 2
    assert torch.allclose(answer("sasrec", small), answer("sasrec", base), atol=1e-2)
    CASES["sasrec"].export(small, tmp_path)
    kept = io.BytesIO()
    torch.save(small, kept)
    kept.seek(0)
    again = torch.load(kept, weights_only=False)
    assert torch.equal(answer("sasrec", again), answer("sasrec", small))


def test_a_model_without_such_a_table_is_told(plugin):
    with pytest.raises(Unsupported, match=f"no embedding table of {ITEMS + 1} rows or more"):
        applied(f"embed-fp16:{ITEMS + 1}", CASES["sasrec"].bench())
