"""What a variant gained is said in a few words wherever its row is."""

from dataclasses import replace

import pytest

from bakeoff.decide.judgement import Gain
from bakeoff.show import console, views
from bakeoff.show.markdown import markdown
from bakeoff.show.page import page

OVER = "onnxruntime/fp32/2x1"


def of(win, place, gain, **changed):
    """The verdict with another gain in one place, and what that place's row says."""
    judged = list(win.candidates)
    judged[place] = replace(judged[place], gain=gain, **changed)
    verdict = replace(win, candidates=tuple(judged), choice=judged[0])
    return verdict, views.rows(verdict)[place].why_not


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (None, ""),
        (Gain(OVER, "gain", "rounds", 0.123, 0.08, 0.15), "12 % cheaper than base (8.0 % to 15 %)"),
        (Gain(OVER, "none", "rounds", 0.01, -0.02, 0.04), "no measured gain over base"),
        (Gain(None, "not compared"), "not compared with base"),
    ],
)
def test_the_choice_says_what_it_gained(win, gain, words):
    assert of(win, 0, gain)[1] == words


@pytest.mark.parametrize(
    ("rounds", "base_rounds", "lacking"),
    [
        (6, 0, "base played no rounds"),
        (0, 6, "it played no rounds"),
        (0, 0, "neither played rounds"),
        (6, 1, "the two played too few rounds together"),
    ],
)
def test_a_gain_by_the_screen_alone_is_not_established(win, rounds, base_rounds, lacking):
    candidates = tuple(replace(one, rounds=base_rounds) if one.candidate == OVER else one for one in win.candidates)
    win = replace(win, candidates=candidates)
    cheaper = of(win, 0, Gain(OVER, "gain", "screen", 0.18), rounds=rounds)[1]
    assert cheaper == f"no gain over base established: 18 % cheaper in one screening block each, and {lacking}"
    assert "12 % dearer in one" in of(win, 0, Gain(OVER, "none", "screen", -0.12), rounds=rounds)[1]


def test_it_follows_the_reason_of_what_is_not_chosen(win):
    reason = win.candidates[1].reason
    assert of(win, 1, Gain(OVER, "none", "rounds", 0.0, -0.1, 0.1))[1] == f"{reason}; no measured gain over base"
    assert of(win, 1, Gain(OVER, "not compared"), outcome="eliminated")[1] == reason


def test_every_report_has_it(win, record, capsys):
    verdict, _ = of(win, 1, Gain(OVER, "none", "rounds", 0.0, -0.1, 0.1))
    console.render([verdict])
    for text in (capsys.readouterr().out, markdown(record, [verdict]), page(record, [verdict])):
        assert "no measured gain over base" in " ".join(text.split())
