"""A child of the suite: `python -m bakeoff.conformance --check STAGE --target MODULE:CLASS --folder FOLDER`."""

from __future__ import annotations

import argparse
import ctypes
import json
import signal
import sys
from pathlib import Path

from bakeoff.conformance import building, habits, using
from bakeoff.conformance.bench import Bench, NotConforming, Seen
from bakeoff.conformance.stages import NAMES, Folder

PR_SET_PDEATHSIG = 1
STAGES = {
    "contract": building.CONTRACT,
    "probe": building.PROBE,
    "model": building.MODEL,
    "refusal": building.REFUSAL,
    "build": building.BUILD,
    "use": using.USE,
    "heavy": habits.HEAVY,
    "apart": habits.APART,
    "together": habits.TOGETHER,
}


def main() -> None:
    """Run the stage's checks in order and write each result at once; stop at the first that breaks the rest."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parser = argparse.ArgumentParser(prog="python -m bakeoff.conformance")
    parser.add_argument("--check", required=True, choices=NAMES)
    parser.add_argument("--target", required=True)
    parser.add_argument("--precision", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", required=True, type=Path)
    asked = parser.parse_args()
    folder = Folder(asked.folder)
    bench = Bench(asked.target, folder, asked.precision, asked.device)
    with folder.results(asked.check, asked.precision).open("a") as sink:
        for number, (name, check) in enumerate(zip(NAMES[asked.check], STAGES[asked.check], strict=True)):
            cell = ""
            try:
                ok, detail = True, check(bench)
                cell = detail.cell if isinstance(detail, Seen) else ""
            except NotConforming as problem:
                ok, detail = False, str(problem)
            except Exception as error:
                ok, detail = False, f"{type(error).__name__}: {error}"
            sink.write(json.dumps({"name": name, "ok": ok, "detail": detail, "cell": cell}) + "\n")
            sink.flush()
            if number == 0 and not ok:
                return


if __name__ == "__main__":
    main()
