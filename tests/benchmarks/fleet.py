"""Whether a simulated fleet waits as a real engine does: open-loop runs of one and of two instances beside it.

    python tests/benchmarks/fleet.py [--engine onnxruntime] [--instances 1 2] [--width 768] [--loads 0.3 0.5 0.7 0.8]
                                     [--seconds 10] [--blocks 8] [--into docs/decision.md]

A small model is made, and served as a run would serve it. Blocks at half of what its lanes can carry and the sprints
beside them give the service times and the pipe's cost, as `bakeoff plan` reads them; the percentiles of other blocks,
one at each load after each of those, stand beside what is simulated for that rate. A block in which the load came late
is played again, twice at most; how many stayed late is told. It wants a machine that does nothing else, with a CPU for
each instance and one for the load generator; where they share one, calls must be long beside what a request costs the
generator (`--width 2048`: some ten milliseconds). `--into` puts the table between the marks of a Markdown file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from marked import rewrite_file
from onnx import TensorProto, helper, numpy_helper
from proofs import shop

from bakeoff.contest.contest import ask
from bakeoff.contest.load import OpenLoop, beside
from bakeoff.decide import stamps
from bakeoff.decide.fleet.simulation import Fleet, Served
from bakeoff.decide.noise import worth_again
from bakeoff.decide.replica import read
from bakeoff.decide.sla import Percentile, percentile_ms
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import Scenario, from_dict

HERE = Path(__file__).resolve().parent
COMMAND = "python tests/benchmarks/fleet.py"
MARK = "fleet"
TITLES = ("engine", "instances", "load", "requests/s", "p50, measured", "p50, simulated", "p99, measured",
          "p99, simulated", "p99 off", "late blocks", "command")  # fmt: skip
LAYERS, ITEMS = 4, 32
REFERENCE_LOAD = 0.5
GRACE_S, START_S, CLOSED_S = 5.0, 60.0, 1.0
TRIES = 3
LIMIT_CALLS = 10
"""The load is late in a block where it would be for an SLA of so many calls' time at the 99th percentile."""


@dataclass(frozen=True, slots=True)
class Row:
    """One load on so many instances, measured and simulated; `late`: in how many blocks, its own and those that the
    service times are from, the load was late."""

    instances: int
    load: float
    qps: float
    p50_ms: float
    p99: Percentile
    simulated: Served
    late: int


def model(folder: Path, width: int) -> Path:
    """A perceptron of a few layers so wide."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, width**-0.5, (width, width)).astype(np.float32) for _ in range(LAYERS)]
    nodes, last = [], "x"
    for layer in range(LAYERS):
        nodes += [
            helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]),
            helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"]),
        ]
        last = f"r{layer}"
    nodes.append(helper.make_node("ReduceMean", [last], ["score"], axes=[1], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["items", width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["items"])],
        [numpy_helper.from_array(array, f"w{layer}") for layer, array in enumerate(weights)],
    )
    path = folder / "perceptron.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def question(path: Path, engine: str, instances: int) -> Scenario:
    """The scenario whose candidate has so many instances of one thread."""
    return from_dict(
        {
            "name": f"fleet-{instances}",
            "workload": str(path),
            "traffic": {"kind": "server", "qps": 100, "batch_size": ITEMS},
            "sla": {"p99": "1s"},
            "resources": {"cpus": instances},
            "candidates": {"backends": [engine], "settings": [f"{instances}x1"], "precisions": ["fp32"]},
        }
    )


def rows(asked: argparse.Namespace, instances: int) -> Iterator[Row]:
    """A row for each load on so many instances: blocks at all loads take turns, for a machine is not as quick later."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-fleet-") as place:
        folder = Path(place)
        scenario = question(model(folder, asked.width), asked.engine, instances)
        (posed,) = ask([scenario])
        candidate = posed.entries[0].candidate
        with Engine.start(shop.order(posed, candidate.id, folder), START_S) as started:
            busy_s = float(stamps.service_s(started.closed(CLOSED_S)).mean())

            def load(share: float) -> OpenLoop:
                return OpenLoop(Pattern(), share * instances / busy_s, asked.seconds, GRACE_S)

            def late(block: Block) -> bool:
                return worth_again(block, LIMIT_CALLS * busy_s * 1e3)

            def play(share: float, seed: int) -> Block:
                for _ in range(TRIES):
                    block = load(share).play(started, seed)
                    if not late(block):
                        break
                return block

            sprints = beside(load(REFERENCE_LOAD), scenario, candidate)
            reference: list[Block] = []
            measured: dict[float, list[Block]] = {share: [] for share in asked.loads}
            for seed in range(asked.blocks):
                reference += [play(REFERENCE_LOAD, seed), *(sprint.play(started, seed) for sprint in sprints)]
                for share, blocks in measured.items():
                    blocks.append(play(share, asked.blocks + seed))
            replica = read(reference, candidate.setting, instances)
            if scenario.sla is None:
                raise ValueError("the question has an sla")
            fleet = Fleet(replica, Pattern(), "random", scenario.sla)
            for share, blocks in measured.items():
                played, qps = [stamps.latency_ms(block) for block in blocks], load(share).qps
                p50_ms, p99 = float(np.median(stamps.joined(played))), percentile_ms(played, 99.0)
                stayed = sum(map(late, [*reference, *blocks]))
                yield Row(instances, share, qps, p50_ms, p99, fleet.at(1, qps), stayed)


def line(engine: str, row: Row, command: str) -> str:
    """A row of the table."""
    off = (
        "-"
        if row.p99.value is None or row.simulated.p99_ms is None
        else f"{row.simulated.p99_ms / row.p99.value - 1:+.0%}"
    )
    cells = (
        engine,
        f"{row.instances}",
        f"{row.load:.0%}",
        f"{row.qps:,.0f}",
        f"{row.p50_ms:.2f} ms",
        _ms(row.simulated.p50_ms),
        f"{_ms(row.p99.value)} ({_ms(row.p99.low)} to {_ms(row.p99.high)})",
        _ms(row.simulated.p99_ms),
        off,
        f"{row.late}",
        f"`{command}`",
    )
    return _line(cells)


def main(words: Sequence[str] | None = None) -> int:
    """Print the rows of each number of instances when they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="onnxruntime", help="a backend that takes ONNX and offers one thread each")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--width", type=int, default=768, help="of the model's layers; 768: calls of a millisecond")
    parser.add_argument(
        "--loads", type=float, nargs="+", default=[0.3, 0.5, 0.7, 0.8], help="shares of the lanes' time"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of a block")
    parser.add_argument("--blocks", type=int, default=8, help="at each load")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into this Markdown file")
    asked = parser.parse_args(words)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    told = [_line(TITLES), _line(["---"] * len(TITLES))]
    sys.stdout.write("\n".join(told) + "\n")
    for instances in asked.instances:
        command = f"{COMMAND} --engine {asked.engine} --instances {instances} --width {asked.width}"
        for row in rows(asked, instances):
            told.append(line(asked.engine, row, command))
            sys.stdout.write(told[-1] + "\n")
            sys.stdout.flush()
    if asked.into:
        rewrite_file(asked.into, MARK, lambda _: "\n".join(told))
    return 0


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
