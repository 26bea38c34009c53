"""The serve verb of a worker: load, verify, warm up, then do as told until the end."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import numpy as np

from bakeoff.backends import Session, create
from bakeoff.measure import procs
from bakeoff.measure.crew import Crew, Lane, together
from bakeoff.measure.playing import play, score
from bakeoff.measure.verify import Verifier
from bakeoff.measure.walk import walk
from bakeoff.measure.wire import Channel, Message, artifact_of, setting_of
from bakeoff.workloads.prepared import Prepared, Requests

VERIFIED = 32
VERIFY_S = 1.0
LEAST_VERIFIED = 8
"""However slow the engine is."""
WARM_UP_S = 0.5
WARM_UP_CALLS = 20
SIZES_S = 5.0
PAGE_BYTES = 4096


def serve(channel: Channel, order: Message) -> None:
    """Load what the order names, verify it, warm it up, and serve until told to close or the parent is gone.

    The parent hears of each stage as it ends, so that it knows in which one a silent worker died or hangs.
    """
    crew, session, facts = _load(order)
    channel.send(facts | {"peak_memory_bytes": procs.peak_resident_bytes(os.getpid())})
    facts = _verify(crew) | _warm_up(crew)
    facts |= {"memory_bytes": crew.memory().bytes, "threads": procs.threads(os.getpid())}
    channel.send(facts | {"cpus": sorted(os.sched_getaffinity(0))})
    while (message := channel.receive()) is not None and message["do"] != "close":
        channel.send(score(crew, message) if message["do"] == "score" else play(crew, channel, message))
    session.close()


def _load(order: Message) -> tuple[Crew, Session, Message]:
    begun_ns = time.monotonic_ns()
    session = create(order["target"]).load(
        artifact_of(order["artifact"]), setting_of(order["setting"]), order["device"]
    )
    lanes = tuple(Lane(session.lane(index)) for index in range(order["lanes"]))
    load_s = (time.monotonic_ns() - begun_ns) / 1e9
    prepared = Prepared.read(Path(order["prepared"]))
    requests = prepared.requests()
    crew = Crew(lanes, prepared, requests, Verifier(requests, order["lossy"]), order["pipe"])
    return crew, session, {"load_s": load_s}


def _verify(crew: Crew) -> Message:
    """Referenced requests one after the other on the first lane, the very first of which ends the start-up."""
    lane, requests = crew.lanes[0], crew.requests
    errors: list[float] = []
    first_answer_ns: list[int] = []

    def check() -> None:
        until = time.monotonic() + VERIFY_S
        for index in range(max(1, min(VERIFIED, requests.references))):
            outputs = lane.infer(requests.get(index))
            first_answer_ns.append(time.monotonic_ns())
            errors.append(crew.verifier.error([index], outputs))
            if len(errors) >= LEAST_VERIFIED and time.monotonic() > until:
                break

    lane.do(check)
    verified = min(len(errors), requests.references)
    return {"first_answer_ns": first_answer_ns[0], "worst_error": crew.verifier.judge(errors), "verified": verified}


def _warm_up(crew: Crew) -> Message:
    """Every size of request once, then a walk, on all lanes at once; `service_ns` is what a call takes by then."""
    requests = crew.requests
    _touch(requests)
    sizes = np.unique(requests.items, return_index=True)[1][::-1].tolist()
    calls: list[int] = []
    service_ns: list[int] = []

    def warm(lane: Lane, seed: int) -> None:
        begun_ns, count = time.monotonic_ns(), 0
        for index in sizes:
            if time.monotonic_ns() - begun_ns < SIZES_S * 1e9:
                lane.infer(requests.get(index))
                count += 1
        calls.append(count)
        begun_ns, elapsed_ns, count = time.monotonic_ns(), 0, 0
        tour = walk(requests.count, 0, 1000, seed).order[:, 0].tolist()
        while elapsed_ns < WARM_UP_S * 1e9 or (count < WARM_UP_CALLS and elapsed_ns < 4 * WARM_UP_S * 1e9):
            lane.infer(requests.get(tour[count % len(tour)]))
            count += 1
            elapsed_ns = time.monotonic_ns() - begun_ns
        calls.append(count)
        service_ns.append(elapsed_ns // count)

    together((lane, partial(warm, lane, seed)) for seed, lane in enumerate(crew.lanes))
    return {"service_ns": max(1, min(service_ns)), "warmup_requests": sum(calls)}


def _touch(requests: Requests) -> None:
    """Read one number of every page of the pool, so that no measured request waits for the disk or for a mapping."""
    for index in range(requests.count):
        for array in requests.get(index).values():
            array.reshape(-1)[:: max(1, PAGE_BYTES // array.itemsize)].copy()
