"""Nights for the tests that show them."""

from dataclasses import replace

import pytest
from nights import NIGHT


@pytest.fixture
def night():
    """A benchmark of every status."""
    return NIGHT


@pytest.fixture
def hostile_night(night, hostile):
    """Every text attacks whoever shows it."""
    named = [
        replace(each, scenario=hostile, candidate=f"{hostile}{place}", reason=hostile, culprit=hostile)
        for place, each in enumerate(night.answers)
    ]
    return replace(
        night, answers=tuple(named), command=hostile, plan=(hostile,), night=hostile, pins={hostile: hostile}
    )


@pytest.fixture
def only(night):
    """The same night with other answers."""
    return lambda *answers, **more: replace(night, answers=answers, **more)
