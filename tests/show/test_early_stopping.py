"""LoadGen's early stopping by its published figures, by the binomial it stands for, and by its own search."""

import pytest
from scipy import stats

from bakeoff.show.early_stopping import discarded, least_under


@pytest.mark.parametrize(("over", "queries"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010)])
def test_queries_needed_for_p99_are_loadgens(over, queries):
    assert least_under(over, 0.99) + over == queries


@pytest.mark.parametrize("share", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("over", [0, 3, 40])
def test_one_query_less_would_not_do(over, share):
    queries = least_under(over, share) + over
    assert stats.binom.cdf(over, queries, 1 - share) < 0.01 <= stats.binom.cdf(over, queries - 1, 1 - share)


@pytest.mark.parametrize("queries", [10, 64, 65, 66, 100, 1024, 3000])
def test_discarded_is_what_loadgens_loop_finds(queries):
    assert discarded(queries, 0.9) == by_loop(queries, 0.9)


def by_loop(queries, share):
    """EarlyStopping of loadgen/results.cc, line by line."""
    if queries < least_under(1, share) + 1:
        return None
    t = 1
    for i in range(2, queries + 1):
        if queries < least_under(i, share) + i:
            t = i - 1
            break
    return t - 1
