"""How the stamps of a block, the walk it took and what the workers report become a Block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bakeoff.measure.block import NEVER, Block, Fact, Int32, Int64
from bakeoff.measure.loadgen import Played
from bakeoff.measure.stamps import FAILED, UNANSWERED
from bakeoff.measure.walk import Walk
from bakeoff.measure.wire import Message

BUDGET_SLACK = 1.1
BUDGET_SLACK_NS = 50_000_000
BUSY_SHARE = 0.9
"""The busy threads are the fewest that took this share of the CPU time: idle and helping ones are none of them,
however loaded the engine is."""
PARTS = ("preparation_ns", "transfer_ns")
"""Parts of the service time that are counted where a request has them."""
COUNTS = ("involuntary_switches", "disk_faults", "waited_ns", "verified", "errors")
ADD_UP = frozenset({*PARTS, *COUNTS, "warmup_requests", "energy_j"})
SHARES = frozenset({"psi", "steal"})
"""What of several parts of a block adds up, and what is a share of the time."""
TOTALS = (*COUNTS, "threads", "memory_bytes", "peak_memory_bytes")


def over_cpu(cpu_ns: int, wall_ns: int, cpus: int) -> bool:
    """Whether the workers used more CPU time than `cpus` cores have: 10 % and 50 ms more, for the kernel's ticks."""
    return cpu_ns > wall_ns * cpus * BUDGET_SLACK + BUDGET_SLACK_NS


def over_threads(busy: int, cpus: int, lanes: int) -> bool:
    """Whether more threads computed than `cpus` cores call for: CPU time cannot show it where affinity holds them all.

    Each lane's own thread is free, as an engine with threads of its own is called from one that it cannot use.
    """
    return busy > cpus + lanes


def busy_threads(cpu_ns: Iterable[int]) -> int:
    """How many threads did the work: the fewest that took 90 % of the CPU time of all."""
    used = np.sort(np.fromiter(cpu_ns, np.float64))[::-1]
    total = used.sum()
    return int(np.searchsorted(np.cumsum(used), BUSY_SHARE * total) + 1) if total > 0 else 0


def affinity_kept(replies: Iterable[Message], cpus: Iterable[int]) -> bool:
    """Whether all threads of the workers may run on `cpus` (CPU ids) alone; on fewer of them is their own affair."""
    return {cpu for reply in replies for cpu in reply["affinity"]} <= set(cpus)


def worker_facts(replies: Sequence[Message], cpu_ids: Sequence[int], lanes: int) -> dict[str, Fact]:
    """What the workers of one block report, put together; with several, what each of them took as well."""
    cpus = len(cpu_ids)
    facts: dict[str, Fact] = {key: sum(reply[key] for reply in replies) for key in TOTALS}
    facts |= {key: sum(reply[key] for reply in replies) for key in PARTS if key in replies[0]}
    facts["worst_error"] = max(reply["worst_error"] for reply in replies)
    first_error = next((reply["first_error"] for reply in replies if reply["first_error"]), "")
    if first_error:
        facts["first_error"] = first_error
    busy = busy_threads(used for reply in replies for used in reply["thread_cpu_ns"])
    wall_ns = max(reply["wall_ns"] for reply in replies)
    facts |= {"cpus": cpus, "busy_threads": busy, "affinity_kept": int(affinity_kept(replies, cpu_ids))}
    facts |= _budget(_cpu_ns(replies), wall_ns, busy, cpus, lanes)
    return facts | (_each(replies) if len(replies) > 1 else {})


def _budget(cpu_ns: int, wall_ns: int, busy: int, cpus: int, lanes: int) -> dict[str, Fact]:
    """Whether a block kept to its CPUs, by its CPU time and by its threads."""
    by_time, by_threads = over_cpu(cpu_ns, wall_ns, cpus), over_threads(busy, cpus, lanes)
    return {"over_threads": int(by_threads), "over_cpu": int(by_time), "over_budget": int(by_time or by_threads)}


def _each(replies: Sequence[Message]) -> dict[str, Fact]:
    return {
        f"worker_{number}_{key}": reply[key]
        for number, reply in enumerate(replies, 1)
        for key in ("cpu_ns", "peak_memory_bytes")
    }


