"""Apache Otava's change points, found by its own code in an environment that uv makes for it once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bakeoff.backends import Unavailable
from bakeoff.workloads import apart

OTAVA = "apache-otava==0.8.0"
LIMIT_S = 600.0
_SCRIPT = Path(__file__).with_name("otava_script.py")


def change_points(series: Sequence[Sequence[float]], most_p: float) -> list[list[dict[str, Any]]]:
    """For each series its change points with a p of at most `most_p`: place, p, and the means before and after.

    Raises Unavailable where its environment cannot be made, and where Otava fails or does not end.
    """
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        asked, answer = Path(folder) / "asked.json", Path(folder) / "found.json"
        asked.write_text(json.dumps({"series": series, "most_p": most_p}, allow_nan=False), encoding="utf-8")
        try:
            apart.run(_SCRIPT, [str(asked), str(answer)], [OTAVA], {}, LIMIT_S)
            found: list[list[dict[str, Any]]] = json.loads(answer.read_text(encoding="utf-8"))
        except Unavailable as error:
            raise Unavailable(f"{OTAVA}: {error.reason}", error.remedy) from None
        except (RuntimeError, OSError, ValueError) as error:
            raise Unavailable(f"{OTAVA}: {error}", "ask again, or of fewer benchmarks") from None
    return found
