"""Durations, sizes, percents and money as a person writes them: a number and its unit, never a bare number.

Every function takes whatever YAML held and raises ValueError with a message that shows the right form.
"""

from __future__ import annotations

import re

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)"
_QUANTITY = re.compile(_NUMBER + r" ?([A-Za-zµ]{1,10})")
_PERCENT = re.compile(_NUMBER + r" ?%")
_RATE = re.compile(_NUMBER + r"([kM]?)")
_PRICE = re.compile(_NUMBER + r" ([A-Z]{3})/(core-hour|gpu-hour|host-hour)")

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"B": 1} | {
    prefix + unit: base**power
    for unit, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(us|ms|s|m|min|h)$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(B|[KMGT]i?B)$"
PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)? ?%$"
PRICE_PATTERN = r"^[0-9]+(\.[0-9]+)? [A-Z]{3}/(core-hour|gpu-hour|host-hour)$"

_LONGEST_S = 24 * 3600.0
_LONGEST_WAIT_S = 10.0
_LARGEST_BYTES = 1024**5
_HIGHEST_QPS = 1e9


def seconds(value: object) -> float:
    """Such as "20ms", "1.5s" or "2m", in seconds: above 0 and at most a day."""
    form = "must be a duration with its unit (us, ms, s, m or h), as in 20ms"
    duration_s = _quantity(value, _SECONDS, form)
    if not 0 < duration_s <= _LONGEST_S:
        raise ValueError("must be a duration above 0 and at most 24h, as in 20ms")
    return duration_s


def wait_ms(value: object) -> float:
    """Such as "2ms", in milliseconds: from 0 (no wait at all) to 10 seconds."""
    wait_s = _quantity(value, _SECONDS, "must be a duration with its unit (us, ms or s), as in 2ms")
    if wait_s > _LONGEST_WAIT_S:
        raise ValueError("must be from 0ms to 10s, as in 2ms")
    return round(wait_s * 1e3, 9)


def milliseconds(value: object) -> float:
    """Such as "20ms" or "1.5s", in milliseconds."""
    return round(seconds(value) * 1e3, 9)


def size_bytes(value: object) -> int:
    """Such as "2GiB" or "512MB", in bytes: above 0 and at most a pebibyte."""
    form = "must be a size with its unit (KB, MB, GB, TB, KiB, MiB, GiB or TiB), as in 2GiB"
    size = round(_quantity(value, _BYTES, form))
    if not 0 < size <= _LARGEST_BYTES:
        raise ValueError("must be a size above 0 and at most 1024TiB, as in 2GiB")
    return size


def fraction(value: object) -> float:
    """Such as "0.1%", as a fraction (0.001) from 0 to 1."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("must be a percentage with its sign, as in 0.1%")
    if float(match[1]) > 100:
        raise ValueError("must be from 0% to 100%, as in 0.1%")
    return round(float(match[1]) / 100, 15)


def rate(value: object) -> float:
    """Such as "12000", "12k" or "1M", in requests per second: above 0 and at most a billion."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    qps = float(match[1]) * {"": 1.0, "k": 1e3, "M": 1e6}[match[2]] if match else 0.0
    if not 0 < qps <= _HIGHEST_QPS:
        raise ValueError("must be requests per second above 0, as in 12000, 12k or 1M")
    return qps


def price(value: object) -> tuple[float, str, str]:
    """Such as "0.0416 USD/core-hour": the amount (above 0), the currency's three letters, and what it buys."""
    match = _PRICE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("must be money per core-hour, gpu-hour or host-hour, as in 0.0416 USD/core-hour")
    if float(match[1]) <= 0:
        raise ValueError("must be above 0, as in 0.0416 USD/core-hour")
    return float(match[1]), match[2], match[3]


def _quantity(value: object, units: dict[str, float] | dict[str, int], form: str) -> float:
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if not match or match[2] not in units:
        raise ValueError(form)
    return float(match[1]) * units[match[2]]
