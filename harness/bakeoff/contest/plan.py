"""Which candidates a scenario has: every backend x precision x setting x variant that applies and was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bakeoff.backends import FP32, Batching, Setting
from bakeoff.candidates import BASE, Candidate
from bakeoff.errors import UserError
from bakeoff.measure.engine_room import HERE, Interpreter, Probed, StageFailed
from bakeoff.scenario import Scenario
from bakeoff.scenario.endpoint import ENDPOINT
from bakeoff.scenario.environment import APART
from bakeoff.workloads.prepared import Prepared, Refusal

NOWHERE = "any"
"""The setting in the id of what cannot run here at all, whatever the setting."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate in the plan, with what its backend said of itself; `failure` where it cannot run here at all."""

    candidate: Candidate
    target: str
    instances: str = "processes"
    version: str = ""
    build_key: str = ""
    failure: StageFailed | None = None
    interpreter: Interpreter = HERE


@dataclass(frozen=True, slots=True)
class Rival:
    """A backend that takes part: its plugin ("module:Class"), what runs it, and what it said of itself there."""

    target: str
    probed: Probed | StageFailed
    interpreter: Interpreter = HERE


@dataclass(frozen=True, slots=True)
class Question:
    """A scenario with all that is needed to try it: its prepared workload and its candidates."""

    scenario: Scenario
    prepared: Prepared
    entries: tuple[Entry, ...]


def wanted_backends(scenario: Scenario, installed: Iterable[str]) -> tuple[str, ...]:
    """The backends that the scenario asks for in this environment; raises UserError where one is not installed.

    The one that drives servers takes part as often as the scenario names servers, and not by itself.
    """
    known = tuple(installed)
    if not known:
        raise UserError("no backend is installed; pip install 'bakeoff[onnxruntime]' brings one")
    asked, own = scenario.candidates.backends, scenario.candidates.environments
    named = [("backends", name) for name in asked or ()]
    named += [("environments", name.partition(APART)[0]) for name in own]
    named += [("endpoints", ENDPOINT)] if scenario.candidates.endpoints else []
    for key, name in named:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"installed are {', '.join(known)}"
            raise UserError(f"{scenario.source or scenario.name}: candidates.{key}: {name}: unknown backend; {hint}")
    if asked is not None and ENDPOINT in asked and not scenario.candidates.endpoints:
        where = f"{scenario.source or scenario.name}: candidates.backends: {ENDPOINT}"
        raise UserError(f"{where}: drives servers, and none is named; name them in candidates.endpoints")
    return tuple(name for name in known if name != ENDPOINT and (asked is None or name in asked))


def plan(
    scenario: Scenario,
    variants: Iterable[str],
    rivals: Mapping[str, Rival],
    installed: Collection[str],
    provisional: bool = False,
    refused: Mapping[str, Refusal] | None = None,
    candidates: Collection[str] = (),
    gaps: bool = False,
) -> tuple[Entry, ...]:
    """The entries in the order in which they are worth trying: the incumbent, then each backend's best preset first.

    `rivals` are the backends that take part, by name, out of all that are `installed`.

    What a backend offers on request alone takes part where the scenario, or an id among `candidates`, names it.
    Where the verdict will be `provisional` the lossy ones, which cannot win then, come last. Raises UserError where the
    scenario names a precision or setting that nobody offers, unless `gaps` are allowed.
    """
    entries: list[tuple[tuple[int, ...], Entry]] = []
    device, incumbent = scenario.resources.device, scenario.incumbent.candidate if scenario.incumbent else None
    for order, (backend, rival) in enumerate(rivals.items()):
        target, probed, interpreter = rival.target, rival.probed, rival.interpreter
        if isinstance(probed, StageFailed):
            nowhere = Candidate(backend, FP32, Setting(name=NOWHERE), BASE, device)
            entries.append(((1, 0, 0, 0, 0, order), Entry(nowhere, target, failure=probed)))
            continue
        server = scenario.candidates.servers.get(backend)
        served = enumerate(variants) if server is None else enumerate([server.variant])
        for v, variant in served:
            if refused and variant in refused:
                why = refused[variant]
                failure = StageFailed("compress", why.outcome, why.reason, why.remedy)
                nowhere = Candidate(backend, FP32, Setting(name=NOWHERE), variant, device)
                entries.append(((1, 0, 0, v, 0, order), Entry(nowhere, target, failure=failure)))
                continue
            wanted = None if server else scenario.candidates.precisions
            for p, precision in enumerate(_only(probed.precisions, wanted)):
                for s, (setting, build_key) in enumerate(_settings(probed, scenario, everything=server is not None)):
                    candidate = Candidate(backend, precision, setting, variant, device)
                    named = server is not None or candidate.id in {incumbent, *candidates}
                    if not (named or _by_default(candidate, probed, scenario)):
                        continue
                    key = (int(candidate.id != incumbent), int(provisional and candidate.lossy), s, v, p, order)
                    said = (probed.instances, probed.facts.version, build_key)
                    entry = Entry(candidate, target, *said, interpreter=interpreter)
                    entries.append((key, entry))
    if not gaps:
        _check_filters(scenario, rivals)
    _check_incumbent(scenario, [entry for _, entry in entries], installed)
    return tuple(entry for _, entry in sorted(entries, key=lambda pair: pair[0]))


