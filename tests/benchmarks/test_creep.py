"""The table of what the history's change points are worth, on few series."""

import creep
import pytest


@pytest.mark.slow
def test_a_row_says_how_many_series_have_a_change_point_and_where():
    step = next(case for case in creep.cases() if case.name.startswith("10 %") and case.at and not case.every)
    told = [cell.strip() for cell in creep.line(step, 0.014, 4).strip("|").split("|")]
    assert len(told) == len(creep.TITLES)
    assert told[1:6] == ["60", "never", "1.4%", "100.0%", "100.0%"]
    same = creep.line(creep.Case("identical code", (0.0,) * 20, 0), 0.014, 4)
    assert "| 0.0% | - |" in same
