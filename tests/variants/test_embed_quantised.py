"""Embedding tables as bytes: exact halves, small errors, the bytes claimed, and the same answers in every engine."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from bakeoff.backends import Model, Setting, Tensor, Unsupported, create, registered
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench, techniques
from bakeoff.variants.quantised_tables import Halves, Int4Table, Int8Table
from bakeoff.workloads import exporting
from bakeoff.workloads.dlrm import Dlrm

BENCH = Bench(examples=())
SIZES, WIDTH = (200, 3, 500), 32
INPUTS = (Tensor("dense", "float32", (None, 4)), Tensor("sparse", "int64", (None, len(SIZES))))
SHARES = {"embed-int8": 34 / 128, "embed-int4": 20 / 128}


def applied(name, module):
    (technique,) = techniques(Recipe.parse(name))
    return technique.apply(module, BENCH)


def tables(weight):
    return Int8Table.of(weight), Int4Table.of(weight, Halves())


def decoded(table):
    return table(torch.arange(table.num_embeddings))


def relative_error(table, weight):
    return float((decoded(table) - weight).norm() / weight.norm())


@pytest.fixture
def dlrm():
    torch.manual_seed(1)
    module = Dlrm(4, SIZES, WIDTH)
    for table in module.tables:
        nn.init.normal_(table.weight, 0.1, 0.3)
    return module.eval()


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    sparse = np.stack([rng.integers(0, size, 64) for size in SIZES], axis=1)
    return {"dense": rng.standard_normal((64, 4), np.float32), "sparse": sparse}


def test_bytes_become_exactly_the_halves_that_they_are():
    patterns = torch.arange(1 << 16, dtype=torch.int32)
    halves = patterns.to(torch.int16).view(torch.float16).float()
    told = Halves()((patterns >> 8).byte(), (patterns & 255).byte())
    finite = halves.isfinite()
    assert int(finite.sum()) == 63488
    assert torch.equal(told[finite], halves[finite])


@pytest.mark.parametrize("width", [8, 9, 32])
def test_errors_are_those_of_the_bits(width):
    weight = torch.randn(3000, width, generator=torch.Generator().manual_seed(2)) * torch.logspace(-3, 2, 3000)[:, None]
    int8, int4 = tables(weight)
    step = weight.abs().amax(1, keepdim=True) / 127
    assert ((decoded(int8) - weight).abs() <= 0.6 * step).all()
    low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    plain = ((weight - low) / (high - low) * 15).round() / 15 * (high - low) + low
    searched, rounded = ((each - weight).square().sum(1) for each in (decoded(int4), plain))
    assert searched.sum() < 0.9 * rounded.sum()
    assert (searched <= 1.05 * rounded).all()


def test_odd_rows_are_kept():
    """Of zeros, of one number, far from zero, of tiny numbers."""
    weight = torch.stack([torch.zeros(8), torch.full((8,), 0.75), 100 + torch.arange(8) / 8, torch.arange(8) * 1e-5])
    for table in tables(weight):
        assert torch.equal(decoded(table)[:1], weight[:1])
        assert (decoded(table) - weight).abs().amax(1)[1:].le(torch.tensor([5e-3, 0.5, 4e-6])).all()
    assert (decoded(tables(weight)[1])[2] - weight[2]).abs().max() < 0.07, "int4 has an offset for such rows"


def test_chunks_change_nothing(monkeypatch):
    weight = torch.randn(100, 16)
    whole = [decoded(table) for table in tables(weight)]
    monkeypatch.setattr("bakeoff.variants.quantised_tables.CHUNK_NUMBERS", 16 * 7)
    assert all(torch.equal(decoded(table), was) for table, was in zip(tables(weight), whole, strict=True))


def test_ids_of_any_shape():
    for table in tables(torch.randn(100, 16)):
        ids = torch.tensor([[3, 99], [0, 3], [7, 8]])
        assert table(ids).shape == (3, 2, 16)
        assert torch.equal(table(ids)[0, 1], decoded(table)[99])


@pytest.mark.parametrize("name", SHARES)
def test_large_tables_alone_are_replaced_and_take_what_is_claimed(name, dlrm):
    smaller = applied(name, copy.deepcopy(dlrm))
    assert isinstance(smaller.tables[1], nn.Embedding), "three rows are not worth it"
    for place in (0, 2):
        table = smaller.tables[place]
        assert (table.num_embeddings, table.embedding_dim) == (SIZES[place], WIDTH)
        assert not list(table.parameters())
        held = sum(each.nbytes for part, each in table.named_buffers() if not part.startswith("halves"))
        assert held == SHARES[name] * dlrm.tables[place].weight.nbytes
    again = pickle.loads(pickle.dumps(copy.deepcopy(smaller)))
    ids = torch.arange(5)
    assert torch.equal(again.tables[0](ids), smaller.tables[0](ids))


@pytest.mark.parametrize("name", SHARES)
def test_a_table_in_two_places_stays_one(name):
    table = nn.Embedding(100, 8)
    smaller = applied(name, nn.ModuleDict({"first": table, "second": table}))
    assert smaller["first"] is smaller["second"]
    assert not isinstance(smaller["first"], nn.Embedding)


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize(
    ("module", "says"),
    [(nn.Linear(8, 8), "no embedding table of at least 64 rows of 8"), (nn.Embedding(63, 8), "nothing to quantise")],
)
def test_models_without_large_tables_are_refused(name, module, says):
    with pytest.raises(Unsupported, match=says):
        applied(name, nn.Sequential(module))


class Scaled(nn.Embedding):
    """As language models have them."""

    def forward(self, ids):
        return super().forward(ids) * 8


@pytest.mark.parametrize("name", SHARES)
def test_a_table_that_does_more_than_look_up_is_left(name):
    with pytest.raises(Unsupported, match="nothing to quantise"):
        applied(name, nn.Sequential(Scaled(100, 8)))


@pytest.mark.parametrize("name", SHARES)
def test_numbers_beyond_halves_are_refused(name):
    table = nn.Embedding(64, 8, _weight=torch.full((64, 8), 1e8))
    with pytest.raises(Unsupported, match="too large for half-precision"):
        applied(name, nn.Sequential(table))


def test_it_takes_no_parameter():
    with pytest.raises(ValueError, match="embed-int4 takes no parameter"):
        techniques(Recipe.parse("embed-int4:0.5"))


@pytest.mark.engines
@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize(
    "engine", ["onnxruntime", "openvino", "torch", pytest.param("torch-compile", marks=pytest.mark.quality)]
)
@pytest.mark.slow
def test_engines_answer_as_the_module_does(name, engine, dlrm, rows, tmp_path):
    module = applied(name, dlrm)
    files = exporting.export(module, INPUTS, ("click",), rows, tmp_path)
    assert set(files) == {"onnx", "exported"}
    backend, setting, into = create(registered()[engine].value), Setting("1x1"), tmp_path / "built"
    into.mkdir()
    artifact = backend.build(Model(files, INPUTS, ("click",), [rows]), "fp32", setting, "cpu", into)
    session = backend.load(artifact, setting, "cpu")
    for count in (1, 7, 64):
        request = {key: np.ascontiguousarray(values[:count]) for key, values in rows.items()}
        wanted = exporting.run(module, INPUTS, ("click",), request)["click"]
        np.testing.assert_allclose(session.infer(request)["click"], wanted, atol=1e-5)
