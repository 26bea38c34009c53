"""What a block of a million requests takes in the parent: played, put together, packed, and written to a store.

Run as a script it is the parent: a fresh process that plays the block and prints what its memory did, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from proofs import children
from proofs.proof import Proof

REQUESTS = 1_000_000
LIMIT_MB = 80.0
QPS = 60_000.0


def million() -> Proof:
    """Peak resident memory of the parent, above what it held before the block."""
    grown = grown_mb(REQUESTS)
    peak = max(grown["played_mb"], grown["stored_mb"])
    return Proof(
        "1,000,000 requests in a block, in the parent",
        f"at most {LIMIT_MB:.0f} MB",
        f"{peak:.0f} MB at its peak ({grown['played_mb']:.0f} played, {grown['stored_mb']:.0f} packed and stored)",
        peak <= LIMIT_MB and grown["answered"] >= 0.99,
        grown,
    )


def grown_mb(requests: int) -> dict[str, float]:
    """By how many MB (10^6 bytes) a fresh parent's resident memory peaks above where it was before the block."""
    done = subprocess.run(
        children.python("-m", "proofs.million", str(requests)),
        env=children.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peak_bytes() -> int:
    from bakeoff.measure.procs import peak_resident_bytes

    return peak_resident_bytes(os.getpid())


def _forget_the_peak() -> int:
    """Have the kernel count the peak anew from here; gives the present resident size."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def _play(requests: int, folder: Path) -> dict[str, float]:
    from bakeoff.backends import Setting
    from bakeoff.candidates import Candidate
    from bakeoff.measure.engine_room import Engine
    from bakeoff.measure.traffic import poisson
    from bakeoff.store.store import Store
    from proofs.echo import echo_order

    candidate = Candidate("echo", "fp32", Setting("1x1"))
    with Store.open(folder / "runs.db") as store, Engine.start(echo_order(folder), 60.0) as engine:
        run = store.begin("a proof", {}, {})
        store.add_scenario(run, "proof", {}, {})
        store.add_candidate(run, "proof", candidate)
        store.add_block(run, "proof", candidate.id, 0, 0, engine.open(poisson(QPS, 0.1, 1), 5.0, 1))
        before = _forget_the_peak()
        block = engine.open(poisson(QPS, requests / QPS, 2), 30.0, 2)
        played, answered = _peak_bytes() - before, float(block.answered.mean())
        _forget_the_peak()
        store.add_block(run, "proof", candidate.id, 1, 0, block)
        return {
            "requests": len(block),
            "played_mb": played / 1e6,
            "stored_mb": (_peak_bytes() - before) / 1e6,
            "packed_mb": len(block.to_bytes()) / 1e6,
            "answered": answered,
        }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as place:
        sys.stdout.write(json.dumps(_play(int(sys.argv[1]), Path(place))) + "\n")
