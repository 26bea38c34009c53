"""What a run rests on, in words: the host, its noise, the engines' versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.decide.judgement import Verdict
from bakeoff.show import numbers
from bakeoff.store.record import RunRecord

_FIRST = ("cpu model", "cpu", "model", "cpus", "cores", "quota", "kernel", "memory", "noise")
_MOST_IN_SHORT = 5
_LONGEST_IN_SHORT = 60


def flat_facts(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Nested facts as pairs of words, those that matter most to a reader first."""
    pairs = [(name, value) for key, value in facts.items() for name, value in _flatten(str(key), value)]
    words = [(_words(name), _value(name, value)) for name, value in pairs]
    return tuple(sorted(words, key=lambda pair: _weight(pair[0])))


def host_words(record: RunRecord) -> str:
    """The machine in a line or two; all of its facts stand elsewhere."""
    short = [
        (name, value)
        for name, value in flat_facts(record.host)
        if _weight(name) < len(_FIRST) - 1 and len(value) <= _LONGEST_IN_SHORT
    ]
    return " · ".join(f"{name} {value}" for name, value in short[:_MOST_IN_SHORT]) or "unknown"


def noise_words(record: RunRecord) -> str:
    """How restless the machine was, empty where nobody looked."""
    noise = [f"{name} {value}" for name, value in flat_facts(record.host) if name.startswith("noise")]
    return ", ".join(noise)


def engine_words(record: RunRecord, verdict: Verdict) -> str:
    """The engines in the contest, with the versions that their probes found."""
    backends = list(dict.fromkeys(one.backend for one in verdict.candidates))
    versions = _versions(record)
    return ", ".join(f"{numbers.clean(name)} {versions.get(name, '')}".strip() for name in backends) or "none"


def _versions(record: RunRecord) -> dict[str, str]:
    found = {str(name): numbers.clean(value) for name, value in record.environment.items() if isinstance(value, str)}
    for scenario in record.scenarios:
        for one in scenario.candidates:
            probe = one.row("probe")
            if probe is not None and probe.facts.get("version"):
                found[one.candidate.backend] = numbers.clean(probe.facts["version"])
    return found


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
    if isinstance(value, (list, tuple)):
        return ", ".join(_value("", item) for item in value)
    return numbers.clean(value)


def _figure(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return numbers.size(value)
    if name.endswith("_s"):
        return numbers.duration(value)
    if name.endswith("_ms"):
        return numbers.ms(value)
    return numbers.exact(value) if float(value).is_integer() else numbers.number(value)


def _weight(name: str) -> int:
    return next((place for place, word in enumerate(_FIRST) if name.startswith(word)), len(_FIRST))
