"""Whether what is decided holds: beside exhaustive measuring, at other hours, and deployed behind a real server.

    python tests/benchmarks/decisions.py [--only race|hours|deployed]... [--store results/decisions]
                                         [--into docs/decision.md]

Each step's run is kept in the store folder: what was killed goes on with the step that it was in. It wants the engines
(`make engines`) and a machine that does nothing else; the first use trains and builds, which bakeoff's cache keeps.

race      a race and an exhaustive run for each seed
hours     a choice is made once; a call measures its contenders once more, 20 minutes after the last at the
          soonest; with --every it goes on until all repeats are there, a line in the file of hours for each
deployed  the choice in its own process and behind a server, in an environment that uv makes; takes two CPUs

The status is 1 where a bar was missed.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deciding.asked import HOURS, SCENARIO, VARIANTS, Asked, let_children_find_us
from proofs.proof import Proof
from proofs.telling import tell

from bakeoff.api import duration_s
from bakeoff.errors import UserError

HERE = Path(__file__).resolve().parent
STORE = Path("results/decisions")
COMMAND = "python tests/benchmarks/decisions.py"
MARK = "decisions"
DECISIONS = {name: f"deciding.{name}:{name}" for name in ("race", "hours", "deployed")}
NOT_SHOWN = frozenset({"only", "store", "hours", "into", "json", "every"})
"""Options that say nothing of what was measured."""


def decision(name: str) -> Callable[[Asked], Proof]:
    """The function that proves it; what it needs is imported only now."""
    module, _, function = DECISIONS[name].partition(":")
    found: Callable[[Asked], Proof] = getattr(importlib.import_module(module), function)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Prove what was asked for; each row is printed when it is there."""
    parser = _parser()
    given = parser.parse_args(words)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    let_children_find_us()
    try:
        asked = _asked(given)
        return tell(
            COMMAND,
            given.only or DECISIONS,
            lambda name: decision(name)(asked),
            DECISIONS,
            MARK,
            options=_options(parser, given),
            into=given.into,
            as_json=given.json,
        )
    except UserError as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(DECISIONS), metavar="NAME", help=", ".join(DECISIONS))
    parser.add_argument("--store", type=Path, default=STORE, metavar="FOLDER", help="keeps each step's run")
    parser.add_argument("--scenario", type=Path, default=SCENARIO, metavar="FILE", help="default: ctr-ranking.yaml")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), help="beside those of the scenario")
    parser.add_argument("--budget", help="of a race, such as 10m; default: until its verdict stands")
    parser.add_argument("--seeds", type=int, default=5, help="race: so many pairs of runs")
    parser.add_argument("--exhaustive-runs", type=int, default=5, help="race: the seeds' races share so many, by turns")
    parser.add_argument("--exhaustive-budget", default="30m", help="race: of an exhaustive run")
    parser.add_argument("--repeats", type=int, default=20, help="hours: so many in all")
    parser.add_argument("--hours", type=Path, default=HOURS, metavar="FILE", help="keeps a line of each repeat")
    parser.add_argument("--every", help="hours: go on until all are there, one every so often, such as 30m")
    parser.add_argument("--contenders", type=int, default=6, help="hours: so many are measured again")
    parser.add_argument("--hour-budget", default="3m", help="hours: of a repeat")
    parser.add_argument("--connections", type=int, default=1, help="deployed: of the server's clients")
    parser.add_argument("--deployed-budget", default="4m", help="deployed: of each of its five runs")
    parser.add_argument("--json", action="store_true", help="print the raw figures, too, as one JSON object")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into this Markdown file")
    return parser


def _asked(given: argparse.Namespace) -> Asked:
    """Raises UserError for a duration that is none."""
    return Asked(
        store=given.store.absolute(),
        hours=given.hours.absolute(),
        scenario=given.scenario,
        variants=tuple(given.variants),
        budget_s=None if given.budget is None else duration_s("--budget", given.budget),
        seeds=given.seeds,
        exhaustive_runs=given.exhaustive_runs,
        exhaustive_s=duration_s("--exhaustive-budget", given.exhaustive_budget),
        repeats=given.repeats,
        every_s=math.inf if given.every is None else duration_s("--every", given.every),
        contenders=given.contenders,
        hour_s=duration_s("--hour-budget", given.hour_budget),
        connections=given.connections,
        deployed_s=duration_s("--deployed-budget", given.deployed_budget),
    )


def _options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> str:
    """What was asked otherwise than usual, as it was written."""
    words = []
    for name, value in vars(given).items():
        if name not in NOT_SHOWN and value != parser.get_default(name):
            words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
