"""Real processes beside themselves, in a few sessions."""

import math
from dataclasses import replace

import aa
import aa_record
import numpy as np
import pytest
from proofs.echo import echo_order

from bakeoff.nightly.session import BLOCKS, CALLS, Sides
from bakeoff.scenario import from_dict


@pytest.fixture
def sides(tmp_path):
    asked = {"name": "echo", "workload": "ctr-dlrm", "traffic": {"kind": "single_stream", "duration": "1s"}}
    now = echo_order(tmp_path)
    return Sides(from_dict(asked | {"resources": {"cpus": 1}}), now, replace(now, log=tmp_path / "baseline.log"))


@pytest.mark.engines
@pytest.mark.slow
def test_sessions_are_recorded_once_each_with_all_calls_of_both_sides(sides, tmp_path):
    file = tmp_path / "aa.csv"
    aa_record.record({"echo": sides}, 1, file)
    aa_record.record({"echo": sides, "again": sides}, 2, file)
    found = aa.read(file)
    assert [line.split(",")[:2] for line in file.read_text().splitlines()[1:]] == [
        ["echo", "1"],
        ["again", "1"],
        ["echo", "2"],
        ["again", "2"],
    ]
    for session in (*found["echo"], *found["again"]):
        blocks = [each.reshape(BLOCKS, CALLS) for each in (session.baseline, session.now)]
        quartiles = [np.percentile(each, 25, axis=1, method="lower") for each in blocks]
        assert session.change == pytest.approx(np.median(np.log(quartiles[1] / quartiles[0])), abs=1e-3)
        assert abs(session.change) < math.log(10)
    assert not np.array_equal(found["echo"][0].now, found["echo"][1].now)
