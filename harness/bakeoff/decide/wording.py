"""Figures and sentences as a colleague would say them."""

from __future__ import annotations

from bakeoff.candidates import BASE, Candidate
from bakeoff.decide.compare import Interval

_DAY_S = 86_400.0


def percent(fraction: float) -> str:
    """A fraction as 41 %, small ones with decimals: 1.2 %, 0.15 %."""
    value = 100.0 * fraction
    if abs(value) >= 9.95:
        return f"{value:,.0f} %"
    return f"{value:.1f} %" if abs(value) >= 0.995 or value == 0.0 else f"{value:.2g} %"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def named(candidate: Candidate) -> str:
    """Such as "onnxruntime int8-dynamic (1x1)", with a variant or device that is not the usual one."""
    parts = [candidate.backend, candidate.precision]
    parts += [candidate.variant] if candidate.variant != BASE else []
    parts += [f"on {candidate.device}"] if candidate.device != "cpu" else []
    return f"{' '.join(parts)} ({candidate.setting.name})"


def milliseconds(value: float) -> str:
    """Three figures at most: 8.12, 81.2, 812."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def whole(value: float) -> str:
    """A rate in three figures, without a power of ten: 26,000, 1,390, 44.4."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def seconds(value: float) -> str:
    """A rough time: 40 s, 12 min, 3 h."""
    if value < 120:
        return f"{max(1.0, value):.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def settling(needed_s: float, measuring: str = "measuring") -> str:
    """How much more measuring would settle what is open; beyond a day the figure says no more."""
    if needed_s > _DAY_S:
        return f"it would take more than a day of {measuring} to settle it"
    return f"about {seconds(needed_s)} more of {measuring} would settle it"


def money(amount: float, currency: str) -> str:
    """A yearly sum in whole units, below ten with cents."""
    return f"{amount:,.0f} {currency}" if amount >= 10 else f"{amount:.2f} {currency}"


def by_how_much(loss: Interval, more: str) -> str:
    """How much dearer (or what else is `more` of what counts) another is, with the interval."""
    return f"{percent(loss.value)} {more} ({percent(loss.low)} to {percent(loss.high)})"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
