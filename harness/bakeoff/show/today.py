"""What serves today, and what the choice is better at, in words."""

from __future__ import annotations

from bakeoff.decide.judgement import Today, Verdict
from bakeoff.show import views
from bakeoff.show.numbers import exact, interval, known, money, ms, shorten


def today_words(verdict: Verdict) -> str:
    """What serves today, with its latency here and in production; empty where nobody said."""
    if verdict.incumbent is not None:
        one, known_of = verdict.incumbent, verdict.today
        there = known_of.production_p99_ms if known_of else None
        words = f"{shorten(one.candidate, 90)}, {views.tail_name(verdict)} {ms(one.p99_ms)}"
        return f"{words} here, p99 {ms(there)} in production" if there is not None else words
    figures = verdict.production
    if not figures:
        return ""
    cores = f" on {figures['cpus']} cores" if figures.get("cpus") else ""
    words = f"{shorten(figures.get('name', 'production'), 90)}: {exact(figures.get('qps'))} requests/s{cores}"
    return f"{words}, p99 {ms(figures['p99_ms'])}" if figures.get("p99_ms") else words


def saving_words(verdict: Verdict) -> str:
    """What the choice saves in a year and how much sooner it answers than what serves today, each with its interval;
    empty where neither is known."""
    today = verdict.today
    if today is None:
        return ""
    parts = []
    if known(today.yearly_saved):
        ends = interval(today.yearly_saved_low, today.yearly_saved_high)
        saved = today.yearly_saved or 0.0
        words = f"{money(abs(saved), verdict.currency)} a year {'less' if saved >= 0 else 'more'}"
        parts.append(f"{words} (saves {ends})" if ends else words)
    if known(today.sooner_ms):
        parts.append(_sooner_words(today, views.tail_name(verdict)))
    return f"Against {shorten(today.name, 90)}, which serves today: {', '.join(parts)}." if parts else ""


def _sooner_words(today: Today, tail: str) -> str:
    """The difference in the percentile, where it is told apart from none."""
    low, high, value = today.sooner_low_ms, today.sooner_high_ms, today.sooner_ms or 0.0
    apart = f"{tail} {ms(abs(value))} {'lower' if value >= 0 else 'higher'}"
    if low is None or high is None:
        return f"{apart} (without an interval)"
    if low <= 0.0 <= high:
        return f"{tail} not told apart ({interval(low, high)} ms lower)"
    return f"{apart} ({interval(*sorted((abs(low), abs(high))))})"
