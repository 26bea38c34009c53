"""Tells a terminal how a contest goes on: a bar with the time left, and plain lines where there is no terminal.

Nothing is drawn and no thread wakes while `quiet()` is entered, so that showing never disturbs measuring.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bakeoff.decide.judgement import NO_FAILURE
from bakeoff.show.numbers import clean, duration
from bakeoff.store.record import OK

_REDRAW_S = 0.5
_PLAIN_LINE_S = 10.0
_BAR_WIDTH = 24


class Progress:
    """A reporter and context manager. Writes to standard error unless another console is given."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._started_s = clock()
        self._stage = "getting ready"
        self._longest_left_s = 0.0
        self._ends_s: float | None = None
        self._plain_said_s = float("-inf")
        self._quiet = 0
        self._awake = threading.Event()
        self._closed = threading.Event()
        self._live: Live | None = None
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(self._draw(), console=self.console, auto_refresh=False, transient=True)
            self._live.start()
            self._awake.set()
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._awake.set()
        if self._ticker is not None:
            self._ticker.join()
        if self._live is not None:
            self._live.stop()

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        self._stage = clean(text)
        if self._live is None:
            self._say(self._stage)
        self._refresh()

    def candidate(self, candidate: str, stage: str, outcome: str, reason: str = "") -> None:
        """A candidate ended a stage; only what went wrong earns a line of its own."""
        if outcome == OK:
            return
        line = f"{clean(candidate)}: {clean(stage)}: {clean(outcome)}" + (f" ({clean(reason)})" if reason else "")
        self._say(line, style="dim" if outcome in NO_FAILURE else "yellow")

    def measuring(self, what: str, seconds_left: float | None) -> None:
        """`what` is measured next; `seconds_left` of the budget remain, None where there is no budget."""
        self._stage = f"measuring {clean(what)}"
        now_s = self._clock()
        self._ends_s = None if seconds_left is None else now_s + seconds_left
        self._longest_left_s = max(self._longest_left_s, seconds_left or 0.0)
        if self._live is None and now_s - self._plain_said_s >= _PLAIN_LINE_S:
            self._plain_said_s = now_s
            self._say(self._stage + (f", {duration(round(seconds_left))} left" if seconds_left is not None else ""))
        self._refresh()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Entered around every measured block: until it is left, nothing is drawn and the redrawing thread sleeps."""
        self._quiet += 1
        self._awake.clear()
        try:
            yield
        finally:
            self._quiet -= 1
            if not self._quiet:
                self._awake.set()

    def _say(self, line: str, style: str = "") -> None:
        spent = Text(f"{self._clock() - self._started_s:6.0f} s  ", style="dim")
        text = spent + Text(line, style=style)
        self.console.print(text, soft_wrap=self._live is None)

    def _refresh(self) -> None:
        if self._live is not None and not self._quiet:
            self._live.update(self._draw(), refresh=True)

    def _tick(self) -> None:
        while not self._closed.wait(_REDRAW_S):
            self._awake.wait()
            if not self._closed.is_set():
                self._refresh()

    def _draw(self) -> RenderableType:
        spent_s = self._clock() - self._started_s
        stage = Text(self._stage, overflow="ellipsis", no_wrap=True)
        grid = Table.grid(padding=(0, 2))
        if self._ends_s is None:
            grid.add_row(ProgressBar(pulse=True, width=_BAR_WIDTH, animation_time=spent_s), duration(round(spent_s)))
        else:
            left_s = max(0.0, self._ends_s - self._clock())
            done = 1 - left_s / self._longest_left_s if self._longest_left_s else 1.0
            grid.add_row(ProgressBar(1.0, done, width=_BAR_WIDTH), f"{duration(round(left_s))} left")
        return Group(stage, grid)
