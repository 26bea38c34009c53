"""Costs in a unit that leaves readable figures."""

from dataclasses import replace

import pytest

from bakeoff.show.scale import readable


def cheap(verdict, factor):
    def scaled(one):
        return replace(one, cost=None if one.cost is None else one.cost * factor)

    return replace(verdict, candidates=tuple(map(scaled, verdict.candidates)), choice=scaled(verdict.choice))


def test_readable_costs_stay_as_they_are(win):
    assert readable(win) is win


@pytest.mark.parametrize(("factor", "name"), [(1e-4, "billion"), (1e-7, "trillion"), (1e-15, "trillion")])
def test_next_to_nothing_is_counted_for_more_items(every, factor, name):
    production = next(verdict for verdict in every if verdict.production)
    small = cheap(production, factor)
    shown = readable(small)
    times = 1e3 if name == "billion" else 1e6
    assert shown.cost_unit == f"USD per {name} items"
    assert shown.choice.cost == pytest.approx(small.choice.cost * times)
    assert shown.production["cost"] == pytest.approx(0.171 * times)
    assert shown.candidates[-1].cost is None


def test_without_costs_there_is_nothing_to_scale(win):
    free = replace(win, candidates=tuple(replace(one, cost=None) for one in win.candidates))
    assert readable(free) is free
