"""Held-out examples as metrics see them."""

from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class Held:
    kind: str = "rows"
    labels: Any = None
    groups: Any = None
    queries: Any = None
    relevant: Any = None


@pytest.fixture
def held():
    return Held
