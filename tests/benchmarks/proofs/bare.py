"""An engine alone: a process that loads an artifact, answers requests, and prints its resident size as JSON.

Nothing of the harness is in it but the plugin, which calls the engine, and the reader of the mapped requests; what
these two weigh (`imports_bytes`) is given beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

CALLS_S = 1.0


def _resident_bytes(without: str = "") -> int:
    """Resident size, leaving out what is mapped from the folder `without`."""
    total_kb, counted = 0, True
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split(maxsplit=5)
        if not words[0].endswith(":"):
            counted = not (without and len(words) == 6 and words[5].startswith(f"{without}/"))
        elif counted and words[0] == "Rss:":
            total_kb += int(words[1])
    return total_kb * 1024


def main(order: str) -> None:
    """Load what the order names and call it with every size of request, then for a second."""
    asked = json.loads(order)
    before = _resident_bytes()
    from bakeoff.backends import Artifact, Setting, Tensor, create
    from bakeoff.workloads.prepared import Prepared

    imports_bytes = _resident_bytes() - before
    inputs = tuple(Tensor(**each | {"shape": tuple(each["shape"])}) for each in asked["inputs"])
    artifact = Artifact(Path(asked["path"]), asked["precision"], inputs, tuple(asked["outputs"]))
    session = create(asked["target"]).load(artifact, Setting(**asked["setting"]), asked["device"])
    pool = Prepared.read(Path(asked["prepared"])).requests()
    until = time.monotonic() + CALLS_S
    for index in np.unique(pool.items, return_index=True)[1][::-1].tolist():
        session.infer(pool.get(index))
    index = 0
    while time.monotonic() < until:
        session.infer(pool.get(index % pool.count))
        index += 1
    size = _resident_bytes(asked["prepared"])
    sys.stdout.write(json.dumps({"alone_bytes": size, "imports_bytes": imports_bytes}) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
