"""bakeoff: which inference engine, which compression and which settings should serve this model, for this traffic?

run = bakeoff.run("scenarios/ctr-ranking.yaml", budget="3m")
run.verdict(), run.table(), run.report()
bakeoff.load("latest").table()
bakeoff.join("cpu.db", "gpu.db"), bakeoff.compare("20261121", "latest")
bakeoff.pin("scenarios/ctr-ranking.yaml", reason="first choice"), bakeoff.check(budget="30m"), bakeoff.history()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bakeoff.api import Run, check, compare, history, join, load, pin, run, verify

__all__ = ["Run", "check", "compare", "history", "join", "load", "pin", "run", "verify"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The API, imported at first use: worker processes import this package and must stay small."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bakeoff import api

    return getattr(api, name)
