"""What the generator takes from an engine: its throughput under more load than it can carry, beside a closed loop's."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np

from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine
from proofs import shop
from proofs.proof import Proof

PAIRS = 20
SECONDS = 2.0
SETTLED_S = 0.3
OVERLOAD = 1.25
LEAST = 0.97


def saturated(pairs: int = PAIRS) -> Proof:
    """The median ratio of open to closed throughput, in pairs that take turns in coming first."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as folder, _engine(Path(folder)) as engine:
        found = [_pair(engine, seed) for seed in range(pairs)]
    ratio, cpu = (statistics.median(pair[which] for pair in found) for which in ("ratio", "cpu_ratio"))
    bare_qps = statistics.median(pair["closed_qps"] for pair in found)
    return Proof(
        f"throughput of {shop.ENGINE} with the generator attached, saturated, against a closed loop over the same"
        f" lanes ({pairs} pairs)",
        f"at least {LEAST:.0%}",
        f"{ratio:.1%} of {bare_qps:,.0f} requests/s, at {cpu:.1%} of the CPU time a request",
        ratio >= LEAST,
        {"ratio": ratio, "cpu_ratio": cpu, "closed_qps": bare_qps, "lowest": min(pair["ratio"] for pair in found)},
    )


def _engine(folder: Path) -> Engine:
    return Engine.start(shop.order(shop.question([shop.ENGINE]), shop.ENGINE, folder), 120.0)


def _pair(engine: Engine, seed: int) -> dict[str, float]:
    """An open and a closed block over the same requests; they take turns in coming first."""
    qps = OVERLOAD * throughput_qps(engine.closed(SETTLED_S + 0.5, seed=seed))
    arrivals_ns = (np.arange(SECONDS * qps) * 1e9 / qps).astype(np.int64)
    if seed % 2:
        closed = engine.closed(SECONDS, seed=seed)
        attached = engine.open(arrivals_ns, 0.0, seed)
    else:
        attached = engine.open(arrivals_ns, 0.0, seed)
        closed = engine.closed(SECONDS, seed=seed)
    bare_qps = throughput_qps(closed)
    return {
        "ratio": throughput_qps(attached) / bare_qps,
        "cpu_ratio": attached.cpu_ms_per_request() / closed.cpu_ms_per_request(),
        "closed_qps": bare_qps,
    }


def throughput_qps(block: Block) -> float:
    """Answers per second, from when the block has settled until its load ends."""
    done_s = np.sort(block.done_ns[block.answered]) / 1e9
    inside = done_s[(done_s >= SETTLED_S) & (done_s <= float(block.scheduled_ns[-1]) / 1e9)]
    return float((len(inside) - 1) / (inside[-1] - inside[0]))
