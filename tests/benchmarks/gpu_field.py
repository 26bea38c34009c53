"""Engines on a GPU beside those on the CPU, by batch size, as a text for results/gpu/.

    python tests/benchmarks/gpu_field.py > results/gpu/MY-CARD.txt
    python tests/benchmarks/gpu_field.py --device cpu --batches 1,32 --workload model.pt2

A call takes host arrays and gives host arrays back: the copies are part of it. GB/s and GFLOP/s are the least that a
call has to read, write and compute, over its median; activations are left out. A break-even compares one call after the
other; what an SLA allows, `bakeoff run` says, with resources: {device: cuda} and a price per gpu-hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from field.running import ENGINES, Field
from field.telling import break_even, ceiling_lines, table

from bakeoff.backends import Unavailable
from bakeoff.measure import host
from bakeoff_backends.nvidia_driver import Driver

WORKLOADS = ("ctr-dlrm", "feed-sasrec", "search-biencoder")
BATCHES = tuple(2**power for power in range(13))
NO_GPU = 1
NOTHING = "Nothing was measured"


def main(words: Sequence[str] | None = None) -> int:
    """Print each part when it is there; NO_GPU where a GPU was asked for and none was measured."""
    asked = _asked(words)
    devices = ("cpu", "cuda") if asked.device == "cuda" else ("cpu",)
    facts, measured = host.facts(), 0
    _tell(f"{facts['cpu']}; {asked.cpus} core(s); GPUs: {', '.join(card['name'] for card in facts['gpus']) or 'none'}")
    if asked.device == "cuda":
        try:
            Driver()
        except Unavailable as absent:
            _tell(f"{NOTHING}: {absent.reason}; {absent.remedy}")
            return NO_GPU
    with tempfile.TemporaryDirectory(prefix="bakeoff-field-") as scratch:
        field = Field(devices, asked.precision or ["fp32"], asked.cpus, Path(scratch))
        ceilings = field.ceilings()
        _tell(*ceiling_lines(ceilings))
        for workload in asked.workload or WORKLOADS:
            work = field.work(workload, asked.batches)
            rows = list(field.rows(workload, asked.batches, asked.engine or ENGINES, _progress))
            _tell("", workload, *table(rows, asked.batches, work, ceilings))
            _tell(*break_even(rows, asked.batches, asked.gpu_price, asked.core_price, asked.cpus))
            measured += sum(bool(row.seconds) for row in rows if row.device == asked.device)
    if not measured:
        _tell("", f"{NOTHING}: no engine ran on {asked.device} here")
    return 0 if measured else NO_GPU


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cuda: the first GPU, and the CPU")
    parser.add_argument("--batches", type=_batches, default=BATCHES, help="such as 1,32,1024")
    parser.add_argument("--workload", action="append", help="built-in or a .pt2 file; may be given again")
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--precision", action="append", help="fp32 by default; tf32, bf16, fp16")
    parser.add_argument("--cpus", type=int, default=1, help="cores of a replica")
    parser.add_argument("--gpu-price", type=float, default=2.5, help="of a GPU-hour, its cores included")
    parser.add_argument("--core-price", type=float, default=0.0416, help="of a core-hour, in the same currency")
    return parser.parse_args(words)


def _batches(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(each) for each in text.split(",")}))


def _tell(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _progress(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
