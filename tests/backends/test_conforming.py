"""Every registered backend passes the conformance suite."""

import pytest

from bakeoff.backends import registered
from bakeoff.conformance import run

FEWEST = {"endpoint": 5, "executorch": 25, "litert": 40, "mnn": 30, "tensorrt": 5}
"""Checks that there must be more of than this: an engine that is not here has few."""


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("name", registered())
def test_it_conforms(name):
    checks = run(name)
    assert [check for check in checks if not check.ok] == []
    assert len(checks) > FEWEST.get(name, 15), checks
