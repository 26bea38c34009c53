"""`pytest --bakeoff scenarios/`: each candidate that runs here as a pytest-benchmark item (docs/nightly.md).

pytest loads this in every run of whoever installed bakeoff: what it does waits in pytest_items until it is asked for.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """What turns it on, and where its candidates come from."""
    group = parser.getgroup("bakeoff")
    group.addoption(
        "--bakeoff", action="store_true", help="Collect scenario files (.yaml): each candidate is a benchmark."
    )
    group.addoption("--bakeoff-run", metavar="RUN", help="Only what passed every gate of this run: latest, or its id.")
    group.addoption("--bakeoff-store", metavar="STORE", help="The run's store. Default: results/bakeoff.db.")


def pytest_configure(config: pytest.Config) -> None:
    """Bring in the rest where it was asked for."""
    if not config.getoption("bakeoff"):
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("--bakeoff needs pytest-benchmark: pip install 'bakeoff[pytest]'")
    from bakeoff import pytest_items

    config.pluginmanager.register(pytest_items, "bakeoff-items")
