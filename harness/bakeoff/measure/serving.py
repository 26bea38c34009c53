"""The serve verb of a worker: load, verify, warm up, then do as told until the end."""

from __future__ import annotations

import itertools
import os
import time
from functools import partial
from pathlib import Path

import numpy as np

from bakeoff.backends import Session, Unsupported, create, refusing
from bakeoff.measure import pages, procs
from bakeoff.measure.batching import Batcher, Baton, Joiner, fillings, joined_sizes, require_joinable, require_rows
from bakeoff.measure.crew import Crew, Lane, together
from bakeoff.measure.playing import play, score
from bakeoff.measure.preparing import require_inputs
from bakeoff.measure.serve import median_ns
from bakeoff.measure.verify import Verifier, WrongOutput
from bakeoff.measure.walk import walk
from bakeoff.measure.wire import Channel, Message, artifact_of, setting_of
from bakeoff.workloads.preparation import preparation_of
from bakeoff.workloads.prepared import Prepared

VERIFIED = 32
VERIFY_S = 1.0
LEAST_VERIFIED = 8
"""However slow the engine is."""
WARM_UP_S = 0.5
WARM_UP_CALLS = 20
CLIENT_CALLS, CLIENT_NS = 300, 500_000_000
"""How often, and how long, a client of a server elsewhere is timed before a stub that answers at once."""


def serve(channel: Channel, order: Message) -> None:
    """Load what the order names, verify it, warm it up, and serve until told to close or the parent is gone.

    The parent hears of each stage as it ends, so that it knows in which one a silent worker died or hangs.
    """
    deadline_ns = time.monotonic_ns() + round(order["limit_s"] * 1e9)
    crew, session, facts = _load(order)
    channel.send(facts | {"peak_memory_bytes": procs.peak_resident_bytes(os.getpid())})
    facts = _verify(crew)
    if crew.batcher:
        _verify_joined(crew, crew.batcher.batching.most_items)
    facts |= _warm_up(crew, _half_way_ns(deadline_ns))
    if crew.batcher:
        facts["warmup_requests"] += _warm_up_joined(crew, crew.batcher.batching.most_items, _half_way_ns(deadline_ns))
    facts |= _client(crew, session)
    pages.hold(Path(order["artifact"]["path"]).parent)
    facts |= {"memory_bytes": crew.memory().bytes, "threads": procs.threads(os.getpid())}
    channel.send(facts | {"affinity": crew.affinity(), "ready_ns": time.monotonic_ns()})
    while (message := channel.receive()) is not None and message["do"] != "close":
        channel.send(score(crew, message) if message["do"] == "score" else play(crew, channel, message))
    session.close()


def _half_way_ns(deadline_ns: int) -> int:
    """When half of what is left of the start limit is over: warming up to all sizes may take no longer."""
    return (time.monotonic_ns() + deadline_ns) // 2


def _load(order: Message) -> tuple[Crew, Session, Message]:
    begun_ns = time.monotonic_ns()
    artifact, setting = artifact_of(order["artifact"]), setting_of(order["setting"])
    if setting.batching:
        require_joinable(artifact)
    session = create(order["target"]).load(artifact, setting, order["device"])
    lanes = tuple(Lane(session.lane(index)) for index in range(order["lanes"]))
    load_s = (time.monotonic_ns() - begun_ns) / 1e9
    prepared = Prepared.read(Path(order["prepared"]))
    requests = prepared.requests(order["variant"])
    pipe = order["pipe"]
    batcher = Batcher(setting.batching, Baton(*order["baton"]), pipe) if setting.batching else None
    verifier = Verifier(requests, order["lossy"])
    crew = Crew(lanes, prepared, requests, verifier, pipe, batcher, preparation_of(prepared))
    return crew, session, {"load_s": load_s}


def _verify(crew: Crew) -> Message:
    """Referenced requests one after the other on the first lane, the very first of which ends the start-up."""
    lane, requests, get = crew.lanes[0], crew.requests, crew.get
    errors: list[float] = []
    first_answer_ns: list[int] = []

    def check() -> None:
        until = time.monotonic() + VERIFY_S
        for index in range(max(1, min(VERIFIED, requests.references))):
            inputs = get(index)
            outputs = lane.infer(inputs)
            first_answer_ns.append(time.monotonic_ns())
            require_inputs(inputs, requests.get(index), index)
            errors.append(crew.verifier.error([index], outputs))
            if len(errors) >= LEAST_VERIFIED and time.monotonic() > until:
                break

    lane.do(check)
    verified = min(len(errors), requests.references)
    return {
        "first_answer_ns": first_answer_ns[0],
        "worst_error": crew.verifier.judge_next(errors),
        "verified": verified,
    }


