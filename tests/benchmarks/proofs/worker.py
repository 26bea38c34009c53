"""What a worker adds to the memory that its engine alone needs."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

from bakeoff.backends import thread_environment
from bakeoff.measure.engine_room import Engine, Order
from proofs import children, shop
from proofs.proof import Proof

LIMIT_MB = 60.0
SECONDS = 2.0
QPS = 300.0


def worker() -> Proof:
    """For each engine: the worker's resident size after it has served, less that of a bare script that infers."""
    asked = shop.question(shop.ENGINES)
    added: dict[str, float] = {}
    figures: dict[str, float | int | str | None] = {}
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as folder:
        for name in shop.ENGINES:
            order, engine = shop.order(asked, name, Path(folder)), name.partition("/")[0]
            alone_mb, imports_mb = alone(order)
            served_mb = served(order)
            added[engine] = served_mb - alone_mb + imports_mb
            figures |= {f"{engine}_alone_mb": alone_mb - imports_mb, f"{engine}_worker_mb": served_mb}
    return Proof(
        "memory that a worker adds to what its engine alone needs",
        f"at most {LIMIT_MB:.0f} MB",
        ", ".join(f"{engine} {mb:.0f} MB" for engine, mb in added.items()),
        max(added.values()) <= LIMIT_MB,
        figures,
    )


def alone(order: Order) -> tuple[float, float]:
    """The bare script's resident size in MB (10^6 bytes), and what the plugin's own imports are of it."""
    asked = {
        "target": order.target,
        "path": str(order.artifact.path),
        "precision": order.artifact.precision,
        "inputs": [asdict(tensor) for tensor in order.artifact.inputs],
        "outputs": list(order.artifact.outputs),
        "setting": asdict(order.setting),
        "device": order.device,
        "prepared": str(order.prepared),
    }
    done = subprocess.run(
        children.python("-m", "proofs.bare", json.dumps(asked)),
        env=children.environment() | thread_environment(order.setting.threads),
        preexec_fn=lambda: os.sched_setaffinity(0, order.cpus),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return found["alone_bytes"] / 1e6, found["imports_bytes"] / 1e6


def served(order: Order) -> float:
    """The worker's resident size in MB once it has served a closed and an open block."""
    from bakeoff.measure.traffic import poisson

    with Engine.start(order, 120.0) as engine:
        blocks = [engine.closed(SECONDS), engine.open(poisson(QPS, SECONDS, 1), 5.0)]
        return max(int(block.facts["memory_bytes"]) for block in blocks) / 1e6
