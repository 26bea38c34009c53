"""Figures for people."""

import math

import pytest

from bakeoff.show import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.012345, "0.0123"), (1.2345, "1.23"), (12.345, "12.3"), (99.96, "100"), (123.45, "123"),
        (1234.5, "1,230"), (1_234_567, "1,230,000"), (-0.0042, "-0.00420"), (1e-9, "0.00000000100"),
        (None, "–"), (math.nan, "–"), (math.inf, "–"),
    ],
)  # fmt: skip
def test_a_number_has_three_significant_digits(value, text):
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.35, "350 ms"), (4.23, "4.2 s"), (60, "1 min"), (125, "2 min 5 s"), (12_000, "3 h 20 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_has_the_units_people_use(seconds, text):
    assert numbers.duration(seconds) == text


def test_an_absent_figure_is_a_dash_and_never_zero():
    shown = [show(None) for show in (numbers.ms, numbers.percent, numbers.change, numbers.size, numbers.duration)]
    assert shown == ["–"] * 5
    assert numbers.interval(None, 1.0) == ""


def test_units_and_signs():
    assert numbers.percent(0.0213) == "2.1 %"
    assert numbers.percent(-0.3, signed=True) == "-30 %"
    assert numbers.percent(0.3, signed=True) == "+30 %"
    assert numbers.change(0.00123) == "+0.0012"
    assert numbers.change(-8.4e-10) == "0"
    assert numbers.size(37_400_000) == "37.4 MB"
    assert numbers.size(12) == "12.0 B"
    assert numbers.exact(20.0) == "20"
    assert numbers.percentile_name(99.9) == "p99.9"
    assert numbers.money(1234.0, "USD") == "1,230 USD"


def test_an_interval_has_one_precision():
    assert numbers.interval(9.51, 10.94) == "9.5–10.9"
    assert numbers.interval(-0.9, 3.1) == "-0.90 to 3.10"
    assert numbers.interval(0, 0) == "0–0"


def test_clean_leaves_one_printable_line():
    assert numbers.clean("a\nb\x1b[31m\u202e\x00") == "a b�[31m��"
    assert numbers.shorten("x" * 50, 11) == "xxxxxx…xxxx"
