"""What to know of a server elsewhere: what its client takes of the latency, and what cannot be seen of it."""

from __future__ import annotations

from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.show.numbers import clean, known, ms, number, percentile_name, shorten


def client_words(one: Judgement) -> str:
    """The percentile without the client's own time, such as "less client 10.8"; empty where either is unknown."""
    less_ms = _less_client_ms(one)
    return "" if less_ms is None else f"less client {number(less_ms)}"


def endpoint_words(verdict: Verdict) -> tuple[str, ...]:
    """A sentence on each server that was measured, and one on what cannot be seen of them; () where there is none."""
    measured = [one for one in verdict.candidates if one.remote and one.client_ms is not None]
    if not measured:
        return ()
    names = ", ".join(dict.fromkeys(clean(one.backend) for one in measured))
    unseen = "CPU time, memory, threads and start are not observable from here; the precision is as the scenario says"
    return (*map(_client, measured), f"{names}: {unseen}.")


def _client(one: Judgement) -> str:
    """How much of the latency is the client's."""
    words = f"{shorten(one.candidate, 90)}: its client takes {ms(one.client_ms)} a request by itself (median)"
    less_ms = _less_client_ms(one)
    if less_ms is None:
        return f"{words}."
    return f"{words}, so that {percentile_name(one.percentile)} {ms(one.p99_ms)} is {ms(less_ms)} without it."


def _less_client_ms(one: Judgement) -> float | None:
    if one.p99_ms is None or one.client_ms is None or not known(one.p99_ms):
        return None
    return max(0.0, one.p99_ms - one.client_ms)
