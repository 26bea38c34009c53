"""MovieLens-100k: who rated which film and when."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bakeoff.workloads.prepared import Array

FILMS = 1682


def read(folder: Path) -> tuple[Array, Array, Array]:
    """The ratings as (user, film, second), each int64, by user and time: codes from 0 on.

    `folder` is the one that recbole ships.
    """
    table = pd.read_csv(folder / "ml-100k.inter", sep="\t")
    table = table.rename(columns=lambda name: name.partition(":")[0])
    table = table.sort_values(["user_id", "timestamp"], kind="stable")
    user, film = (pd.factorize(table[name], sort=True)[0] for name in ("user_id", "item_id"))
    return user, film, table["timestamp"].to_numpy()
