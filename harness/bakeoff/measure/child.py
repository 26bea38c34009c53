"""One worker process as the parent sees it: started by command line, heard with a time limit, ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.backends import thread_environment
from bakeoff.measure import gpu, procs
from bakeoff.measure.guard import guard
from bakeoff.measure.wire import Channel, Message
from bakeoff.scenario.device import CPU

_SLICE_S = 0.05
_LAST_WORDS_BYTES = 4096


class StageFailed(Exception):  # noqa: N818 - a result, not an error
    """A stage that a candidate did not pass. `outcome` is one of the ledger's, `reason` one short line."""

    def __init__(
        self, stage: str, outcome: str, reason: str, remedy: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{stage}: {outcome}: {reason}")
        self.stage = stage
        self.outcome = outcome
        self.reason = reason
        self.remedy = remedy
        self.facts: dict[str, Any] = dict(facts or {})


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What runs children: `python`, and the folder where it finds our packages ("": they are installed there)."""

    python: str = sys.executable
    packages: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What it wants set."""
        return {"PYTHONPATH": self.packages} if self.packages else {}


HERE = Interpreter()


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start children: the CPU ids they may use, threads an engine may use, memory limit, log, interpreter, and
    the device whose GPUs they see."""

    log: Path
    cpus: tuple[int, ...]
    threads: int
    memory_bytes: int | None = None
    mapped: Path = Path("/nonexistent")
    interpreter: Interpreter = HERE
    device: str = CPU


class Child:
    """A handle on one worker process. Start it from a thread that outlives it: the kernel ties the two together.

    Raises StageFailed where it cannot be started.
    """

    def __init__(self, verb: str, key: str, launch: Launch, inherit: Sequence[int] = ()) -> None:
        ours, theirs = socket.socketpair()
        command = [launch.interpreter.python, "-X", "faulthandler", "-m", "bakeoff.measure.worker"]
        command += [verb, str(theirs.fileno()), str(os.getpid())]
        marks = {procs.MARK: guard().mark(key)}
        environment = os.environ | thread_environment(launch.threads) | gpu.environment(launch.device)
        environment |= launch.interpreter.environment | marks
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = launch.log.stat().st_size if launch.log.exists() else 0
        self.started_ns = time.monotonic_ns()
        with theirs, launch.log.open("ab") as log, _affinity(launch.cpus):
            try:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    pass_fds=(theirs.fileno(), *inherit),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise _cannot_start(verb, launch, error) from None
        self.channel = Channel(ours)
        self._log = launch.log
        self._key = key

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; that the child is gone shows when its reply is awaited."""
        with contextlib.suppress(OSError):
            self.channel.send(message)

    def reply(self, stage: str, deadline: float) -> Message:
        """The child's next message, by `deadline` (time.monotonic()).

        Raises StageFailed: "timeout", "crashed" or "out-of-memory" where none comes, else what the child reports.
        """
        message = self._next(stage, deadline)
        if "outcome" in message:
            facts = {"log": str(self._log)}
            raise StageFailed(stage, message["outcome"], message["reason"], message.get("remedy", ""), facts)
        return message

    def kill(self) -> None:
        """End it and its process group now."""
        procs.kill_group(self.process.pid)
        self.process.wait()
        self.channel.close()

    def end(self, patience_s: float = 2.0) -> None:
        """Ask it to close; end it where it does not."""
        self.send({"do": "close"})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience_s)
        self.kill()

    def _next(self, stage: str, deadline: float) -> Message:
        while True:
            gone = self.process.poll() is not None
            try:
                message = self.channel.receive(0.0 if gone else min(_SLICE_S, max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                if gone:
                    raise self._died(stage) from None
                if time.monotonic() >= deadline:
                    self.kill()
                    raise self._failure(stage, "timeout", "no answer within the time limit") from None
                continue
            if message is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(1.0)
                raise self._died(stage)
            return message

    def _died(self, stage: str) -> StageFailed:
        self.kill()
        size = guard().killed_at_bytes(self._key)
        if size is not None:
            return self._failure(stage, "out-of-memory", f"grew to {size / 2**20:.0f} MiB, above the limit")
        code = self.process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        words = self.last_words()
        return self._failure(stage, "crashed", f"{how}: {words}" if words else how)

    def _failure(self, stage: str, outcome: str, reason: str) -> StageFailed:
        return StageFailed(stage, outcome, reason[:300], facts={"log": str(self._log)})

    def last_words(self) -> str:
        """The last line that the engine printed, without the traceback that faulthandler appends."""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _LAST_WORDS_BYTES))
            text = log.read().decode(errors="replace").partition("Fatal Python error")[0]
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "".join(c for c in lines[-1] if c.isprintable())[:200] if lines else ""


def _cannot_start(verb: str, launch: Launch, error: OSError) -> StageFailed:
    """Such as an environment whose Python was removed."""
    python = launch.interpreter.python
    return StageFailed(
        "load" if verb == "serve" else verb,
        "unavailable",
        f"{python} cannot be started: {error.strerror}",
        f"try {python} -V",
        {"log": str(launch.log)},
    )


@contextlib.contextmanager
def _affinity(cpus: tuple[int, ...]) -> Iterator[None]:
    """Pin this thread for as long as it starts a child, which inherits it before it loads anything."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ask(verb: str, stage: str, launch: Launch, message: Mapping[str, Any], limit_s: float) -> Message:
    """Start a child, give it one order and wait for its answer; the child has ended when this returns or raises."""
    key = guard().key()
    child = Child(verb, key, launch)
    try:
        guard().watch(key, [child.process.pid], launch.memory_bytes, launch.mapped)
        child.send(message)
        return child.reply(stage, time.monotonic() + limit_s)
    finally:
        child.end()
        guard().forget(key)