def _only(offered: Iterable[str], asked: tuple[str, ...] | None) -> list[str]:
    return [name for name in offered if asked is None or name in asked]


def _by_default(candidate: Candidate, probed: Probed, scenario: Scenario) -> bool:
    """Whether a candidate that the filters let pass takes part unnamed: at a precision that a recipe of its variant
    ends with, or at the usual ones where one ends with none; what is on request, where a filter names it."""
    asked, pinned = scenario.candidates, scenario.recipes.get(candidate.variant, frozenset({None}))
    usual = candidate.precision not in probed.on_request or asked.precisions is not None
    at_precision = candidate.precision in pinned or (None in pinned and usual)
    return at_precision and (not candidate.setting.on_request or asked.settings is not None)


def _settings(probed: Probed, scenario: Scenario, everything: bool) -> list[tuple[Setting, str]]:
    """The settings asked for (or `everything` there is), each with its build key: those that serve each request alone,
    then all behind each batcher, which share the artifacts of the former."""
    asked = None if everything else scenario.candidates.settings
    alone = [
        (setting, probed.build_keys[setting.name])
        for setting in probed.settings
        if asked is None or setting.name in asked
    ]
    batchers = [Batching(batcher.items, batcher.wait_ms) for batcher in scenario.candidates.batching]
    return alone + [(setting.batched(batching), key) for batching in batchers for setting, key in alone]


def _check_filters(scenario: Scenario, rivals: Mapping[str, Rival]) -> None:
    """A precision or setting that no running backend offers is a slip of the pen, not an empty contest."""
    running = [rival.probed for rival in rivals.values() if isinstance(rival.probed, Probed)]
    offers = {
        "precisions": {name for probed in running for name in probed.precisions},
        "settings": {setting.name for probed in running for setting in probed.settings},
    }
    for key, offered in offers.items():
        for name in getattr(scenario.candidates, key) or ():
            if running and name not in offered:
                where = f"{scenario.source or scenario.name}: candidates.{key}: {name}"
                raise UserError(f"{where}: no backend offers it here; offered are {', '.join(sorted(offered))}")


def _check_incumbent(scenario: Scenario, entries: list[Entry], installed: Collection[str]) -> None:
    """An incumbent of a backend that takes part must be one of its candidates."""
    asked = scenario.incumbent.candidate if scenario.incumbent else None
    if asked is not None and asked.split("/")[0] not in installed:
        where = f"{scenario.source or scenario.name}: incumbent: {asked}"
        raise UserError(f"{where}: its backend is not installed; installed are {', '.join(installed)}")
    if asked is None or any(entry.candidate.id == asked for entry in entries):
        return
    rivals = [entry for entry in entries if entry.candidate.backend == asked.split("/")[0] and entry.failure is None]
    if rivals and not (scenario.candidates.precisions or scenario.candidates.settings):
        known = ", ".join(entry.candidate.id for entry in rivals[:6])
        raise UserError(f"{scenario.source or scenario.name}: incumbent: {asked}: no such candidate; there are {known}")
