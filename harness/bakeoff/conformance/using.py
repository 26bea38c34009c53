"""The checks on a loaded artifact, in a fresh process. Each gives a detail or raises what its author will read."""

from __future__ import annotations

import threading
import time

import numpy as np
import psutil

from bakeoff.backends import LOSSLESS, Arrays, Session
from bakeoff.conformance import ranker
from bakeoff.conformance.bench import CPUS, Bench, NotConforming, require

BATCH_SIZES = (1, 2, 7, 100, 700)
ITEMS = 7
LANE_ROUNDS = 20
IDLE_S, IDLE_WINDOWS = 0.3, 3
IDLE_SHARE = 0.2
"""Of one core, above which (in every window) a session that has nothing to do is spinning."""
LARGEST_ERROR = {True: 1e-3, False: 0.3}
"""By whether the precision is lossless, relative to the reference's size; for a lossy one the suite sees whether it
computes the model, not how well (four bits a weight cost these random ones up to 0.2)."""


def loads(bench: Bench) -> str:
    """From the artifact alone, in a process that did not build it."""
    started = time.monotonic()
    bench.session = bench.backend.load(bench.artifact, bench.setting, bench.device)
    require(isinstance(bench.session, Session), "load must return a Session")
    return f"{time.monotonic() - started:.2f} s as {bench.setting.name}"


def right_at_every_batch_size(bench: Bench) -> str:
    """Against numpy's reference, at sizes that the build never saw, in no convenient order."""
    worst = {items: _error(bench, items) for items in (*BATCH_SIZES, *BATCH_SIZES[::-1])}
    largest = LARGEST_ERROR[bench.precision in LOSSLESS]
    wrong = [f"{error:.2g} at {items}" for items, error in worst.items() if not error <= largest]
    require(not wrong, f"its relative error is {', '.join(wrong)} items; at most {largest:g} is right")
    return f"largest relative error {max(worst.values()):.1g} over {', '.join(map(str, BATCH_SIZES))} items"


def owned_float32(bench: Bench) -> str:
    """Named as the artifact says, in its order; contiguous float32 that a later call does not overwrite."""
    request = ranker.request(ITEMS, 1)
    first = bench.session.infer(request)
    require(tuple(first) == bench.artifact.outputs, f"the outputs are {', '.join(first)}")
    for name, values in first.items():
        require(isinstance(values, np.ndarray), f"{name} is a {type(values).__name__}, not an array")
        require(values.dtype == np.float32, f"{name} is {values.dtype}")
        require(values.flags.c_contiguous and values.flags.writeable, f"{name} is read-only or not contiguous")
        shared = [key for key, given in request.items() if np.shares_memory(given, values)]
        require(not shared, f"{name} shares memory with the input {', '.join(shared)}")
    kept = _copied(first)
    for seed in (2, 3):
        bench.session.infer(ranker.request(ITEMS, seed))
    changed = [name for name, values in first.items() if not np.array_equal(values, kept[name])]
    require(not changed, f"a later call changed {', '.join(changed)}: copy it out of the engine's buffer")
    return ", ".join(f"{name} {values.shape}" for name, values in first.items())


def leaves_inputs_alone(bench: Bench) -> str:
    """The harness sends the same pool again and again."""
    request = ranker.request(ITEMS, 4)
    kept = _copied(request)
    bench.session.infer(request)
    changed = [name for name, values in request.items() if not np.array_equal(values, kept[name])]
    require(not changed, f"infer changed its input {', '.join(changed)}")
    return "unchanged"


def same_answer_twice(bench: Bench) -> str:
    """With another request between the two."""
    first = _copied(bench.session.infer(ranker.request(ITEMS, 5)))
    bench.session.infer(ranker.request(ITEMS + 3, 6))
    again = bench.session.infer(ranker.request(ITEMS, 5))
    require(_alike(first, again), "the same request twice gave two answers")
    return "the same"


