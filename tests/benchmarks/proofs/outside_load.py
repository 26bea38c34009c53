"""Makes load: one process for each CPU that computes for a while, moves memory for a while, and rests, at random.

    python tests/benchmarks/proofs/outside_load.py

It ends with its parent. Stretches of 5 to 250 ms, busy about half the time.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time

import numpy as np

from bakeoff.measure import procs

LONGEST_S = 0.25
SHORTEST_S = 0.005


def busy(seed: int, parent: int) -> None:
    """Compute, copy and sleep until the parent is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    dice = random.Random(seed)
    matrix, memory = np.ones((128, 128), np.float32), np.ones(1 << 22)
    while os.getppid() == parent:
        until = time.monotonic() + dice.uniform(SHORTEST_S, LONGEST_S)
        kind = dice.choice(("compute", "copy", "rest", "rest"))
        while time.monotonic() < until:
            if kind == "compute":
                matrix @ matrix
            elif kind == "copy":
                memory.copy()
            else:
                time.sleep(SHORTEST_S)


def main() -> None:
    """Start one for each CPU and wait."""
    processes = [
        multiprocessing.Process(target=busy, args=(seed, os.getpid()), daemon=True)
        for seed in range(len(os.sched_getaffinity(0)))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    procs.die_with_parent(os.getppid())
    main()
