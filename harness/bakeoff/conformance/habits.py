"""What an engine does with inputs, threads and the GIL: seen, not believed. Each check gives a Seen with its cell.

Each stage is a fresh process, for an engine's threads and buffers outlive a session.
"""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from bakeoff.backends import Artifact, Session, Setting, Unsupported
from bakeoff.conformance import heavy
from bakeoff.conformance.bench import CPUS, Bench, NotConforming, Seen, require

CALLS = 15
SWITCH_S = 5e-4
HELD_SHARE = 0.5
"""Of a call, above which (in the median of the calls) no other thread could run Python: the engine holds the GIL."""
BUSY_SHARE = 0.25
"""Of the busiest thread's CPU time, above which another one took part."""
BUSY_S = 0.5
SPARE_CORES = 0.3
"""What an engine's main thread may take beside those of its pool."""
COPIED_SHARE = 0.5
"""Of the request's bytes, above which what the process grew by in the call holds a copy of them."""


def builds_heavy(bench: Bench) -> str:
    """At the first precision; an engine that refuses them says over what, and its habits stay unseen."""
    alone, together = _apart(bench), _together(bench)
    for name, setting in ((heavy.LARGE, alone), (heavy.WORK, alone), (heavy.WORK, together)):
        model = heavy.model(name, bench.folder.models(), bench.backend.formats)
        into = bench.folder.built(_key(name, setting))
        try:
            artifact = bench.backend.build(model, bench.precision, setting, bench.device, into)
        except Unsupported as refusal:
            return f"unsupported: {refusal}"
        bench.folder.artifact(_key(name, setting)).write_bytes(pickle.dumps(artifact))
    return f"{heavy.LARGE} and {heavy.WORK} at {bench.precision}"


def takes_inputs(bench: Bench) -> str:
    """By how much the process grows at its peak in the first call with a request of 64 MiB."""
    session = _load(bench, heavy.LARGE, _apart(bench))
    if session is None:
        return Seen("not seen: the engine refused the model", "")
    request = heavy.request(heavy.LARGE)
    given = request["x"].nbytes
    before = _forget_peak()
    if before is None:
        return Seen("not seen: this system does not tell a process's peak", "")
    session.infer(request)
    share = (_peak() - before) / given
    copied = share > COPIED_SHARE
    words = "copies" if copied else "takes as it is"
    return Seen(f"it {words} a request of {given >> 20} MiB: grew by {share:.0%} of it", "no" if copied else "yes")


def uses_threads(bench: Bench) -> str:
    """How many threads share the work under the setting with two, whose CPU time may not be that of more."""
    setting = _together(bench)
    session = _load(bench, heavy.WORK, setting)
    if session is None:
        return Seen("not seen: the engine refused the model", "")
    request = heavy.request(heavy.WORK)
    session.infer(request)
    before, started = _thread_times(), time.monotonic()
    while time.monotonic() < started + BUSY_S:
        session.infer(request)
    seconds = time.monotonic() - started
    used = [after - before.get(thread, 0.0) for thread, after in _thread_times().items()]
    busy, cores = sum(each > BUSY_SHARE * max(used) for each in used), sum(used) / seconds
    require(
        cores < setting.threads + SPARE_CORES,
        f"it takes {cores:.1f} cores under {setting.name}, which has {setting.threads} threads",
    )
    return Seen(f"{busy} under {setting.name}, {cores:.1f} cores' time", str(min(busy, setting.threads)))


def releases_gil(bench: Bench) -> str:
    """Whether another thread runs Python during a call; instances that are threads need that."""
    session = _load(bench, heavy.WORK, _apart(bench))
    if session is None:
        return Seen("not seen: the engine refused the model", "")
    request = heavy.request(heavy.WORK)
    session.infer(request)
    share = _share_without_python(lambda: session.infer(request))
    held = share > HELD_SHARE
    words = f"no other thread ran Python for {share:.0%} of a call"
    if held and bench.backend.instances == "threads":
        raise NotConforming(f"its instances are threads, but it holds the GIL: {words}; say that they are processes")
    return Seen(f"it {'holds' if held else 'releases'} the GIL: {words}", "no" if held else "yes")


def _share_without_python(call: Callable[[], object]) -> float:
    """The longest stretch of a call in which a second thread did not run, over the call's length; the median call's."""
    last, longest, ended = time.perf_counter(), 0.0, False

    def tick() -> None:
        nonlocal last, longest
        while not ended:
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    shares = []
    try:
        for _ in range(CALLS):
            time.sleep(2 * SWITCH_S)
            longest = 0.0
            started = time.perf_counter()
            call()
            time.sleep(2 * SWITCH_S)
            shares.append(longest / (time.perf_counter() - started))
    finally:
        ended = True
        ticker.join()
        sys.setswitchinterval(interval)
    return median(shares)


def _apart(bench: Bench) -> Setting:
    """Of two cores' settings the one with the most instances, each of which has the fewest threads."""
    return bench.setting


def _together(bench: Bench) -> Setting:
    """The one with the most threads in one instance."""
    return max(bench.settings(CPUS), key=lambda setting: setting.threads)


def _key(name: str, setting: Setting) -> str:
    return f"{name}-{setting.name}"


def _load(bench: Bench, name: str, setting: Setting) -> Session | None:
    path = bench.folder.artifact(_key(name, setting))
    if not path.exists():
        return None
    artifact: Artifact = pickle.loads(path.read_bytes())
    return bench.backend.load(artifact, setting, bench.device)


def _thread_times() -> dict[int, float]:
    """CPU seconds by thread."""
    return {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}


def _forget_peak() -> int | None:
    """Start the peak of resident memory anew; gives it in bytes, None where the kernel does not let us."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


HEAVY = (builds_heavy,)
APART = (takes_inputs, releases_gil)
TOGETHER = (uses_threads,)
