"""The table of measured and simulated waits, on made-up figures."""

import fleet

from bakeoff.decide.fleet.simulation import Served
from bakeoff.decide.sla import Percentile


def test_a_row_sets_the_simulated_beside_the_measured():
    simulated = Served(1, 500.0, 0.5, 1.5, 4.5, 0.1, 2.0)
    row = fleet.Row(2, 0.5, 500.0, 1.4, Percentile(5.0, 4.8, 5.3), simulated, late=3)
    told = [cell.strip() for cell in fleet.line("onnxruntime", row, "python x").strip("|").split("|")]
    assert told[1:4] == ["2", "50%", "500"]
    assert told[4:9] == ["1.40 ms", "1.50 ms", "5.00 ms (4.80 ms to 5.30 ms)", "4.50 ms", "-10%"]
    assert told[9] == "3"
    assert len(told) == len(fleet.TITLES)
    overloaded = fleet.Row(1, 0.99, 990.0, 80.0, Percentile(None, None, None), Served(1, 990.0, 0.99), 0)
    assert fleet.line("onnxruntime", overloaded, "python x").count("| - ") == 4
