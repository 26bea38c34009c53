import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.measure import assembly
from bakeoff.measure.block import NEVER, Block
from bakeoff.measure.traffic import poisson


def block(**changes) -> Block:
    ms = 1_000_000
    columns = {
        "request": np.array([3, 1, 2], np.int32),
        "items": np.array([10, 20, 30], np.int32),
        "scheduled_ns": np.array([0, 1, 2], np.int64) * ms,
        "sent_ns": np.array([0, 2, 2], np.int64) * ms,
        "started_ns": np.array([1, 3, 4], np.int64) * ms,
        "done_ns": np.array([5, 6, NEVER], np.int64) * np.array([ms, ms, 1]),
    }
    facts = {"threads": 2, "psi": 0.5, "first_error": "é"}
    rest = {"kind": "open", "offered_qps": 1000.0, "wall_ns": 10 * ms, "cpu_ns": 8 * ms, "facts": facts}
    return Block(**columns | rest | changes)


def test_figures_are_derived_from_the_stamps():
    measured = block()
    assert measured.latency_ms().tolist() == [5, 5, np.inf]
    assert measured.sent_latency_ms().tolist() == [5, 4, np.inf]
    assert measured.service_ms().tolist() == [4, 3, np.inf]
    assert measured.lateness_ms().tolist() == [0, 1, 0]
    assert measured.cpu_ms_per_request() == 4
    assert measured.throughput_items_per_s() == pytest.approx(3000)
    assert measured.error_rate() == pytest.approx(1 / 3)
    assert len(measured) == 3


def test_what_never_happened_never_flatters():
    nothing = block(done_ns=np.full(3, NEVER, np.int64), sent_ns=np.full(3, NEVER, np.int64))
    assert np.isinf(nothing.latency_ms()).all()
    assert np.isinf(nothing.lateness_ms()).all()
    assert np.isnan(nothing.cpu_ms_per_request())
    assert nothing.throughput_items_per_s() == 0
    assert block(wall_ns=0).throughput_items_per_s() == 0
    empty = np.empty(0, np.int64)
    none = block(
        request=empty.astype(np.int32), items=empty.astype(np.int32),
        scheduled_ns=empty, sent_ns=empty, started_ns=empty, done_ns=empty,
    )  # fmt: skip
    assert np.isnan(none.error_rate())
    assert len(Block.from_bytes(none.to_bytes())) == 0


def test_what_one_leg_found_the_whole_block_tells():
    ms = 1_000_000
    stamps = np.array([0, ms], np.int64)
    common = {"lanes": 1, "cpus": 1, "busy_threads": 1, "affinity_kept": 1, "steal": 0.0, "errors": 0}

    def leg(cpu_ms, wall_ms, **facts):
        done = np.array([ms, NEVER], np.int64)
        two = np.arange(2, dtype=np.int32)
        return Block("closed", None, two, two, stamps, stamps, stamps, done, wall_ms * ms, cpu_ms * ms, common | facts)

    quiet, odd = leg(50, 50), leg(100, 150, steal=0.2, errors=1, first_error="no", affinity_kept=0, worker_1_cpu_ns=7)
    facts = assembly.put_together([quiet, odd]).facts
    assert facts["steal"] == pytest.approx(0.15), "the mean by time"
    assert (facts["errors"], facts["first_error"], facts["affinity_kept"], facts["worker_1_cpu_ns"]) == (1, "no", 0, 7)
    assert assembly.put_together([quiet, odd]).done_ns.tolist() == [ms, NEVER, 51 * ms, NEVER]
    assert not facts["over_budget"]
    legs = [leg(90, 50, busy_threads=busy) for busy in (1, 3, 3)]
    assert not any(assembly.over_cpu(each.cpu_ns, each.wall_ns, 1) for each in legs), "each within the ticks' slack"
    facts = assembly.put_together(legs).facts
    assert (facts["busy_threads"], facts["over_threads"], facts["over_cpu"], facts["over_budget"]) == (3, 1, 1, 1)


@given(st.lists(st.lists(st.integers(-1, 2**62), min_size=6, max_size=6), max_size=20))
def test_bytes_bring_every_stamp_back(rows):
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    names = ("scheduled_ns", "sent_ns", "started_ns", "done_ns")
    stamps = {name: np.ascontiguousarray(columns[2 + i]) for i, name in enumerate(names)}
    kept = block(request=(columns[0] % 1000).astype(np.int32), items=(columns[1] % 1000).astype(np.int32), **stamps)
    back = Block.from_bytes(kept.to_bytes())
    for name in ("request", "items", *names):
        np.testing.assert_array_equal(getattr(back, name), getattr(kept, name))
        assert getattr(back, name).dtype == getattr(kept, name).dtype
    for name in ("kind", "offered_qps", "wall_ns", "cpu_ns", "facts"):
        assert getattr(back, name) == getattr(kept, name)


def test_bytes_are_compact():
    arrivals_ns = poisson(1000, 10, 1)
    rng = np.random.default_rng(2)
    sent_ns = arrivals_ns + rng.integers(0, 1000, len(arrivals_ns))
    started_ns = sent_ns + rng.integers(0, 30_000, len(arrivals_ns))
    request = np.arange(len(arrivals_ns), dtype=np.int32)
    big = block(
        request=request, items=request % 7, scheduled_ns=arrivals_ns, sent_ns=sent_ns, started_ns=started_ns,
        done_ns=started_ns + rng.integers(500_000, 900_000, len(arrivals_ns)),
    )  # fmt: skip
    assert len(big.to_bytes()) < 16 * len(big)


def long_block(count):
    stamps = np.arange(count, dtype=np.int64) * 1_000_003
    return block(
        request=np.arange(count, dtype=np.int32), items=np.ones(count, np.int32), scheduled_ns=stamps,
        sent_ns=stamps + 7, started_ns=stamps + 11_000, done_ns=stamps + np.arange(count) % 900_000 + 50_000,
    )  # fmt: skip


def test_packing_and_unpacking_take_no_second_copy_of_a_long_block():
    made = long_block(200_000)
    size = sum(column.nbytes for column in (made.request, made.items)) + 4 * made.done_ns.nbytes
    tracemalloc.start()
    packed = made.to_bytes()
    packing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    Block.from_bytes(packed)
    unpacking = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert packing < 0.6 * size + len(packed)
    assert unpacking < 1.4 * size


def test_a_damaged_block_is_refused():
    packed = long_block(2000).to_bytes()
    for damaged in (packed[:-1], packed[: len(packed) // 2], packed[:-4] + b"1234", packed[:-4]):
        with pytest.raises((ValueError, zlib.error)):
            Block.from_bytes(damaged)


def test_other_bytes_are_refused():
    with pytest.raises(ValueError, match="not a block"):
        Block.from_bytes(b"something else entirely")
    newer = bytearray(block().to_bytes())
    newer[4] = 9
    with pytest.raises(ValueError, match="format 9; this bakeoff reads format 1"):
        Block.from_bytes(bytes(newer))
