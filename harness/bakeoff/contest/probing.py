"""What the backends say of themselves, each in a child process of its own, and the candidates that follow."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path

from bakeoff.backends import Resources, configured, registered
from bakeoff.candidates import BASE
from bakeoff.contest.plan import Entry, Rival, plan, wanted_backends
from bakeoff.contest.reporter import Reporter
from bakeoff.errors import UserError
from bakeoff.measure import environments, host
from bakeoff.measure.engine_room import HERE, Interpreter, Probed, StageFailed, probe
from bakeoff.scenario import Scenario
from bakeoff.scenario.endpoint import ENDPOINT
from bakeoff.scenario.environment import APART, Environment
from bakeoff.workloads.prepared import Refusal

LISTS = "`bakeoff run --dry-run` lists them"
MOST_PRINTED = 4000
"""Characters of a failed probe's output that its row keeps: the file is gone with the probe."""

Plugin = tuple[str, Environment | None]
"""A backend's target, and the environment of its own that it runs in, if any."""


class Probes:
    """What each backend says of itself, in a child process of its own; asked once for each device and CPU budget.

    Where `make` is not set, no environment is made; with `gaps`, a precision that no backend offers is no fault, and
    with `vanished` no candidate either.
    """

    def __init__(self, reporter: Reporter, make: bool = True, gaps: bool = False, vanished: bool = False) -> None:
        self.points = registered()
        self._gaps = gaps
        self._vanished = vanished
        self._reporter = reporter
        self._make = make
        self._known: dict[tuple[str, str, Environment | None, str, Resources], Rival] = {}

    def entries(
        self,
        scenario: Scenario,
        variants: Sequence[str],
        candidates: Sequence[str],
        provisional: bool = False,
        refused: Mapping[str, Refusal] | None = None,
    ) -> tuple[Entry, ...]:
        """The scenario's plan, narrowed to `candidates` where any are named: no other backends are asked then."""
        device, asked = scenario.resources.device, scenario.resources
        resources = Resources(len(host.engine_cpus(asked.cpus)[0]), asked.memory_bytes, asked.gpus)
        everybody = self._asked_for(scenario)
        taking_part = _of(everybody, candidates)
        gaps = self._gaps or taking_part != everybody
        rivals = self._rivals(taking_part, device, resources)
        own, servers = scenario.candidates.environments, scenario.candidates.servers
        installed = [*(name for name in self.points if name != ENDPOINT), *own, *servers]
        entries = plan(scenario, variants, rivals, installed, provisional, refused, candidates, gaps)
        if self._vanished:
            return tuple(entry for entry in entries if entry.failure or entry.candidate.id in candidates)
        return _narrowed(entries, candidates)

    def _asked_for(self, scenario: Scenario) -> dict[str, Plugin]:
        """By name the plugins that take part: here, in environments of their own, and before servers."""
        found: dict[str, Plugin] = {}
        for name in wanted_backends(scenario, self.points):
            found[name] = self._target(name), None
        for name, environment in scenario.candidates.environments.items():
            found[name] = self._target(name), environment
        for name, server in scenario.candidates.servers.items():
            found[name] = configured(self._target(name), server.options()), None
        return found

    def _point(self, name: str) -> EntryPoint:
        return self.points[name.partition(APART)[0]]

    def _target(self, name: str) -> str:
        return self._point(name).value

    def _rivals(self, asked: Mapping[str, Plugin], device: str, resources: Resources) -> dict[str, Rival]:
        """Each by its name; those not asked before are asked now, together."""
        keys = {name: (name, *where, device, resources) for name, where in asked.items()}
        runners: dict[str, Interpreter] = {}
        for name, key in keys.items():
            target, environment = asked[name]
            if key not in self._known:
                try:
                    runners[name] = HERE if environment is None else self._interpreter(name, environment)
                except StageFailed as failed:
                    self._known[key] = Rival(target, failed)
        if runners:
            self._reporter.stage(f"asking what they can do here: {', '.join(runners)}")
        answers = ask_backends({name: (asked[name][0], runner) for name, runner in runners.items()}, device, resources)
        for name, answer in answers.items():
            self._known[keys[name]] = Rival(asked[name][0], answer, runners[name])
        return {name: self._known[key] for name, key in keys.items()}

    def _interpreter(self, name: str, environment: Environment) -> Interpreter:
        point = self._point(name)
        made = environment.python or environments.folder(point, environment.requirements).exists()
        if not made and not self._make:
            raise StageFailed("probe", "not-reached", "its environment is not made yet; a run makes it")
        if not made:
            self._reporter.stage(f"making the environment of {name}")
        return environments.interpreter(point, environment.python, environment.requirements)


def ask_backend(
    target: str, device: str, resources: Resources, interpreter: Interpreter = HERE
) -> Probed | StageFailed:
    """What one backend says of itself; a failure is an answer too, with the end of what the probe printed."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-probe-") as folder:
        log = Path(folder) / "probe.log"
        try:
            return probe(target, device, resources, log, interpreter=interpreter)
        except StageFailed as failed:
            printed = log.read_text(errors="replace")[-MOST_PRINTED:]
            failed.facts = {"printed": "".join(c for c in printed if c.isprintable() or c == "\n")}
            return failed


def ask_backends(
    asked: Mapping[str, tuple[str, Interpreter]], device: str, resources: Resources
) -> dict[str, Probed | StageFailed]:
    """What each of them (by name: target and interpreter) says of itself, as many at a time as there are CPUs."""

    def answer(where: tuple[str, Interpreter]) -> Probed | StageFailed:
        target, interpreter = where
        return ask_backend(target, device, resources, interpreter)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(asked, pool.map(answer, asked.values()), strict=True))


def _of(everybody: Mapping[str, Plugin], candidates: Sequence[str]) -> Mapping[str, Plugin]:
    """The backends of the named candidates; everybody where none is named, or where one's backend is unknown, so that
    the likes of it can be suggested."""
    named = {candidate.partition("/")[0] for candidate in candidates}
    if not named or not named <= everybody.keys():
        return everybody
    return {name: where for name, where in everybody.items() if name in named}


def _narrowed(entries: tuple[Entry, ...], candidates: Sequence[str]) -> tuple[Entry, ...]:
    known = {entry.candidate.id for entry in entries}
    for name in candidates:
        if name not in known:
            raise UserError(f"--candidate {name}: {_absent(name, entries)}")
    return tuple(entry for entry in entries if not candidates or entry.candidate.id in candidates)


def _absent(name: str, entries: Sequence[Entry]) -> str:
    """Why an id stands for no candidate: its backend, or its variant on it, cannot run here; else what is like it."""
    backend, *parts = name.split("/")
    for entry in entries:
        if entry.failure and entry.candidate.backend == backend and entry.candidate.variant in {BASE, *parts}:
            return f"cannot run here: {entry.failure.reason}" + (entry.failure.remedy and f"; {entry.failure.remedy}")
    close = difflib.get_close_matches(name, [entry.candidate.id for entry in entries], 1)
    return f"no such candidate; did you mean {close[0]}?" if close else f"no such candidate; {LISTS}"
