"""What hosts side by side come to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bakeoff.decide.across.break_even import BreakEven, Crossing
from bakeoff.decide.across.sides import Row, Side
from bakeoff.decide.court import CLOSE
from bakeoff.decide.wording import by_how_much, listed, named, percent, whole


def value(of: Any) -> str:
    """A field of a scenario as a person writes it, batch sizes as items with their shares; "none" where absent."""
    if of is None:
        return "none"
    if isinstance(of, list) and of and all(isinstance(each, list) and len(each) == 2 for each in of):
        sizes = [whole(items) if share == 1.0 else f"{whole(items)} ({percent(share)})" for items, share in of]
        return ", ".join(sizes)
    if isinstance(of, bool):
        return "yes" if of else "no"
    if isinstance(of, Mapping):
        return " ".join(f"{name} {value(each)}" for name, each in of.items())
    return ", ".join(map(value, of)) if isinstance(of, list) else f"{of:g}" if isinstance(of, float) else str(of)


def not_comparable(sides: Sequence[Side]) -> str:
    """Why the hosts' costs cannot be ranked; empty where they can: all have a price, in one currency."""
    unpriced = [each.host.name for each in sides if each.price is None]
    if len(unpriced) == len(sides):
        return "no host has a price, and an hour of one is not worth an hour of another"
    if unpriced:
        return f"{listed(unpriced)} {'have' if len(unpriced) > 1 else 'has'} no price, and others have one"
    currencies = {each.host.name: each.price.currency for each in sides if each.price}
    if len(set(currencies.values())) > 1:
        return f"the prices are in {listed([f'{money} on {name}' for name, money in currencies.items()])}"
    return ""


def headline(scenario: str, sides: Sequence[Side], best: Side | None, accepted: Sequence[Row], apart: str) -> str:
    """The cheapest host and candidate, and how sure that is, in a sentence."""
    if not accepted:
        return f"Nothing on any of these hosts can be recommended for {scenario}."
    if apart or best is None:
        return f"Not comparable: {apart}; {scenario} cannot be ranked on cost."
    opening = f"Cheapest for {scenario} is {_called(best, accepted[0])}"
    rivals = [row for row in accepted if row.host != best.host.name]
    if not rivals:
        return f"{opening}: on no other host did a candidate pass every gate."
    by_name = {each.host.name: each for each in sides}
    alike = [row for row in rivals if row.alike]
    if alike:
        return (
            f"{opening}, but it cannot be told apart from {listed([_called(by_name[r.host], r) for r in alike[:3]])}."
        )
    saved = rivals[0].over.saved if rivals[0].over else None
    span = f"{percent(saved.value)} ({percent(saved.low)} to {percent(saved.high)}) " if saved else ""
    return f"{opening}: {span}cheaper than {_called(by_name[rivals[0].host], rivals[0])}."


def _called(side: Side, row: Row) -> str:
    candidate = side.court.evidence[row.judged.candidate].record.candidate
    return f"{named(candidate)} on {side.host.name}"


def notes(
    sides: Sequence[Side], best: Side | None, accepted: Sequence[Row], unmeasured: Sequence[Row]
) -> tuple[str, ...]:
    """What to know beside the headline."""
    unsettled = [each for each in sides if not each.court.accepted or each.verdict.verdict == "INSUFFICIENT"]
    found = [f"{each.host.name}: {each.verdict.headline}" for each in unsettled]
    found += [_maybe(each, best) for each in sides]
    found += [_yearly(accepted) if best else ""]
    if any(each.verdict.provisional for each in sides):
        found.append("Inputs were generated: they decide speed, never quality.")
    found += [_unmeasured(each.host.name, [row for row in unmeasured if row.host == each.host.name]) for each in sides]
    return tuple(each for each in found if each)


def _maybe(side: Side, best: Side | None) -> str:
    """The undecided there that may be cheaper than the cheapest of all hosts."""
    first = best.best.mean_cost if best and best.best else None
    if first is None:
        return ""
    near = [
        one.candidate
        for one in side.verdict.candidates
        if side.court.gates[one.candidate].status == "open"
        and one.cost is not None
        and one.cost <= first * (1.0 + CLOSE)
    ]
    return f"Undecided on {side.host.name}, and maybe cheaper: {listed(near)}." if near else ""


def _yearly(accepted: Sequence[Row]) -> str:
    """Where whole replicas turn the order round for this shop."""
    known = [row for row in accepted if row.judged.yearly_cost is not None]
    if not known or known[0] is not accepted[0]:
        return ""
    least = min(known, key=lambda row: row.judged.yearly_cost or 0.0)
    if (least.judged.yearly_cost or 0.0) >= (known[0].judged.yearly_cost or 0.0):
        return ""
    return f"Replicas come whole: for this shop {least.judged.candidate} on {least.host} costs less in a year."


def _unmeasured(host: str, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.judged.outcome] = counts.get(row.judged.outcome, 0) + 1
    return f"On {host} {', '.join(f'{count} {what}' for what, count in counts.items())}, without a cost."


def break_even(one: BreakEven) -> str:
    """At what price, and from what traffic on, the cheaper host changes."""
    low, high = one.price_low, one.price_high
    if one.price is None:
        return f"{one.host} and {one.rival} cost the same {_worth(one)}."
    unit = f"{one.currency}/{one.per}"
    span = f" ({_price(low)} to {_price(high)})" if low is not None and high is not None else ""
    if one.now is None:
        told = f"{one.host} costs as much as {one.rival} at {_price(one.price)} {unit}{span}"
    elif one.now > one.price:
        told = f"{one.host} would be cheaper than {one.rival} below {_price(one.price)} {unit}{span}; it is {one.now:g}"
    else:
        told = f"{one.host} stays cheaper than {one.rival} up to {_price(one.price)} {unit}{span}; it is {one.now:g}"
    return f"{told}, {_worth(one)}{_fleet(one)}."


def _worth(one: BreakEven) -> str:
    return f"where {_hours(1.0, one.per)} costs as much as {_hours(one.worth, one.rival_per)}"


def _hours(count: float, per: str) -> str:
    return f"a {per}" if count == 1.0 else f"{_price(count)} {per}s"


def _fleet(one: BreakEven) -> str:
    """Replicas come whole, which costs the bigger one more where there is little traffic."""
    if not one.fleet_qps:
        return ""
    cheaper = one.rival if one.now is not None and one.price is not None and one.now > one.price else one.host
    return (
        f". Replicas come whole: {cheaper} is sure to cost less from {whole(one.fleet_qps)} requests/s of the shop on"
    )


def crossing(one: Crossing) -> str:
    """At about what batch size the cheaper host changes."""
    first, last = (whole(items) for items in one.measured_items)
    sure = "" if one.sure else "; they are not told apart at both"
    return (
        f"Up to about {whole(float(f'{one.items:.2g}'))} items a request {one.below} is cheaper, above it {one.above}:"
        f" interpolated on a log scale between {first} ({one.scenarios[0]}) and {last} ({one.scenarios[1]}),"
        f" not measured{sure}."
    )


def _price(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:,.3g}" if amount < 1000 else f"{amount:,.0f}"


def over(row: Row) -> str:
    """How an accepted row stands against the first; empty for the others, and for the first itself."""
    if row.over is None:
        return "too few rounds to tell" if row.alike else ""
    return (
        f"not told apart ({percent(row.over.low)} to {percent(row.over.high)})"
        if row.alike
        else by_how_much(row.over, "dearer")
    )
