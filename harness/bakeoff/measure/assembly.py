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
TOTALS = ("involuntary_switches", "waited_ns", "threads", "memory_bytes", "peak_memory_bytes", "verified", "errors")


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
    facts |= {"cpus": cpus, "busy_threads": busy, "over_threads": int(over_threads(busy, cpus, lanes))}
    facts["over_cpu"] = int(over_cpu(_cpu_ns(replies), wall_ns, cpus))
    facts["affinity_kept"] = int(affinity_kept(replies, cpu_ids))
    facts["over_budget"] = int(facts["over_cpu"] or facts["over_threads"])
    return facts | (_each(replies) if len(replies) > 1 else {})


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


def _requests(walk: Walk, steps: Int64) -> Int32:
    return walk.order[steps % walk.steps]


def _relative(column: Int64, start_ns: int) -> Int64:
    return np.where((column == UNANSWERED) | (column == FAILED), NEVER, column - start_ns)


def _cpu_ns(replies: Sequence[Message]) -> int:
    return int(sum(reply["cpu_ns"] for reply in replies))
