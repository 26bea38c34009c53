"""What compressing the model gained, in a few words."""

from __future__ import annotations

from collections.abc import Iterable

from bakeoff.decide.judgement import Gain, Judgement
from bakeoff.show.numbers import percent
from bakeoff.store.record import OK


def gain_words(one: Judgement, others: Iterable[Judgement]) -> str:
    """What a variant gained over the base that is served alike, one of the `others`; that it was not compared is said
    where it passed."""
    gain = one.gain
    if gain is None or (gain.outcome == "not compared" and one.outcome != OK):
        return ""
    if gain.outcome == "not compared":
        return "not compared with base"
    if gain.by == "screen":
        return f"no gain over base established: {_by_the_screen(gain, one, others)}"
    if gain.outcome == "none":
        return "no measured gain over base"
    return f"{percent(gain.value)} cheaper than base ({percent(gain.low)} to {percent(gain.high)})"


def _by_the_screen(gain: Gain, one: Judgement, others: Iterable[Judgement]) -> str:
    """What one block of each said, and why there is no more: the cost in the table may rest on other blocks."""
    saved = gain.value or 0.0
    cheaper = f"{percent(abs(saved))} {'cheaper' if saved >= 0 else 'dearer'} in one screening block each"
    base_played = any(each.rounds for each in others if each.candidate == gain.over)
    lacking = {
        (True, True): "the two played too few rounds together",
        (True, False): "base played no rounds",
        (False, True): "it played no rounds",
        (False, False): "neither played rounds",
    }
    return f"{cheaper}, and {lacking[bool(one.rounds), base_played]}"
