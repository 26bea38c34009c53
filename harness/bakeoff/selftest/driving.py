"""LoadGen as the parent sees it: a child process for each block, fed by the order and read by its logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bakeoff.errors import UserError
from bakeoff.measure.block import Int64
from bakeoff.measure.traffic import request_count
from bakeoff.selftest.bench import Bench
from bakeoff.selftest.lending import Lendable
from bakeoff.selftest.loadgen_side import SEEN, LoadGenOrder
from bakeoff.selftest.reading import Reading, loadgens

_MODULE = "mlperf_loadgen"
_PATIENCE_S = 60.0


def require_loadgen() -> None:
    """Raise UserError with the remedy where LoadGen is not installed."""
    if find_spec(_MODULE) is None:
        raise UserError("--against loadgen: MLPerf LoadGen is not installed; pip install 'bakeoff[loadgen]'")


def schedule_ns(qps: float, count: int, seed: int) -> Int64:
    """The moments (ns, from 0 on) at which LoadGen's Server scenario issues `count` requests with this seed.

    Exponential gaps in whole nanoseconds by std::mt19937, as libstdc++ draws them; not rescaled to the asked rate.
    """
    uniform = np.frombuffer(np.random.RandomState(seed).bytes(8 * count), "<u8").astype(np.float64) / 2.0**64
    gaps_ns = -np.log(1.0 - uniform) / qps * 1e9
    return np.concatenate([[0], np.cumsum(gaps_ns.astype(np.int64))[:-1]])


class LoadGen:
    """MLPerf LoadGen's Server scenario over lent engines, which tell their answers to the named pipe `answers`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._blocks = 0
        self.answers = str(bench.folder / "answers")
        os.mkfifo(self.answers)

    def block(self, engine: Lendable, qps: float, seconds: float, seed: int) -> Reading:
        """One block of about `seconds` at `qps`."""
        logs, service_ns = self._play(engine, qps, request_count(qps, seconds), seed)
        return loadgens(logs, service_ns, qps)

    def rate_qps(self, engine: Lendable, qps: float, count: int, seed: int) -> float:
        """How many requests a second it issues when asked for `qps`, more than it can."""
        logs, _ = self._play(engine, qps, count, seed)
        issued_ns = json.loads((logs / SEEN).read_text())["issued_ns"]
        return float((count - 1) / ((issued_ns[-1] - issued_ns[0]) / 1e9))

    def _play(self, engine: Lendable, qps: float, count: int, seed: int) -> tuple[Path, Int64]:
        """LoadGen's logs of a block, and the service times by the worker's stamps."""
        self._blocks += 1
        logs = self._bench.folder / f"loadgen.{self._blocks}"
        logs.mkdir()
        with engine.lent(count) as loan:
            order = LoadGenOrder(loan.pipe, self.answers, qps, count, seed, str(logs), self._bench.generator_cpu)
            _drive(order, _PATIENCE_S + 2 * count / qps)
        return logs, np.asarray(loan.done_ns - loan.started_ns)


def _drive(order: LoadGenOrder, limit_s: float) -> None:
    """Run LoadGen's process to its end; raises UserError where it fails or takes longer than `limit_s`."""
    path = Path(order.folder) / "order.json"
    path.write_text(json.dumps(asdict(order)))
    command = [sys.executable, "-m", "bakeoff.selftest.loadgen_side", str(path), str(os.getpid())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, pass_fds=[order.pipe])
    except subprocess.TimeoutExpired:
        raise UserError(f"--against loadgen: LoadGen did not end within {limit_s:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"--against loadgen: LoadGen failed: {lines[-1]}")
