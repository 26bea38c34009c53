import pytest

from bakeoff.selftest.bench import Bench


@pytest.fixture
def bench(tmp_path):
    """A place for the calibrated service on this machine's CPUs."""
    return Bench.here(tmp_path)
