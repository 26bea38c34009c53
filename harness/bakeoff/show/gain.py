"""What compressing the model gained, in a few words."""

from __future__ import annotations

from bakeoff.decide.judgement import Judgement
from bakeoff.show.numbers import percent
from bakeoff.store.record import OK


def gain_words(one: Judgement) -> str:
    """What a variant gained over the base that is served alike; that it was not compared is said where it passed."""
    gain = one.gain
    if gain is None or (gain.outcome == "not compared" and one.outcome != OK):
        return ""
    if gain.outcome == "not compared":
        return "not compared with base"
    alone = " in the screening block alone" if gain.by == "screen" else ""
    if gain.outcome == "none":
        return f"no measured gain over base{alone}"
    return f"{percent(gain.value)} cheaper than base{alone or f' ({percent(gain.low)} to {percent(gain.high)})'}"
