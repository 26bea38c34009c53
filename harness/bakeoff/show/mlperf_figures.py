"""A candidate's blocks as one test of MLPerf LoadGen, with its definitions of every figure.

Source: https://github.com/mlcommons/inference/blob/master/loadgen/results.cc.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.decide.search import bracket, judged
from bakeoff.measure.block import Block, Int64
from bakeoff.measure.traffic import mean_qps
from bakeoff.scenario import Scenario
from bakeoff.show.early_stopping import discarded, least_under
from bakeoff.store.record import SCREEN_ROUND, CandidateRecord, ScenarioRecord

PERCENTILES = (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)
MIN_DURATION_MS, MIN_QUERIES = 10_000, 100
"""LoadGen's defaults."""
_KINDS = {"single_stream": "SingleStream", "multi_stream": "MultiStream", "offline": "Offline"}
_USUAL_SHARE = {"SingleStream": 0.9, "MultiStream": 0.99, "Offline": 0.9}


@dataclass(frozen=True, slots=True)
class LoadGenTest:
    """`kind` by LoadGen's name, the queries' latencies ascending (ns), and the times it took, in seconds.

    `share` (of 1) of the queries must be within `limit_ns`; `target_qps` is the rate asked for. A query that was never
    answered counts with the time that it was waited for.
    """

    kind: str
    samples_per_query: int
    latencies_ns: Int64
    unanswered: int
    scheduled_s: float
    all_done_s: float
    target_qps: float
    limit_ns: int
    share: float
    blocks: int
    min_duration_ms: int = MIN_DURATION_MS
    min_queries: int = MIN_QUERIES

    @property
    def queries(self) -> int:
        """How many queries were issued."""
        return len(self.latencies_ns)

    @property
    def samples(self) -> int:
        """How many samples they held: our requests."""
        return self.queries * self.samples_per_query

    @property
    def scheduled_qps(self) -> float:
        """The rate of the schedule."""
        return (self.queries - 1) / self.scheduled_s

    @property
    def completed_qps(self) -> float:
        """The rate of the answers."""
        return (self.queries - 1) / self.all_done_s

    @property
    def over(self) -> int:
        """How many queries took longer than the limit."""
        return int((self.latencies_ns > self.limit_ns).sum())

    @property
    def min_ns(self) -> int:
        """The shortest latency."""
        return int(self.latencies_ns[0])

    @property
    def max_ns(self) -> int:
        """The longest latency."""
        return int(self.latencies_ns[-1])

    @property
    def mean_ns(self) -> int:
        """The mean latency."""
        return int(self.latencies_ns.mean())

    @property
    def percentiles_ns(self) -> dict[str, int]:
        """Latencies by LoadGen's names of its percentiles, such as "99.90"."""
        return {f"{percentile:.2f}": self._at(percentile / 100) for percentile in PERCENTILES}

    @property
    def tail_ns(self) -> int:
        """The latency at the percentile that the limit is for."""
        return self._at(self.share)

    @property
    def fast_enough(self) -> bool:
        """Whether that latency is within the limit, where there is one; a query without an answer is not."""
        return not self.unanswered and (self.kind != "Server" or self.tail_ns <= self.limit_ns)

    @property
    def long_enough(self) -> bool:
        """Whether it lasted for LoadGen's least duration."""
        return (self.scheduled_s if self.kind == "Server" else self.all_done_s) * 1e3 >= self.min_duration_ms

    @property
    def many_enough(self) -> bool:
        """Whether it has LoadGen's least number of queries."""
        return (self.samples if self.kind == "Offline" else self.queries) >= self.min_queries

    @property
    def stopped_early(self) -> bool:
        """Whether the queries suffice for LoadGen's early stopping."""
        if self.kind == "Server":
            return self.queries >= least_under(self.over, self.share) + self.over
        return self.kind == "Offline" or discarded(self.queries, self.share) is not None

    @property
    def valid(self) -> bool:
        """LoadGen's verdict."""
        return self.fast_enough and self.long_enough and self.many_enough and self.stopped_early

    @property
    def advice(self) -> list[str]:
        """Why it is not valid, in LoadGen's words where it has any."""
        words = {
            "There were queries without an answer.": not self.unanswered,
            "Reduce target QPS to improve latency.": self.fast_enough or bool(self.unanswered),
            "Increase the target QPS so the loadgen pre-generates more queries.": self.long_enough,
            "The test exited early, before enough queries were issued.": self.many_enough,
        }
        return [advice for advice, met in words.items() if not met]

    @property
    def early_stopping(self) -> str:
        """LoadGen's sentence on early stopping."""
        if self.kind == "Server":
            return self._server_stopping()
        if self.kind == "Offline":
            return ""
        needed, away = least_under(1, self.share) + 1, discarded(self.queries, self.share)
        if away is None:
            only = f" * Only processed {self.queries} queries."
            return f"{only}\n * Need to process at least {needed} queries for early stopping."
        estimate = int(self.latencies_ns[self.queries - away - 1])
        return (
            f" * Processed at least {needed} queries ({self.queries}).\n"
            f" * Would discard {away} highest latency queries.\n"
            f" * Early stopping {self.share * 100:.1f}th percentile estimate: {estimate}"
        )

    def _server_stopping(self) -> str:
        needed = least_under(self.over, self.share) + self.over
        if self.queries >= needed:
            return " * Run successful."
        return (
            f" * Run unsuccessful.\n * Processed {self.queries} queries.\n * Would need to run at least "
            f"{needed - self.queries} more queries,\n with the run being successful if every additional\n"
            " query were under latency."
        )

    def _at(self, share: float) -> int:
        return int(self.latencies_ns[int(self.queries * share)])


