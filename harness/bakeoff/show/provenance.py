"""What a run rests on, in words: the host and its noise before and after, the software, the engines' versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.decide.judgement import Verdict
from bakeoff.show import numbers
from bakeoff.store.record import NOISE, RunRecord

_SHORT = ("cpu", "cores", "quota cpus", "memory", "kernel")
_NOISE_NOW = {
    "lost": "time lost to others",
    "psi": "some task waited for a CPU",
    "steal": "the hypervisor took CPUs",
}


def machine_facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """The machine's facts as pairs of words, those that matter most to a reader first."""
    pairs = flat_facts({key: value for key, value in record.host.items() if key != NOISE})
    first = [(name, value) for wanted in _SHORT for name, value in pairs if name == wanted]
    return (*first, *(pair for pair in pairs if pair not in first))


def software_facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """The packages' versions, and what else was recorded of the environment."""
    others = {key: value for key, value in record.environment.items() if key not in {"packages", *record.packages}}
    return (*flat_facts(others), *flat_facts(record.packages))


def noise_looks(record: RunRecord) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Each look at the machine's noise: its "when" and its facts; where a run was resumed, "when" says in which part.

    Every part of a run begins with a look before; one that was stopped has none after. () where nobody looked.
    """
    begun = [look.get("when") == "before" for look in record.noise]
    looks = []
    for number, look in enumerate(record.noise, start=1):
        part = f" ({sum(begun[:number])})" if sum(begun) > 1 else ""
        facts = {key: value for key, value in look.items() if key != "when"}
        looks.append((numbers.clean(look.get("when", "")) + part, noise_facts(facts)))
    return tuple(looks)


def flat_facts(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Nested facts as pairs of words."""
    pairs = [(name, value) for key, value in facts.items() for name, value in _flatten(str(key), value)]
    return tuple((_words(name), _value(name, value)) for name, value in pairs)


def noise_facts(noise: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a look at the machine's noise found, in words; shares of time as percentages."""
    return tuple(
        (_NOISE_NOW[name], numbers.percent(value)) if name in _NOISE_NOW else pair
        for (name, value), pair in zip(noise.items(), flat_facts(noise), strict=True)
    )


def host_words(record: RunRecord) -> str:
    """The machine in a line or two; all of its facts stand elsewhere."""
    short = [f"{name} {value}" for name, value in machine_facts(record) if name in _SHORT and value != numbers.ABSENT]
    return ", ".join(short) or "unknown"


def cores_words(record: RunRecord, verdict: Verdict) -> str:
    """How many of the cores one replica was given."""
    asked = next((one.definition.get("resources") for one in record.scenarios if one.name == verdict.scenario), None)
    cpus = asked.get("cpus") if isinstance(asked, Mapping) else None
    if not cpus:
        return "all its cores but the load generator's to one replica"
    return f"{cpus} core{'s' if cpus != 1 else ''} a replica"


def engine_words(record: RunRecord, verdict: Verdict) -> str:
    """The engines in the contest, with the versions that their probes found, and those that could not take part."""
    here = list(dict.fromkeys(one.backend for one in verdict.candidates if one.outcome != "unavailable"))
    versions = _versions(record)
    words = ", ".join(f"{numbers.clean(name)} {versions.get(name, '')}".strip() for name in here) or "none"
    absent = dict.fromkeys(numbers.clean(one.backend) for one in verdict.candidates if one.backend not in here)
    return f"{words}; not here: {', '.join(absent)}" if absent else words


def _versions(record: RunRecord) -> dict[str, str]:
    return {
        one.candidate.backend: numbers.clean(one.facts["version"])
        for scenario in record.scenarios
        for one in scenario.candidates
        if one.facts.get("version")
    }


def _flatten(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _flatten(f"{name} {key}", inner)]
    return [(name, value)]


def _words(name: str) -> str:
    for suffix in ("_bytes", "_s", "_ms"):
        name = name.removesuffix(suffix)
    return numbers.clean(name).replace("_", " ")


def _value(name: str, value: Any) -> str:
    if value is None:
        return numbers.ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _figure(name, value)
    if isinstance(value, Mapping):
        return ", ".join(_value(key, item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_value("", item) for item in value) or "none"
    return numbers.clean(value)


def _figure(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return numbers.size(value)
    if name.endswith("_s"):
        return numbers.duration(value)
    if name.endswith("_ms"):
        return numbers.ms(value)
    return numbers.exact(value) if float(value).is_integer() else numbers.number(value)
