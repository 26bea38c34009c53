import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide import wording
from bakeoff.decide.compare import Interval


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.41, "41 %"), (0.0123, "1.2 %"), (0.0015, "0.15 %"), (0.0, "0.0 %"), (12.5, "1,250 %"), (-0.2, "-20 %")],
)
def test_percent(fraction, text):
    assert wording.percent(fraction) == text


def test_figures():
    assert [wording.milliseconds(v) for v in (8.123, 81.23, 812.3, 8123.0)] == ["8.12", "81.2", "812", "8,123"]
    assert [wording.seconds(v) for v in (0.2, 40, 720, 10_800)] == ["1 s", "40 s", "12 min", "3.0 h"]
    assert wording.settling(720.0) == "about 12 min more of measuring would settle it"
    assert wording.settling(3e5, "measuring it") == "it would take more than a day of measuring it to settle it"
    assert [wording.money(v, "USD") for v in (8390.4, 1.5)] == ["8,390 USD", "1.50 USD"]
    assert wording.by_how_much(Interval(0.5, 0.4, 0.6), "dearer") == "50 % dearer (40 % to 60 %)"


def test_names_and_sentences():
    assert wording.named(Candidate("x", "int8", Setting("2x1"), "student", "cuda")) == "x int8 student on cuda (2x1)"
    assert [wording.listed(names) for names in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert wording.sentence("p99 is late") == "P99 is late."
