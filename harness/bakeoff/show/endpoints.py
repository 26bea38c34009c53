"""What to know of a server elsewhere: what it and its client take of the latency, and what cannot be seen of it."""

from __future__ import annotations

from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.show.numbers import clean, known, ms, number, percentile_name, shorten

SERVERS_PART = "the server and the wire"
"""What they are called where the page says what they take."""


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
    beside = (_server(one, verdict) for one in measured)
    return (*map(_client, measured), *filter(None, beside), f"{names}: {unseen}.")


def _server(one: Judgement, verdict: Verdict) -> str:
    """What serving costs beside the fastest engine here with the same model at the same precision; empty where there is
    none, or it is no faster."""
    alike = [
        (other.p50_ms, other.candidate)
        for other in verdict.candidates
        if not other.remote
        and (other.variant, other.precision) == (one.variant, one.precision)
        and other.p50_ms is not None
        and known(other.p50_ms)
    ]
    if not alike or one.p50_ms is None or one.client_ms is None or not known(one.p50_ms):
        return ""
    fastest_ms, fastest = min(alike)
    more_ms = one.p50_ms - fastest_ms - one.client_ms
    if more_ms <= 0.0:
        return ""
    whole = f"of the {ms(one.p50_ms)} that a request takes before {shorten(one.candidate, 90)} (median)"
    engine = f"{shorten(fastest, 90)} in a process of this machine takes {ms(fastest_ms)}"
    return f"{whole[0].upper()}{whole[1:]}, {engine}, {SERVERS_PART} {ms(more_ms)}."


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
