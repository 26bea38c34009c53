"""Figures as people read them: three significant digits, thousands separators, a unit. An absent figure is a dash."""

from __future__ import annotations

import math
import unicodedata

ABSENT = "–"
_NO_CHANGE = 1e-6
_SECONDS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def known(value: float | None) -> bool:
    """Whether there is a finite figure to show."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits: 0.0123, 1.23, 12.3, 1,230. Never in exponents short of a trillionth."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, min(decimals, 12))}f}"


def unit(value: float | None, name: str) -> str:
    """`value` followed by its unit, a dash alone where there is none."""
    return f"{number(value)} {name}" if known(value) else ABSENT


def exact(value: float | None) -> str:
    """A figure that a person set (a limit, a rate): as it was written, 20 rather than 20.0."""
    return f"{value:,.10g}" if value is not None and math.isfinite(value) else ABSENT


def ms(value: float | None) -> str:
    """A latency in milliseconds."""
    return unit(value, "ms")


def percent(fraction: float | None, signed: bool = False) -> str:
    """A fraction as a percentage of two significant digits: 0.123 -> 12 %; with a sign where it is a change."""
    if fraction is None or not math.isfinite(fraction):
        return ABSENT
    sign = ("+" if fraction > 0 else "-" if fraction < 0 else "") if signed else "-" if fraction < 0 else ""
    return f"{sign}{number(abs(fraction) * 100, 3 if abs(fraction) >= 1 else 2)} %"


def percentile_name(percentile: float) -> str:
    """99.0 -> p99, 99.9 -> p99.9."""
    return f"p{percentile:g}"


def interval(low: float | None, high: float | None) -> str:
    """The ends of an interval in one precision, "13.1-15.2"; empty where either is unknown."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    decimals = _shared_decimals(low, high)
    ends = f"{round(low, decimals):,.{max(0, decimals)}f}", f"{round(high, decimals):,.{max(0, decimals)}f}"
    return "–".join(ends) if low >= 0 else " to ".join(ends)


def _shared_decimals(low: float, high: float) -> int:
    largest = max(abs(low), abs(high))
    return 0 if largest == 0 else min(12, 2 - math.floor(math.log10(largest)))


def change(value: float | None) -> str:
    """A difference with its sign: +0.0012, -0.0034, and 0 for what is below a millionth."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if abs(value) < _NO_CHANGE:
        return "0"
    return f"+{number(value, 2)}" if value > 0 else number(value, 2)


def size(value_bytes: float | None) -> str:
    """Bytes in decimal units: 12.3 MB."""
    if value_bytes is None or not math.isfinite(value_bytes):
        return ABSENT
    for scale, name in _BYTES:
        if abs(value_bytes) >= scale:
            return f"{number(value_bytes / scale)} {name}"
    return f"{number(value_bytes)} B"


def duration(seconds: float | None) -> str:
    """A length of time for people: 350 ms, 4.2 s, 2 min 5 s, 3 h 20 min."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 1:
        return f"{number(seconds * 1e3)} ms"
    if seconds < 60:
        return f"{number(seconds, 2)} s"
    return _long(round(seconds))


def _long(seconds: int) -> str:
    for (scale, name), (below, below_name) in zip(_SECONDS, (*_SECONDS[1:], (1.0, "s")), strict=True):
        if seconds >= scale:
            whole, rest = divmod(seconds, int(scale))
            parts = rest // int(below)
            return f"{whole} {name} {parts} {below_name}" if parts else f"{whole} {name}"
    return f"{seconds} s"


def money(amount: float | None, currency: str | None) -> str:
    """An amount of money: 12,300 USD."""
    return unit(amount, currency or "")


def clean(text: object) -> str:
    """`text` on one line without control characters: names and reasons come from files and engines."""
    return "".join(_printable(character) for character in str(text))


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in {"Cc", "Cf", "Cs"} else character


def shorten(text: object, limit: int) -> str:
    """`text` cleaned, cut in its middle to `limit` characters: the ends of a name tell more than its middle."""
    line = clean(text)
    if len(line) <= limit:
        return line
    head = (limit - 1) * 2 // 3
    return f"{line[:head]}…{line[len(line) - (limit - 1 - head) :]}"
