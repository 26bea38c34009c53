"""`bakeoff doctor`: what each backend can do here, what this machine is, and how noisy it is now."""

from __future__ import annotations

from typing import Any

from bakeoff.backends import Resources, registered
from bakeoff.contest.probing import ask_backends
from bakeoff.errors import UserError
from bakeoff.measure import host, loadgen
from bakeoff.measure.energy import Energy
from bakeoff.measure.engine_room import HERE, Probed, StageFailed
from bakeoff.scenario.device import check_device, gpus_of


def checkup(device: str) -> dict[str, Any]:
    """JSON-able: `backends` (a dict each: backend, available, version, reason, remedy …), and what every run records:
    `host`, `environment`, `noise`; `measuring` says what the load generator can have here.

    Raises UserError for a device that is none.
    """
    try:
        check_device(device)
    except ValueError as error:
        raise UserError(f"--device {device}: {error}") from None
    resources = Resources(len(host.engine_cpus(None)[0]), gpus=len(gpus_of(device)))
    answers = ask_backends({name: (point.value, HERE) for name, point in registered().items()}, device, resources)
    return {
        "backends": [_told(name, answer) for name, answer in answers.items()],
        "host": host.facts(),
        "environment": host.environment(),
        "measuring": _measuring(device),
        "noise": host.noise(),
    }


def _measuring(device: str) -> dict[str, Any]:
    """The CPUs by default, whether the generator may have real-time priority, and where energy can be read from."""
    engine_cpus, generator_cpu = host.engine_cpus(None)
    with loadgen.generator(generator_cpu) as got:
        energy = Energy.now(device).since()
    return {
        "engine_cpus": list(engine_cpus),
        "generator_cpu": generator_cpu,
        "realtime_priority": bool(got["generator_realtime"]),
        "energy": energy.get("energy_source", "not readable"),
    }


def _told(name: str, answer: Probed | StageFailed) -> dict[str, Any]:
    if isinstance(answer, StageFailed):
        return {
            "backend": name,
            "available": False,
            "version": None,
            "reason": answer.reason,
            "remedy": answer.remedy,
            "precisions": [],
        }
    return {
        "backend": name,
        "available": True,
        "version": answer.facts.version,
        "reason": None,
        "remedy": None,
        "precisions": list(answer.precisions),
        "details": dict(answer.facts.details),
    }
