"""What disturbed the measuring: why the generator was late where that matters, and how restless the blocks were.

Nothing here excuses an engine or drops a block: it says where more blocks are worth their time, and what to doubt.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bakeoff.measure.block import NEVER, Block, Fact
from bakeoff.store.record import CAPACITY_ROUND, LedgerRow, ScenarioRecord

LATE_SHARE = 0.1
"""A request counts as late from this share of the SLA's limit."""
TOLERATED = 0.5
"""The share of the requests allowed over the limit that may be late before a block counts as disturbed."""
EXPLAINS = 0.25
"""What was seen explains the lateness where it took at least this share of the time that the generator was late."""

FULL_PIPE = "the request pipe was full: the engine is far behind"
OWN_CPU = "other tasks ran on the generator's CPU"
NO_CPU = "the generator has no CPU of its own"
STOLEN = "the hypervisor took CPUs"
PRESSED = "other tasks wanted the CPUs"
UNSEEN = "the generator was late, and nothing was seen that explains it"


def disturbed(block: Block, limit_ms: float, percentile: float = 99.0) -> str:
    """The causes seen where the generator's lateness is large against the SLA; empty where it is not.

    Large: of the requests that may be over the limit, half as many were sent later than a tenth of the limit. As
    arrivals see time averages, their share is that of the time in which the generator was behind; what took a quarter
    of that time or more is named.
    """
    if block.kind != "open" or not len(block):
        return ""
    late = float(np.mean(block.lateness_ms() > LATE_SHARE * limit_ms))
    if late <= TOLERATED * (1.0 - percentile / 100.0):
        return ""
    return " and ".join(_causes(block, EXPLAINS * late)) or UNSEEN


def worth_again(block: Block, limit_ms: float, percentile: float = 99.0) -> bool:
    """Whether the generator was too late, and another block is worth its time: not where the engine is behind."""
    return disturbed(block, limit_ms, percentile) not in ("", FULL_PIPE)


def _causes(block: Block, enough: float) -> list[str]:
    """The causes whose share of the block's time is at least `enough`."""
    facts = block.facts
    if _number(facts, "pipe_waits") or np.any(block.sent_ns == NEVER):
        return [FULL_PIPE]
    causes = []
    if _share(facts, "generator_waited_ns", "generator_wall_ns") >= enough:
        causes.append(OWN_CPU if _number(facts, "generator_cpu", NEVER) >= 0 else NO_CPU)
    if _number(facts, "steal") >= enough:
        causes.append(STOLEN)
    if not causes and _number(facts, "psi") >= enough:
        causes.append(PRESSED)
    return causes


def over_budget(blocks: Sequence[Block]) -> str:
    """What the blocks over the CPU budget used too much of, in words that follow "it used"; empty where none is."""
    over = [block for block in blocks if block.facts.get("over_budget")]
    if not over:
        return ""
    if all(block.facts.get("over_threads") and not block.facts.get("over_cpu") for block in over):
        busy = max(int(_number(block.facts, "busy_threads")) for block in over)
        cpus = int(_number(over[0].facts, "cpus"))
        return f"more threads than allowed ({busy} busy on {cpus} CPU{'s' if cpus != 1 else ''})"
    used = max(block.cpu_ns / block.wall_ns if block.wall_ns else 0.0 for block in over)
    allowed = int(_number(over[0].facts, "cpus"))
    return f"more CPU time than allowed ({used:.1f} of {allowed} CPUs)" if allowed else "more CPU than allowed"


def left_cpus(seen: Iterable[LedgerRow | Block]) -> bool:
    """Whether some thread could run on CPUs that it was not given, as a load or a block found at its end."""
    return any(each.facts.get("affinity_kept") == 0 for each in seen)


@dataclass(frozen=True, slots=True)
class Measuring:
    """How a scenario's blocks were measured. Shares are of the time, None where no block tells.

    `psi` (some task waited for a CPU) and `steal` (the hypervisor took CPUs) hold the blocks' mean and their worst.
    `generator_share` is the CPU time that the generator took of all that the engines were given, `shared` and
    `unprivileged` count the open blocks in which it had no CPU of its own and no real-time priority, and `disturbed`
    counts those with a cause among the `watched`: open blocks at the rate that the SLA is judged at. Switches are
    involuntary ones, per second; `disk_faults` counts how often an engine waited for the disk. `energy_j` is
    by candidate and answered request, of the whole machine.
    """

    blocks: int = 0
    open_blocks: int = 0
    psi: tuple[float, float] | None = None
    steal: tuple[float, float] | None = None
    generator_share: float | None = None
    generator_switches_per_s: float | None = None
    worker_switches_per_s: float | None = None
    disk_faults: int = 0
    shared: int = 0
    unprivileged: int = 0
    watched: int = 0
    disturbed: Mapping[str, int] = field(default_factory=dict)
    energy_j: Mapping[str, float] = field(default_factory=dict)
    energy_source: str = ""


