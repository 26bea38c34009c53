"""Hosts side by side: who measured, what is paid for there, and the evidence that each host's own run gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bakeoff.decide.compare import Interval
from bakeoff.decide.cost import hourly
from bakeoff.decide.court import Court, convene
from bakeoff.decide.evidence import Evidence
from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.decide.verdict import judge
from bakeoff.errors import UserError
from bakeoff.scenario import Price, units
from bakeoff.scenario.device import gpus_of
from bakeoff.store.record import RunRecord, ScenarioRecord


@dataclass(frozen=True, slots=True)
class Host:
    """Where a run measured. `name` is a person's, else that of the GPU that served, or of the CPU.

    `product` is the instance type where the cloud tells it, empty where nothing does.
    """

    name: str
    run: str
    product: str
    cpu: str
    cores: int | None
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One host's part in a scenario."""

    host: Host
    court: Court
    verdict: Verdict

    @property
    def price(self) -> Price | None:
        """What is paid there, as its scenario says."""
        return self.court.scenario.price

    @property
    def gpus(self) -> int:
        """How many GPUs a replica holds there."""
        return self.court.scenario.resources.gpus

    @property
    def per(self) -> str:
        """What an hour of is paid for, or would be."""
        return self.price.per if self.price else "gpu-hour" if self.gpus else "core-hour"

    @property
    def best(self) -> Evidence | None:
        """The cheapest of those that passed every gate there: runs whose objective is another are not joined."""
        return next((self.court.evidence[name] for name in self.court.accepted), None)

    def hours(self, one: Evidence) -> float:
        """The hours of what is paid for that a million items take."""
        return (one.mean_cost or 0.0) / (self.price.amount if self.price else 3600.0)

    def hourly(self, one: Evidence) -> float | None:
        """What a replica costs in an hour; None without a price."""
        return None if self.price is None else hourly(one.cpus or 1, self.price, self.gpus)

    def judged(self, candidate: str) -> Judgement:
        """A candidate's figures there."""
        return next(one for one in self.verdict.candidates if one.candidate == candidate)


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate on one host. `over` is how much dearer it is than the first row; None for the first, for what did
    not pass its gates, where too few rounds can say, and where hosts cannot be ranked. `alike`: it is not told apart
    from the first."""

    host: str
    judged: Judgement
    over: Interval | None = None
    alike: bool = False


def side(host: Host, record: ScenarioRecord, price: Price | None = None) -> Side:
    """Judge a scenario as its own run measured it, for its own host; with a `price`, at that one."""
    if price is not None:
        record = replace(record, definition={**record.definition, "price": price.model_dump()})
    court = convene(record)
    return Side(host, court, judge(court))


def read_prices(texts: Mapping[str, str], known: Sequence[str]) -> dict[str, Price]:
    """Prices by host, such as "1.20 USD/gpu-hour"; raises UserError for another form, and for a host that is none."""
    found = {}
    for host, text in texts.items():
        if host not in known:
            raise UserError(f"--price {host}: no such host; there are {', '.join(known)}")
        try:
            amount, currency, per = units.price(text)
        except ValueError as error:
            raise UserError(f"--price {host}={text}: {error}") from None
        found[host] = Price.model_validate({"amount": amount, "currency": currency, "per": per})
    return found


def hosts(runs: Sequence[tuple[str, RunRecord]]) -> tuple[Host, ...]:
    """The hosts of runs by the names that a person gave ("": none); what is called alike gets its run's id behind.

    Raises UserError where a run or a given name is there twice.
    """
    for what, values in (("run", [record.run for _, record in runs]), ("host", [name for name, _ in runs if name])):
        for value, count in Counter(values).items():
            if count > 1:
                raise UserError(f"{what} {value}: named {count} times; each must differ")
    found = [_host(name, record) for name, record in runs]
    names = Counter(host.name for host in found)
    return tuple(replace(host, name=f"{host.name} ({host.run})") if names[host.name] > 1 else host for host in found)


def _host(name: str, record: RunRecord) -> Host:
    facts = record.host
    gpus = tuple(str(card.get("name", "GPU")) for card in facts.get("gpus") or ())
    cpu = str(facts.get("cpu") or "unknown CPU")
    served = gpus[0] if gpus and any(_on_gpu(scenario.definition) for scenario in record.scenarios) else cpu
    return Host(name or served, record.run, str(facts.get("product") or ""), cpu, facts.get("cores"), gpus)


def _on_gpu(definition: Any) -> bool:
    return bool(gpus_of((definition.get("resources") or {}).get("device", "cpu")))
