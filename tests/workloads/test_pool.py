from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.workloads import pool

SIZES = st.lists(st.tuples(st.integers(1, 5000), st.floats(0.01, 10)), min_size=1, max_size=6, unique_by=lambda s: s[0])


@settings(max_examples=60)
@given(SIZES, st.integers(1, 4096), st.integers(0, 4096), st.integers(0, 1 << 24))
def test_every_size_occurs_as_often_as_it_is_due(sizes, row_bytes, request_bytes, pool_bytes) -> None:
    total = sum(weight for _, weight in sizes)
    shares = [(rows, weight / total) for rows, weight in sizes]
    rows = pool.row_counts(shares, row_bytes, request_bytes, pool_bytes, np.random.default_rng(0))
    assert set(rows.tolist()) == {size for size, _ in sizes}
    for size, share in shares:
        assert abs((rows == size).sum() - share * len(rows)) <= len(sizes) + 1
    assert len(rows) <= pool.MOST_REQUESTS + len(sizes)


def test_a_pool_is_as_large_as_asked_and_no_request_is_large_enough_to_break_the_bounds() -> None:
    rng = np.random.default_rng(0)
    assert len(pool.row_counts([(10, 1.0)], 100, 0, 1 << 20, rng)) * 1000 >= 1 << 20
    assert len(pool.row_counts([(1, 1.0)], 4, 0, 10, rng)) == pool.FEWEST_REQUESTS
    assert len(pool.row_counts([(1000, 1.0)], 1 << 20, 0, 1 << 20, rng)) == 2


def test_twice_the_cache_or_twice_a_usual_one(monkeypatch, tmp_path: Path) -> None:
    size = tmp_path / "size"
    monkeypatch.setattr(pool, "_L3", size)
    assert pool.beyond_caches_bytes() == 64 << 20
    size.write_text("16384K\n")
    assert pool.beyond_caches_bytes() == 32 << 20
    size.write_text("600M\n")
    assert pool.beyond_caches_bytes() == pool.MOST_BYTES
    size.write_text("\n")
    assert pool.beyond_caches_bytes() == 64 << 20
