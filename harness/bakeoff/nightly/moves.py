"""What moved from one pin to the next, in words: versions, the artifact's size, quality, the question, the host."""

from __future__ import annotations

from collections.abc import Iterator

from bakeoff.decide.across.question import unlike
from bakeoff.nightly.lock import Now, differs
from bakeoff.nightly.pins import Pin, PinnedArtifact, PinnedCandidate

FIRST, GONE, NOTHING = "pinned for the first time", "no longer pinned", "nothing changed but the reason"
_NO_MATTER = ("source", "description")


def moves(former: Pin | None, pin: Pin) -> tuple[str, ...]:
    """A line for each thing that is not as the former pin has it."""
    if former is None:
        return tuple(f"{each.id}: {FIRST}, {_facts(each)}" for each in pin.candidates)
    return tuple(_lines(former, pin)) or (NOTHING,)


def _lines(former: Pin, pin: Pin) -> Iterator[str]:
    for each in unlike(former.scenario, pin.scenario):
        if each.name.partition(".")[0] not in _NO_MATTER:
            yield f"scenario: {each.name} {_shown(each.older)} -> {_shown(each.newer)}"
    if former.workload.model != pin.workload.model:
        yield "model: other bytes"
    if said := former.host.unlike(pin.host):
        yield f"host: {said}"
    for candidate in pin.candidates:
        before = former.candidate(candidate.id)
        if before is None:
            yield f"{candidate.id}: {FIRST}, {_facts(candidate)}"
        else:
            yield from (f"{candidate.id}: {line}" for line in _moved(before, candidate))
    for before in former.candidates:
        if pin.candidate(before.id) is None:
            yield f"{before.id}: {GONE}"


def _moved(before: PinnedCandidate, after: PinnedCandidate) -> Iterator[str]:
    if before.version != after.version:
        yield f"{after.backend} {before.version} -> {after.version}"
    for name, pinned, now in differs(before.lock, Now(after.lock)):
        yield f"{name} {pinned or 'absent'} -> {now or 'absent'}"
    if before.setting != after.setting:
        yield "other knobs under the same setting's name"
    if before.artifact.digest != after.artifact.digest:
        yield _artifact(before.artifact, after.artifact)
    for metric in sorted({*before.quality, *after.quality}):
        older, newer = before.quality.get(metric), after.quality.get(metric)
        if older is None or newer is None:
            yield f"{metric} {_shown(older)} -> {_shown(newer)}"
        elif older != newer:
            yield f"{metric} {older:.6g} -> {newer:.6g} ({newer - older:+.2g})"


def _artifact(before: PinnedArtifact, after: PinnedArtifact) -> str:
    if before.bytes == after.bytes:
        return f"artifact: other bytes, as many ({after.bytes:,})"
    return f"artifact {before.bytes:,} -> {after.bytes:,} bytes ({after.bytes / before.bytes - 1:+.2%})"


def _facts(candidate: PinnedCandidate) -> str:
    quality = [f"{metric} {value:.6g}" for metric, value in sorted(candidate.quality.items())]
    return ", ".join([candidate.version, f"artifact {candidate.artifact.bytes:,} bytes", *quality])


def _shown(value: object) -> str:
    return "absent" if value is None else str(value)
