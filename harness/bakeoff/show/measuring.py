"""How a scenario was measured, in sentences: the machine's noise meanwhile, the generator, what it took."""

from __future__ import annotations

from bakeoff.decide.judgement import Verdict
from bakeoff.decide.noise import Measuring, measuring
from bakeoff.show import numbers
from bakeoff.store.record import RunRecord


def measuring_words(record: RunRecord, verdict: Verdict) -> tuple[str, ...]:
    """What a reader must know of the measuring, the noise first; empty where nothing was measured."""
    for scenario in record.scenarios:
        if scenario.name == verdict.scenario:
            return words(measuring(scenario), verdict)
    return ()


def words(found: Measuring, verdict: Verdict) -> tuple[str, ...]:
    """The same of what was found."""
    lines = (_noise(found), _generator(found), _lateness(found), preparation_words(verdict), _energy(found, verdict))
    return tuple(line for line in lines if line)


def preparation_words(verdict: Verdict) -> str:
    """How much of the service time preparing features took, the choice's first; empty where that was not timed."""
    shares = [one.preparation_share for one in verdict.candidates if one.preparation_share is not None]
    if not shares:
        return ""
    least, most = numbers.percent(min(shares)), numbers.percent(max(shares))
    of_all = most if least == most else f"{least} to {most}"
    chosen = verdict.choice.preparation_share if verdict.choice else None
    if chosen is None:
        return f"Preparing features takes {of_all} of the service time."
    others = f" ({of_all} among all candidates)" if least != most else ""
    return f"Preparing features takes {numbers.percent(chosen)} of the choice's service time{others}."


def _noise(found: Measuring) -> str:
    shares = ((found.psi, "some task waited for a CPU"), (found.steal, "the hypervisor took CPUs"))
    parts = [
        f"{what} {numbers.percent(share[0])} of the time (worst block {numbers.percent(share[1])})"
        for share, what in shares
        if share is not None
    ]
    if found.worker_switches_per_s is not None:
        parts.append(f"another task took an engine's CPU {numbers.number(found.worker_switches_per_s)} times a second")
    if found.disk_faults:
        parts.append(f"engines waited for the disk {found.disk_faults:,} times, for pages not in memory")
    return f"While it measured, {', '.join(parts)}." if parts else ""


def _generator(found: Measuring) -> str:
    if not found.open_blocks:
        return ""
    own = "had a CPU of its own"
    if found.shared:
        own = f"shared the engines' CPUs and took {numbers.percent(found.generator_share)} of their time"
    if not found.unprivileged:
        return f"The load generator {own}, and had real-time priority."
    return (
        f"The load generator {own}. It had no real-time priority, which this user may not set: "
        "other tasks on its CPU delay it."
    )


def _lateness(found: Measuring) -> str:
    if not found.open_blocks:
        return ""
    if not found.disturbed:
        return "In no block was it late against the SLA."
    causes = "; ".join(f"{numbers.clean(cause)} ({count})" for cause, count in found.disturbed.items())
    return f"In {sum(found.disturbed.values())} of {found.watched} blocks it was late against the SLA: {causes}."


def _energy(found: Measuring, verdict: Verdict) -> str:
    if not found.blocks:
        return ""
    choice = verdict.choice
    joules = found.energy_j.get(choice.candidate) if choice and not choice.remote else None
    if joules is not None:
        return (
            f"While the choice was measured the machine took {numbers.number(joules * 1e3)} mJ a request, "
            f"idle parts and other tasks included ({numbers.clean(found.energy_source)})."
        )
    return "" if found.energy_j else "Energy could not be read on this machine."