def open_block(
    arrivals_ns: Int64,
    offered_qps: float,
    played: Played,
    stamps: tuple[Int64, Int64],
    walk: Walk,
    items: Int64,
    replies: Sequence[Message],
    facts: Mapping[str, Fact],
) -> Block:
    """The block of an open loop: one row for each arrival."""
    count = len(arrivals_ns)
    started_ns, done_ns = (_relative(column[:count], played.start_ns) for column in stamps)
    request = _requests(walk, np.arange(count))
    unanswered = bool((stamps[1][:count] == UNANSWERED).any())
    ended_ns = max(int(done_ns.max()), int(arrivals_ns[-1]), played.ended_ns - played.start_ns if unanswered else 0)
    return Block(
        kind="open",
        offered_qps=offered_qps,
        request=request[:, 0],
        items=items[request].sum(axis=1).astype(np.int32),
        scheduled_ns=arrivals_ns,
        sent_ns=played.sent_ns,
        started_ns=started_ns,
        done_ns=done_ns,
        wall_ns=ended_ns,
        cpu_ns=_cpu_ns(replies),
        facts={**facts, "pipe_waits": played.pipe_waits},
    )


def closed_block(
    start_ns: int,
    stamps: tuple[Int64, Int64],
    walk: Walk,
    items: Int64,
    replies: Sequence[Message],
    facts: Mapping[str, Fact],
) -> Block:
    """The block of a closed loop: one row for each call that was made, in the order of their starts."""
    steps = np.flatnonzero(stamps[0])
    steps = steps[np.argsort(stamps[0][steps], kind="stable")]
    started_ns, done_ns = (_relative(column[steps], start_ns) for column in stamps)
    request = _requests(walk, steps)
    ended_ns = max(done_ns.max(initial=0), started_ns.max(initial=0))
    return Block(
        kind="closed",
        offered_qps=None,
        request=request[:, 0],
        items=items[request].sum(axis=1).astype(np.int32),
        scheduled_ns=started_ns,
        sent_ns=started_ns,
        started_ns=started_ns,
        done_ns=done_ns,
        wall_ns=int(ended_ns),
        cpu_ns=_cpu_ns(replies),
        facts=facts,
    )


def put_together(parts: Sequence[Block]) -> Block:
    """One closed block of several that were played with pauses between them: the pauses are left out of its clock.

    `facts` are added up; of shares it is the mean by time, of `busy_threads` the median, of `affinity_kept` the
    smallest and of all else the largest. Whether it used too much CPU is told by the whole.
    """
    begins_ns = np.cumsum([0, *(part.wall_ns for part in parts[:-1])])

    def column(name: str) -> Int64:
        pairs = [(getattr(part, name), begin_ns) for part, begin_ns in zip(parts, begins_ns, strict=True)]
        return np.concatenate([np.where(stamps == NEVER, NEVER, stamps + begin_ns) for stamps, begin_ns in pairs])

    wall_ns, cpu_ns = sum(part.wall_ns for part in parts), sum(part.cpu_ns for part in parts)
    facts = {name: _of_all(name, parts) for name in dict.fromkeys(name for part in parts for name in part.facts)}
    facts |= _budget(cpu_ns, wall_ns, int(facts["busy_threads"]), int(facts["cpus"]), int(facts["lanes"]))
    return Block(
        kind="closed",
        offered_qps=None,
        request=np.concatenate([part.request for part in parts]),
        items=np.concatenate([part.items for part in parts]),
        scheduled_ns=column("scheduled_ns"),
        sent_ns=column("sent_ns"),
        started_ns=column("started_ns"),
        done_ns=column("done_ns"),
        wall_ns=wall_ns,
        cpu_ns=cpu_ns,
        facts=facts,
    )


def _of_all(name: str, parts: Sequence[Block]) -> Fact:
    """A fact of several blocks, from those that have it."""
    found = [(part.facts[name], part.wall_ns) for part in parts if name in part.facts]
    numbers = [each for each, _ in found if not isinstance(each, str)]
    if not numbers:
        return found[0][0]
    if name in ADD_UP or name.endswith("_cpu_ns"):
        return sum(numbers)
    if name in SHARES:
        return float(np.average(numbers, weights=[max(wall_ns, 1) for _, wall_ns in found]))
    if name == "busy_threads":
        return int(np.median(numbers))
    return min(numbers) if name == "affinity_kept" else max(numbers)


def _requests(walk: Walk, steps: Int64) -> Int32:
    return walk.order[steps % walk.steps]


def _relative(column: Int64, start_ns: int) -> Int64:
    return np.where((column == UNANSWERED) | (column == FAILED), NEVER, column - start_ns)


def _cpu_ns(replies: Sequence[Message]) -> int:
    return int(sum(reply["cpu_ns"] for reply in replies))