def lanes_keep_apart(bench: Bench) -> str:
    """Two threads on two lanes, each with its own requests, must get the answers that one alone gets."""
    if bench.backend.instances == "processes" or bench.setting.instances < 2:
        return f"one lane: {bench.setting.name}, instances are {bench.backend.instances}"
    requests = [ranker.request(ITEMS + lane, 7 + lane) for lane in (0, 1)]
    alone = [_copied(bench.session.infer(request)) for request in requests]
    problems: list[str] = []

    def play(lane: int) -> None:
        try:
            session = bench.session.lane(lane)
            for _ in range(LANE_ROUNDS):
                if not _alike(session.infer(requests[lane]), alone[lane]):
                    problems.append(f"lane {lane} answered otherwise than alone")
        except Exception as error:
            problems.append(f"lane {lane}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=play, args=(lane,), daemon=True) for lane in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(not problems, "; ".join(sorted(set(problems))))
    return f"2 lanes, {LANE_ROUNDS} requests each"


def loads_with_other_settings(bench: Bench) -> str:
    """Every setting that shares this artifact loads and answers."""
    backend, built_for = bench.backend, bench.backend.build_depends_on(bench.setting)
    others = [
        setting
        for setting in bench.settings(CPUS)
        if setting != bench.setting and backend.build_depends_on(setting) == built_for
    ]
    for setting in others:
        session = backend.load(bench.artifact, setting, bench.device)
        answer = session.infer(ranker.request(ITEMS, 9))
        session.close()
        require(_distance(answer, ranker.reference(ranker.request(ITEMS, 9))) < 1, f"{setting.name} answers wrongly")
    return ", ".join(setting.name for setting in others) or "no other shares this artifact"


def rests_when_idle(bench: Bench) -> str:
    """A contender that waits for its turn must not take the core of the one that is measured."""
    bench.session.infer(ranker.request(ITEMS, 10))
    share = min(_cpu_share() for _ in range(IDLE_WINDOWS))
    require(share <= IDLE_SHARE, f"it uses {share:.0%} of a core while it waits: switch spinning off")
    return f"{share:.0%} of a core"


def closes_twice(bench: Bench) -> str:
    """And leaves no child process."""
    bench.session.close()
    bench.session.close()
    children = [child.name() for child in psutil.Process().children(recursive=True)]
    require(not children, f"it leaves the processes {', '.join(children)}")
    return "no child process left"


def _error(bench: Bench, items: int) -> float:
    request = ranker.request(items, 0)
    answer, expected = bench.session.infer(request), ranker.reference(request)
    missing = [name for name in expected if name not in answer]
    require(not missing, f"the outputs lack {', '.join(missing)}")
    for name, values in expected.items():
        if answer[name].shape != values.shape:
            raise NotConforming(f"{name} has shape {answer[name].shape} for {items} items, not {values.shape}")
    return _distance(answer, expected)


def _distance(answer: Arrays, expected: Arrays) -> float:
    """The largest relative error (Euclidean norm) of the outputs; NaN where one holds a NaN."""
    ratios = [np.linalg.norm(answer[name] - values) / np.linalg.norm(values) for name, values in expected.items()]
    return float(np.max(ratios))


def _copied(arrays: Arrays) -> Arrays:
    return {name: values.copy() for name, values in arrays.items()}


def _alike(one: Arrays, other: Arrays) -> bool:
    return all(np.allclose(values, other[name], rtol=1e-5, atol=1e-6) for name, values in one.items())


def _cpu_share() -> float:
    """CPU seconds a second of this process and its children, over one idle window."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    before = [process.cpu_times() for process in processes]
    time.sleep(IDLE_S)
    after = [process.cpu_times() for process in processes]
    used = sum(y.user + y.system - x.user - x.system for x, y in zip(before, after, strict=True))
    return max(0.0, float(used / IDLE_S))


USE = (
    loads,
    right_at_every_batch_size,
    owned_float32,
    leaves_inputs_alone,
    same_answer_twice,
    lanes_keep_apart,
    loads_with_other_settings,
    rests_when_idle,
    closes_twice,
)
