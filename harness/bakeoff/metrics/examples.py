"""What metrics need of held-out examples, and what both sides of a comparison read of them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


class Examples(Protocol):
    """A workload's held-out examples (see workloads.prepared.Holdout, and HeldOut for what each kind holds)."""

    @property
    def kind(self) -> str: ...
    @property
    def labels(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def groups(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def queries(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def relevant(self) -> np.ndarray[Any, Any] | None: ...


def labels_of(examples: Examples) -> Floats:
    """The labels, of which `require` has made sure."""
    assert examples.labels is not None
    return np.asarray(examples.labels, dtype=np.float64)


def pairs_of(examples: Examples) -> tuple[Ints, Ints]:
    """The rows of queries or users, and what is relevant to each; none of either where nothing is known of it."""
    if examples.queries is None or examples.relevant is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.asarray(examples.queries, np.int64), np.asarray(examples.relevant, np.int64)


def column(scores: Floats) -> Floats:
    """One score per row: the last of several, as in the probability of the positive class."""
    return scores.reshape(len(scores), -1)[:, -1]
