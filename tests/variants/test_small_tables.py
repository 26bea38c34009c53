import pytest
import torch

from bakeoff.variants import tensor_train
from bakeoff.variants.small_tables import LARGEST_PRODUCT, ComposedEmbedding, HashedEmbedding
from bakeoff.variants.tensor_train import TensorTrainEmbedding

IDS = torch.arange(1200).reshape(40, 30)


@pytest.fixture
def weight() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(1200, 16)


@pytest.mark.parametrize(
    "make",
    [
        lambda weight: HashedEmbedding(weight, 1300),
        lambda weight: ComposedEmbedding(weight, 1201),
        lambda weight: TensorTrainEmbedding(weight, 1200),
    ],
    ids=["hashed", "composed", "train"],
)
def test_a_table_of_full_size_is_the_same(weight, make) -> None:
    table = make(weight)
    assert (table.num_embeddings, table.embedding_dim) == (1200, 16)
    torch.testing.assert_close(table(IDS), weight[IDS], atol=1e-4, rtol=1e-4)
    assert table(IDS[0]).shape == (30, 16)


def test_hashed_ids_are_spread_over_all_rows(weight) -> None:
    places = HashedEmbedding(weight, 300).places(IDS.flatten())
    counts = places.bincount(minlength=300)
    assert len(counts) == 300
    assert counts.min() >= 1
    assert counts.max() <= 8


def test_a_hashed_row_is_the_mean_of_its_ids(weight) -> None:
    table = HashedEmbedding(weight, 300)
    same = table.places(torch.arange(1200)) == table.places(torch.tensor(7))
    torch.testing.assert_close(table(torch.tensor([7]))[0], weight[same].mean(0))


@pytest.mark.parametrize("ids", [1200, 100_000, 3_000_000])
def test_hashes_stay_within_32_bits(ids) -> None:
    table = HashedEmbedding(torch.zeros(ids, 1), 500)
    assert table.factor * (ids - 1) <= LARGEST_PRODUCT


def test_a_sum_of_two_tables_is_found_again() -> None:
    torch.manual_seed(0)
    remainders, quotients, ids = torch.randn(500, 4), torch.randn(3, 4), torch.arange(1200)
    table = ComposedEmbedding(remainders[ids % 500] + quotients[ids // 500], 503)
    torch.testing.assert_close(table(ids), remainders[ids % 500] + quotients[ids // 500], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("rows", "kept"), [(600, 600), (120, 120), (70, 70), (20, 70)])
def test_a_composed_table_has_the_rows_asked_for_or_the_fewest(weight, rows, kept) -> None:
    table = ComposedEmbedding(weight, rows)
    assert kept - 2 <= table.remainders.num_embeddings + table.quotients.num_embeddings <= kept


def test_a_tensor_of_low_rank_is_found_again() -> None:
    torch.manual_seed(0)
    made = TensorTrainEmbedding(torch.randn(1000, 16), 3)
    again = TensorTrainEmbedding(made(torch.arange(1000)).detach(), 3)
    torch.testing.assert_close(again(torch.arange(1000)), made(torch.arange(1000)), atol=1e-4, rtol=1e-4)
    assert sum(core.weight.numel() for core in again.cores) < 16_000 / 10


@pytest.mark.parametrize(("ids", "width", "rank"), [(1200, 16, 4), (5000, 7, 200), (32_266, 32, 16), (1000, 1, 2)])
def test_the_size_of_a_train_is_known_beforehand(ids, width, rank) -> None:
    table = TensorTrainEmbedding(torch.randn(ids, width), rank)
    assert sum(core.weight.numel() for core in table.cores) == tensor_train.numbers(ids, width, rank)


def test_small_tables_are_left(dlrm, compress, bench) -> None:
    for recipe, fact in (("hash-embed:0.5", "hashed"), ("compose-embed:0.5", "composed"), ("tt-embed:4", "trains")):
        small = compress(dlrm, recipe)
        assert bench.facts[fact] == "tables.0, tables.1, tables.2, tables.6, tables.7"
        assert [type(small.tables[i]) for i in (3, 4, 5)] == [torch.nn.Embedding] * 3
