"""The parent's handle on a child that plays blocks."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proofs import children

from bakeoff.backends import Option, thread_environment
from bare.ground import Built


class Failed(Exception):  # noqa: N818 - a finding
    """What an engine said when it did not do what it was asked."""


class Player:
    """A fresh process with one artifact, on the CPUs named and one thread a lane; leaving it ends the process."""

    def __init__(self, built: Built, cpus: tuple[int, ...], environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bakeoff-bare-")
        order = Path(self._folder.name) / "order"
        order.write_bytes(pickle.dumps(built))
        self._log = (Path(self._folder.name) / "log").open("w+b")
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpus)
        try:
            self._process = subprocess.Popen(
                children.python("-W", "ignore", "-m", "bare.child", str(order)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env=children.environment() | thread_environment(1) | dict(environment or {}),
            )
        finally:
            os.sched_setaffinity(0, allowed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def tell(self, do: str, **words: Any) -> None:
        """Give an order without waiting for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `heard` says why

    def heard(self) -> dict[str, Any]:
        """The answer to the earliest order that has none yet; raises Failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise Failed(f"the process ended with status {self._process.wait()}: {last[:200]}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """Give an order and wait; raises Failed."""
        self.tell(do, **words)
        return self.heard()

    def pause(self) -> None:
        """Stop the process where it is; it takes no CPU until `go_on`."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `pause`."""
        self._process.send_signal(signal.SIGCONT)

    def load(self, name: str, options: Mapping[str, Option] | None = None, path: str = "") -> None:
        """The plugin's session under this name, or with `options` the engine's bare loop."""
        self.ask("load", name=name, options=options, path=path)

    def p50_us(self, name: str, items: int, seconds: float, fewest: int = 1) -> float:
        """The median call of a block."""
        found: float = self.ask("play", name=name, items=items, seconds=seconds, fewest=fewest)["p50_us"]
        return found
