"""What decides how soon an engine answers: evidence is told apart by it."""

from __future__ import annotations

from bakeoff.measure import host


def cpu() -> str:
    """The CPU here, and the instruction sets that decide what is the soonest on it."""
    return f"{host.cpu_model()}: {' '.join(host.cpu_flags())}"
