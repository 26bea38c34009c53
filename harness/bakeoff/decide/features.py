"""The CPU features that a quality was judged with, where they decide it: a precision of bytes or less.

Without an instruction that adds products of bytes in 32 bits, engines add them in 16, which saturate: the same int8
model may rank worse on another CPU.
"""

from __future__ import annotations

from collections.abc import Collection

from bakeoff.candidates import Candidate
from bakeoff.decide.wording import listed
from bakeoff.store.record import CandidateRecord

FACT = "cpu_features"
"""Where the quality stage's ledger row holds them, by the kernel's names."""
EXACT = ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "asimddp")
"""With any of these, products of bytes are added in 32 bits."""
DECIDING = ("avx2", *EXACT)


def decide_on(candidate: Candidate) -> bool:
    """Whether what a candidate loses depends on the CPU's features."""
    here = candidate.device == "cpu" and not candidate.remote
    return here and candidate.precision.startswith(("int8", "int4"))


def deciding(cpu_flags: Collection[str]) -> str:
    """Those of a CPU's flags that decide, as a ledger row holds them."""
    return " ".join(flag for flag in DECIDING if flag in cpu_flags)


def judged_alike(record: CandidateRecord, cpu_flags: Collection[str]) -> bool:
    """Whether this CPU would give the figures that are there; rows of old stores say nothing, and are believed."""
    return _judged_with(record) in (None, deciding(cpu_flags))


def lacking(record: CandidateRecord, cpu_flags: Collection[str] | None) -> str:
    """Why a quality does not hold on a CPU with these flags; empty where it does, as it does on the one that measured
    (None)."""
    exact = [flag for flag in (_judged_with(record) or "").split() if flag in EXACT]
    if cpu_flags is None or not exact or any(flag in cpu_flags for flag in EXACT):
        return ""
    return (
        f"its quality was judged with {listed(exact)}, which this CPU lacks: products of bytes may saturate here;"
        " run it on this host"
    )


def _judged_with(record: CandidateRecord) -> str | None:
    row = record.row("quality") if decide_on(record.candidate) else None
    return None if row is None else row.facts.get(FACT)