def tests_of(record: ScenarioRecord, scenario: Scenario) -> Iterator[tuple[str, LoadGenTest | None]]:
    """Each measured candidate's id with its test: its rounds, or what came before them where it was in none.

    None for one with no request under the scenario's load, as where only its screen was played, in a closed loop.
    """
    for candidate in record.candidates:
        if candidate.blocks:
            blocks = _open_blocks(candidate, scenario) if scenario.traffic.open_loop else _closed_blocks(candidate)
            yield candidate.id, _test(blocks, scenario) if blocks else None


def _closed_blocks(record: CandidateRecord) -> list[Block]:
    """The rounds', or the screen's first: in its second, which a batcher has, a call joins requests as it would."""
    rounds = [entry.block for entry in record.blocks if entry.round > SCREEN_ROUND]
    screen = [entry.block for entry in record.blocks if entry.round == SCREEN_ROUND and entry.position == 0]
    return _filled(rounds) or _filled(screen)


def _open_blocks(record: CandidateRecord, scenario: Scenario) -> list[Block]:
    """The rounds' open blocks of one rate, or all others of that rate; what found the capacity is mostly of another."""
    played = [(entry.round, entry.block) for entry in sorted(record.blocks, key=lambda entry: entry.round)]
    opened = [(number, block) for number, block in played if block.kind == "open" and len(block)]
    rate = scenario.traffic.rate or _likeliest_rate(opened, scenario)
    same = [(number, block) for number, block in opened if block.offered_qps == rate]
    return [block for number, block in same if number > SCREEN_ROUND] or [block for _, block in same]


def _likeliest_rate(opened: Sequence[tuple[int, Block]], scenario: Scenario) -> float | None:
    """Where the capacity was asked for: the last round's rate, else the highest that passed, else the most played."""
    if not opened or opened[-1][0] > SCREEN_ROUND:
        return opened[-1][1].offered_qps if opened else None
    blocks = [block for _, block in opened]
    passed_qps = bracket(judged(blocks, scenario.sla)).passed_qps if scenario.sla else None
    return passed_qps or Counter(block.offered_qps for block in blocks).most_common(1)[0][0]


def _filled(blocks: Sequence[Block]) -> list[Block]:
    return [block for block in blocks if len(block)]


def _test(blocks: Sequence[Block], scenario: Scenario) -> LoadGenTest:
    kind = _KINDS.get(scenario.traffic.kind, "Server")
    offered = [block.offered_qps for block in blocks if block.offered_qps]
    all_done_s = sum(block.wall_ns for block in blocks) / 1e9
    return LoadGenTest(
        kind=kind,
        samples_per_query=scenario.traffic.samples_per_query if kind == "MultiStream" else 1,
        latencies_ns=np.sort(np.concatenate([_latencies_ns(block, kind) for block in blocks])),
        unanswered=sum(int((~block.answered).sum()) for block in blocks),
        scheduled_s=sum(map(_scheduled_s, blocks)) if offered else all_done_s,
        all_done_s=all_done_s,
        target_qps=offered[0] if offered else sum(map(len, blocks)) / all_done_s,
        limit_ns=round(scenario.sla.limit_ms * 1e6) if scenario.sla else 0,
        share=scenario.sla.percentile / 100 if scenario.sla else _USUAL_SHARE.get(kind, 0.99),
        blocks=len(blocks),
    )


def _scheduled_s(block: Block) -> float:
    """How long the block's schedule is; by the rate asked for where all of it was due at once."""
    qps = mean_qps(block.scheduled_ns)
    return len(block) / (block.offered_qps if block.offered_qps and math.isinf(qps) else qps)


def _latencies_ns(block: Block, kind: str) -> Int64:
    """From the schedule to the answer; offline, where all is due at once, from the start of the block."""
    done_ns = np.where(block.answered, block.done_ns, block.wall_ns)
    return done_ns if kind == "Offline" else done_ns - block.scheduled_ns