def measuring(record: ScenarioRecord) -> Measuring:
    """Read a scenario's blocks, once each."""
    tally = _Tally(_limit(record))
    for candidate in record.candidates:
        for entry in candidate.blocks:
            tally.add(candidate.id, entry.block, at_capacity=entry.round == CAPACITY_ROUND)
    return tally.measuring()


def _limit(record: ScenarioRecord) -> tuple[float, float] | None:
    """The SLA's limit in milliseconds and its percentile, as the definition holds them; None where there is none."""
    sla = record.definition.get("sla")
    if not isinstance(sla, Mapping) or "limit_ms" not in sla:
        return None
    return float(sla["limit_ms"]), float(sla.get("percentile", 99.0))


class _Tally:
    """Sums over blocks."""

    def __init__(self, sla: tuple[float, float] | None) -> None:
        self._sla = sla
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._shares: dict[str, list[float]] = {"psi": [], "steal": []}
        self._disturbed: Counter[str] = Counter()
        self._energy: dict[str, tuple[float, int]] = {}
        self._sources: set[str] = set()

    def add(self, candidate: str, block: Block, at_capacity: bool) -> None:
        """Take one block in; those that look for the capacity overload the engine on purpose."""
        facts = block.facts
        self._sum(blocks=1)
        if "involuntary_switches" in facts:
            self._sum(worker_switches=_number(facts, "involuntary_switches"), wall_ns=block.wall_ns)
        self._sum(disk_faults=_number(facts, "disk_faults"))
        for name, shares in self._shares.items():
            if name in facts:
                shares.append(_number(facts, name))
        if "generator_realtime" in facts:
            self._add_generator(facts)
        if self._sla and block.kind == "open" and not at_capacity:
            self._sum(watched=1)
            if cause := disturbed(block, *self._sla):
                self._disturbed[cause] += 1
        if "energy_j" in facts:
            joules, answers = self._energy.get(candidate, (0.0, 0))
            self._energy[candidate] = joules + _number(facts, "energy_j"), answers + int(block.answered.sum())
            self._sources.add(str(facts.get("energy_source", "")))

    def _add_generator(self, facts: Mapping[str, Fact]) -> None:
        wall_ns = _number(facts, "generator_wall_ns")
        self._sum(
            open_blocks=1,
            shared=int(_number(facts, "generator_cpu", NEVER) < 0),
            unprivileged=int(not facts["generator_realtime"]),
            generator_switches=_number(facts, "generator_switches"),
            generator_cpu_ns=_number(facts, "generator_cpu_ns"),
            generator_wall_ns=wall_ns,
            given_ns=wall_ns * _number(facts, "cpus"),
        )

    def _sum(self, **figures: float) -> None:
        for name, figure in figures.items():
            self._sums[name] += figure

    def measuring(self) -> Measuring:
        """What was tallied."""
        sums = self._sums
        return Measuring(
            blocks=int(sums["blocks"]),
            open_blocks=int(sums["open_blocks"]),
            psi=_mean_and_worst(self._shares["psi"]),
            steal=_mean_and_worst(self._shares["steal"]),
            generator_share=_ratio(sums["generator_cpu_ns"], sums["given_ns"]),
            generator_switches_per_s=_ratio(sums["generator_switches"] * 1e9, sums["generator_wall_ns"]),
            worker_switches_per_s=_ratio(sums["worker_switches"] * 1e9, sums["wall_ns"]),
            disk_faults=int(sums["disk_faults"]),
            shared=int(sums["shared"]),
            unprivileged=int(sums["unprivileged"]),
            watched=int(sums["watched"]),
            disturbed=dict(self._disturbed.most_common()),
            energy_j={name: joules / answers for name, (joules, answers) in self._energy.items() if answers},
            energy_source=", ".join(sorted(self._sources)),
        )


def _mean_and_worst(shares: Iterable[float]) -> tuple[float, float] | None:
    known = list(shares)
    return (sum(known) / len(known), max(known)) if known else None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _share(facts: Mapping[str, Fact], part: str, whole: str) -> float:
    return _ratio(_number(facts, part), _number(facts, whole)) or 0.0


def _number(facts: Mapping[str, Fact], name: str, absent: float = 0.0) -> float:
    value = facts.get(name, absent)
    return float(value) if isinstance(value, (int, float)) else absent
