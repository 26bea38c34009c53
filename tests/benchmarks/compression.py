"""What every technique costs on every built-in workload, and saves: the table of docs/compression.md.

    python tests/benchmarks/compression.py [--only WORKLOAD]... [--into docs/compression.md]

For each workload it runs `bakeoff quality WORKLOAD --variants ... --backend ... --json` several times; what does not
apply has its reason. `--into` puts the tables between the marks in a Markdown file.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from marked import rewrite_file

VARIANTS = (
    "base",
    *("int8-dynamic", "int8-static", "int8-mixed", "int8-weight-only", "int4-weight-only"),
    *("prune:0.5", "prune:0.8", "prune:0.9", "prune-sensitive:0.8", "prune-2of4", "prune:0.8:finetune=0.25"),
    *("prune-neurons:0.5", "prune-heads:0.5", "prune-layers:0.5", "lowrank:16", "share:16"),
    *("distill:0.5", "distill:0.5 > int8-dynamic"),
    *("embed-int8", "embed-int4", "lowrank-embed:8", "hash-embed:0.25", "compose-embed:0.1", "tt-embed:8"),
    "user-once",
)
TF_MOT = (
    *("tfmot-prune:0.5", "tfmot-prune:0.8", "tfmot-prune:0.8:finetune=0.25", "tfmot-cluster:16"),
    *("tfmot-qat", "tfmot-qat > int8-dynamic", "tfmot-qat > int8-static"),
)
COMMANDS = (
    ("onnxruntime", VARIANTS),
    ("onnxruntime", TF_MOT),
    ("openvino", ("fp16", "bf16", "int8-static")),
    ("torch", ("bf16",)),
)
"""The first engine scores every technique; the others, the precisions that it does not have or has otherwise."""
WORKLOADS = (
    "ctr-dlrm",
    "feed-sasrec",
    "feed-sasrec:data=movielens-100k",
    "search-biencoder",
    "product-category",
    "two-tower",
    "wide-ctr-scale:rows=200000",
)
MARK = "table"


def command(workload: str, engine: str, variants: Sequence[str]) -> list[str]:
    """The command whose rows are a workload's variants on an engine."""
    return ["bakeoff", "quality", workload, "--variants", ",".join(variants), "--backend", engine, "--json"]


def rows(workload: str) -> list[dict[str, Any]]:
    """Run a workload's commands; a control that several of them need has one row."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for engine, variants in COMMANDS:
        words = [sys.executable, "-m", *command(workload, engine, variants)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        for row in json.loads(done.stdout)["rows"]:
            found.setdefault((row["variant"], row["backend"], row["precision"]), row)
    return list(found.values())


def section(workload: str, found: Sequence[Mapping[str, Any]]) -> str:
    """A workload's table in Markdown, under its name and with its commands."""
    metrics = list(dict.fromkeys(name for row in found for name in row["quality"]))
    titles = ["variant", "engine", *metrics, "parameters", "MB", "MB zstd", "load, s", "made in, s"]
    shell = [f"    {shlex.join(command(workload, *each)[:-1])}" for each in COMMANDS]
    lines = [f"### {workload}", "", *shell, "", _line(titles), _line(["---"] * len(titles))]
    lines += [_line(_cells(row, metrics)) for row in found]
    lines += [
        f"\n`{row['variant']}` at {row['precision']} against `{row['control']}`, trained alike: {_beyond(row)}"
        for row in found
        if row.get("against_control")
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    head = [f"`{row['variant']}`", f"{row['backend']} {row['precision']}"]
    if row["outcome"] != "ok":
        return [*head, f"{row['outcome']}: {row['reason']}", *[""] * (len(metrics) + 4)]
    model = row["model"]
    seconds = [_number(model.get(name), 2) for name in ("load_s", "compress_s")]
    size = [_number(model.get(name), 2, 1e6) for name in ("artifact_bytes", "artifact_zstd_bytes")]
    return [
        *head,
        *(_change(row["quality"].get(name)) for name in metrics),
        f"{model['parameters']:,}",
        *size,
        *seconds,
    ]


def _change(figures: Mapping[str, float] | None) -> str:
    if figures is None:
        return ""
    half = (figures["high"] - figures["low"]) / 2
    return f"{figures['value']:.4f} ({_signed(figures['delta'])} ± {half:.4f})"


def _signed(value: float) -> str:
    return f"{round(value, 4):+.4f}" if round(value, 4) else "0"


def _beyond(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_signed(each['delta'])}" for name, each in row["against_control"].items())


def _number(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def with_section(inside: str, name: str, made: str) -> str:
    """The sections between the marks with this workload's made anew, in order."""
    known = {each.partition("\n")[0].strip(): f"###{each}" for each in inside.split("###") if each.strip()}
    known[name] = made
    return "\n" + "\n".join(known[each].rstrip() + "\n" for each in WORKLOADS if each in known)


def main(words: Sequence[str] | None = None) -> int:
    """Make the tables that were asked for; each is printed when it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=WORKLOADS, metavar="WORKLOAD")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the tables into this Markdown file")
    asked = parser.parse_args(words)
    for name in asked.only or WORKLOADS:
        made = section(name, rows(name))
        sys.stdout.write(made + "\n")
        sys.stdout.flush()
        if asked.into:
            rewrite_file(asked.into, MARK, partial(with_section, name=name, made=made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
