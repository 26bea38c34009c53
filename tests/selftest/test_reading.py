"""The truth by hand, and LoadGen's logs as it writes them."""

import numpy as np
import pytest

from bakeoff.measure.block import Block
from bakeoff.selftest import reading

MS = 1_000_000


def open_block(scheduled, sent, started, done):
    count = len(scheduled)
    stamps = [np.array(column, np.int64) * MS for column in (scheduled, sent, started, done)]
    return Block(
        "open", 1.0, np.zeros(count, np.int32), np.ones(count, np.int32), *stamps, wall_ns=int(stamps[3].max()),
        cpu_ns=0, facts={"generator_realtime": 0},
    )  # fmt: skip


def test_a_request_that_was_sent_late_is_late_in_the_report_and_not_in_the_truth():
    """Three requests of 10 ms each, due at 0, 5 and 100; the last is sent 7 ms late."""
    block = open_block([0, 5, 100], [0, 5, 107], [0, 10, 107], [10, 20, 117])
    read = reading.ours(block, asked_qps=25.0)
    assert (read.p50_ms, read.true_p50_ms) == (15.0, pytest.approx(10.0))
    assert (read.p99_ms, read.true_p99_ms) == (17.0, pytest.approx(15.0))
    assert read.p50_error_us == pytest.approx(5000)
    assert read.p99_error_us == pytest.approx(2000)
    assert (read.lateness_p50_us, read.lateness_p99_us) == (0.0, 7000.0)
    assert not read.realtime


def sample(number, scheduled_us, late_ns, done_ns):
    return (
        f'{{"name":"Sample","cat":"default","ph":"b","pid":372,"id":{number},"ts":{scheduled_us:.3f},"args":'
        f'{{"sample_seq":{number},"query_seq":{number},"sample_idx":0,"issue_start_ns":{late_ns},'
        f'"complete_ns":{done_ns}}}}},\n{{"name":"Sample","cat":"default","ph":"e", "pid":372,"id":{number},"ts":1}},\n'
    )


def test_loadgens_reading_is_of_its_own_schedule_and_percentiles(tmp_path):
    """Logged out of order, two requests of 10 ms: the second is due 5 ms after the first and waits 5 ms."""
    trace = sample(1, 4005000.25, 9000, 15 * MS) + sample(0, 4000000.25, 1000, 10 * MS)
    (tmp_path / "mlperf_log_trace.json").write_text('{"traceEvents":[\n' + trace)
    (tmp_path / "mlperf_log_summary.txt").write_text(
        "50.00 percentile latency (ns)   : 15100000\n99.00 percentile latency (ns)   : 15200000\n"
    )
    (tmp_path / "seen.json").write_text('{"issued_ns": [1, 2], "realtime": 1}')
    read = reading.loadgens(tmp_path, np.array([10 * MS, 10 * MS]), asked_qps=100.0)
    assert (read.p50_ms, read.p99_ms) == (15.1, 15.2)
    assert read.true_p50_ms == pytest.approx(15.0), "its median is the upper one: sorted[int(n / 2)]"
    assert read.p99_error_us == pytest.approx(200)
    assert (read.lateness_p50_us, read.lateness_p99_us) == (9.0, 9.0)
    assert read.offered_qps == pytest.approx(2 / 0.0075)
    assert read.realtime


def test_a_summary_without_the_percentile_is_refused(tmp_path):
    (tmp_path / "mlperf_log_trace.json").write_text(sample(0, 1, 1, 1))
    (tmp_path / "mlperf_log_summary.txt").write_text("")
    with pytest.raises(ValueError, match="no 50th percentile"):
        reading.loadgens(tmp_path, np.array([1]), 1.0)
