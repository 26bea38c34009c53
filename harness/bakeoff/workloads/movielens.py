"""MovieLens-100k: who rated which film and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bakeoff.workloads.prepared import Array

FILMS = 1682


def read(folder: Path) -> tuple[Array, Array, Array]:
    """The ratings as (user, film), by user and time: codes from 0 on. Third come the ids of the films, by code.

    `folder` is the one that recbole ships.
    """
    table = pd.read_csv(folder / "ml-100k.inter", sep="\t")
    table = table.rename(columns=lambda name: name.partition(":")[0])
    table = table.sort_values(["user_id", "timestamp"], kind="stable")
    user, _ = pd.factorize(table["user_id"], sort=True)
    film, ids = pd.factorize(table["item_id"], sort=True)
    return user, film, np.asarray(ids)
