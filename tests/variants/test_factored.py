import pytest
import torch
from torch import nn

from bakeoff.backends import Unsupported
from bakeoff.variants.factored import FactoredEmbedding, FactoredLinear, Factorisation


def test_full_rank_gives_the_layer_back() -> None:
    layer, rows = nn.Linear(12, 20), torch.randn(5, 12)
    outer, inner = Factorisation(layer.weight, rows.double().T @ rows.double()).factors(12)
    torch.testing.assert_close(FactoredLinear(inner, outer, layer.bias)(rows), layer(rows), rtol=1e-5, atol=1e-5)


def test_full_rank_gives_the_table_back() -> None:
    table, ids = nn.Embedding(50, 8), torch.arange(50).reshape(5, 10)
    narrow, wide = Factorisation(table.weight).factors(8)
    torch.testing.assert_close(FactoredEmbedding(narrow, wide.T)(ids), table(ids), rtol=1e-5, atol=1e-5)


def test_a_share_of_the_energy_is_a_rank() -> None:
    found = Factorisation(torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0])))
    assert [found.rank(share) for share in (0.5, 0.65, 0.9, 0.93, 0.999)] == [1, 2, 2, 3, 3]
    assert found.rank(2) == 2


def test_errors_in_outputs_are_least_where_inputs_are_large() -> None:
    torch.manual_seed(0)
    weight, rows = torch.randn(30, 20), torch.randn(500, 20) * torch.logspace(1, -2, 20)
    plain, aware = Factorisation(weight), Factorisation(weight, (rows.T @ rows).double() / 500)

    def error(found: Factorisation) -> float:
        outer, inner = found.factors(5)
        return float((rows @ (outer @ inner - weight).T).norm())

    assert error(aware) < 0.3 * error(plain)


@pytest.mark.parametrize(("error", "wanted"), [("outputs", "outputs"), ("weights", "weights")])
def test_facts_tell_ranks_and_what_was_fitted(dlrm, compress, bench, error, wanted) -> None:
    compress(dlrm, f"lowrank:16:error={error}")
    assert bench.facts == {"ranks": "top.0 16 of 52, top.2 16 of 128", "least_error_of": wanted}


def test_only_layers_that_gain_are_factored(dlrm, compress) -> None:
    small = compress(dlrm, "lowrank:40")
    kinds = [type(layer).__name__ for layer in (small.bottom[0], small.top[0], small.top[2], small.top[4])]
    assert kinds == ["Linear", "FactoredLinear", "FactoredLinear", "Linear"]


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("lowrank:500", "rank 500 is above every linear layer of the model; the largest has rank 128"),
        ("lowrank:100", "rank 100 saves nothing in any linear layer of the model; it pays up to rank 85"),
        ("lowrank-embed:17", "rank 17 is above every embedding table of the model; the largest has rank 16"),
        ("lowrank-embed:16", "rank 16 saves nothing in any embedding table of the model; it pays up to rank 15"),
    ],
)
def test_a_rank_that_gains_nothing_is_refused(dlrm, compress, recipe, says) -> None:
    with pytest.raises(Unsupported) as caught:
        compress(dlrm, recipe)
    assert str(caught.value) == says
