"""What compression loses, over several training seeds, beside what other models of the kind lost on the same data."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proofs import children
from proofs.proof import Proof

SEEDS = 5
Loss = tuple[float, float]
EARLIER: Mapping[str, tuple[str, Mapping[str, Loss]]] = {
    "ctr-dlrm": (
        "auc",
        {
            "int8-dynamic": (-0.0009, 0.0005),
            "embed-int4 > int8-dynamic": (-0.0012, 0.0005),
            "prune:0.5": (-0.0014, 0.0002),
            "prune:0.8": (-0.0262, 0.0015),
            "prune:0.9": (-0.0741, 0.0026),
            "lowrank:16": (-0.0001, 0.0),
        },
    ),
    "feed-sasrec:data=movielens-100k": (
        "ndcg@10",
        {
            "int8-dynamic": (0.0005, 0.0011),
            "embed-int4 > int8-dynamic": (-0.0010, 0.0028),
            "prune:0.5": (-0.0022, 0.0056),
            "prune:0.8": (-0.0217, 0.0104),
            "prune:0.9": (-0.0223, 0.0114),
            "lowrank:16": (-0.0101, 0.0),
        },
    ),
}
"""Change of the metric and half its 95 % interval (0: none stated), of a DLRM of 0.8 M parameters with AUC .6807 and a
SASRec with NDCG@10 .0718, which were trained and compressed apart from this project before its own were."""
ANOTHER_SEED = {"ctr-dlrm": 0.0020}
"""What training that DLRM with another seed changed its metric by; not known of the SASRec."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A variant's change with each seed, and the earlier one."""

    variant: str
    deltas: Sequence[float]
    earlier: Loss
    another_seed: float = 0.0

    @property
    def spread(self) -> float:
        """What the training seed alone changes."""
        return max(self.deltas) - min(self.deltas)

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more than the earlier interval, the seeds here or another seed there do."""
        change, half = self.earlier
        return abs(statistics.median(self.deltas) - change) <= max(half, self.spread, self.another_seed)


def losses(seeds: int = SEEDS) -> Proof:
    """Each variant's loss agrees with the earlier one, where seed and test examples leave room for it."""
    found = {workload: beside(workload, seeds) for workload in EARLIER}
    every = [each for rows in found.values() for each in rows]
    return Proof(
        f"loss of quality against fp32 through onnxruntime, median of {seeds} training seeds (least to greatest),"
        " beside that of other models of the kind on the same data",
        "within the largest of the earlier 95 % interval, the spread over seeds, and what another seed changed there"
        f" ({', '.join(f'{workload}: {change:.4f}' for workload, change in ANOTHER_SEED.items())})",
        "; ".join(f"{workload} {EARLIER[workload][0]}: {_told(rows)}" for workload, rows in found.items()),
        all(each.agrees for each in every),
        {
            f"{workload} {each.variant} seed {seed}": delta
            for workload, rows in found.items()
            for each in rows
            for seed, delta in enumerate(each.deltas)
        },
    )


def beside(workload: str, seeds: int) -> list[Beside]:
    """The variants of a workload, from `bakeoff quality --seeds`."""
    metric, earlier = EARLIER[workload]
    words = ("-m", "bakeoff", "quality", workload, "--variants", ",".join(earlier), "--seeds", str(seeds), "--json")
    done = subprocess.run(
        children.python(*words), env=children.environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    rows = json.loads(done.stdout)["rows"]
    deltas = [row["quality"][metric]["seeds"] for row in rows]
    another = ANOTHER_SEED.get(workload, 0.0)
    return [Beside(name, each, earlier[name], another) for name, each in zip(earlier, deltas, strict=True)]


def _told(rows: Sequence[Beside]) -> str:
    return ", ".join(
        f"`{each.variant}` {statistics.median(each.deltas):+.4f} ({min(each.deltas):+.4f} to {max(each.deltas):+.4f})"
        f" beside {each.earlier[0]:+.4f} ± {each.earlier[1]:.4f}{'' if each.agrees else ' **apart**'}"
        for each in rows
    )