def _verify_joined(crew: Crew, most_items: int) -> None:
    """Joined calls on the first lane, each as full as it may be; raises Unsupported unless the answers taken apart are
    those of the requests alone, which `_verify` has just found right."""
    lane, requests = crew.lanes[0], crew.requests
    joiner = Joiner(requests, np.arange(requests.count))
    errors: list[float] = []

    def check() -> None:
        until = time.monotonic() + VERIFY_S
        for batch in fillings(requests, most_items):
            rows = joiner.rows(batch)
            with refusing(f"{len(batch)} requests joined ({rows} rows) fail where one alone does not:"):
                outputs = lane.infer(joiner.join(batch))
            require_rows(outputs, rows)
            for index, answer in zip(batch, joiner.split(outputs, batch), strict=True):
                errors.append(crew.verifier.error([index], answer))
            if time.monotonic() > until:
                break

    try:
        lane.do(check)
        crew.verifier.judge(errors)
    except WrongOutput as error:
        raise Unsupported(
            f"joining requests changes their answers, as where rows depend on each other: {error}"
        ) from error


def _warm_up(crew: Crew, until_ns: int) -> Message:
    """Every size of request once, as far as that goes until then, for engines prepare themselves for each; then a walk:
    on all lanes at once. `service_ns` is what a call takes by then."""
    requests, get = crew.requests, crew.get
    requests.touch()
    sizes = np.unique(requests.items, return_index=True)[1][::-1].tolist()
    calls: list[int] = []
    service_ns: list[int] = []

    def warm(lane: Lane, seed: int) -> None:
        for index in sizes:
            if time.monotonic_ns() < until_ns:
                lane.infer(get(index))
                calls.append(1)
        begun_ns, elapsed_ns, count = time.monotonic_ns(), 0, 0
        tour = walk(requests.count, 0, 1000, seed).order[:, 0].tolist()
        while elapsed_ns < WARM_UP_S * 1e9 or (count < WARM_UP_CALLS and elapsed_ns < 4 * WARM_UP_S * 1e9):
            lane.infer(get(tour[count % len(tour)]))
            count += 1
            elapsed_ns = time.monotonic_ns() - begun_ns
        calls.append(count)
        service_ns.append(elapsed_ns // count)

    together((lane, partial(warm, lane, seed)) for seed, lane in enumerate(crew.lanes))
    return {"service_ns": max(1, min(service_ns)), "warmup_requests": sum(calls)}


def _warm_up_joined(crew: Crew, most_items: int, until_ns: int) -> int:
    """Joined calls of many sizes on all lanes at once, each of them once as far as that goes until then; how many
    requests."""
    requests = crew.requests
    joiner = Joiner(requests, np.arange(requests.count))
    batches = joined_sizes(requests, most_items)
    warmed: list[int] = []

    def warm(lane: Lane) -> None:
        enough_ns = time.monotonic_ns() + round(WARM_UP_S * 1e9)
        for number, batch in enumerate(itertools.cycle(batches), start=1):
            lane.infer(joiner.join(batch))
            warmed.append(len(batch))
            if time.monotonic_ns() > (enough_ns if number >= len(batches) else until_ns):
                break

    together((lane, partial(warm, lane)) for lane in crew.lanes)
    return sum(warmed)


def _client(crew: Crew, session: Session) -> Message:
    """What a request of the middle size takes the client of a server elsewhere by itself; nothing for other engines."""
    requests = crew.requests
    inputs = crew.get(int(np.argsort(requests.items, kind="stable")[requests.count // 2]))
    baseline = session.baseline(inputs)
    if baseline is None:
        return {}
    spent_ns: list[int] = []
    try:
        crew.lanes[0].do(lambda: spent_ns.append(median_ns(baseline.infer, inputs, CLIENT_CALLS, CLIENT_NS)))
    finally:
        baseline.close()
    return {"client_ns": spent_ns[0]}
