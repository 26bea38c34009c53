"""Whether an engine's answers are the model's: outputs against the reference outputs of the very variant."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.workloads.prepared import Requests

FP32_LIMIT = 2e-3
"""The largest error of any request that still counts as fp32; engines here differ by 1e-7 to 1e-4, bf16 by more."""
LOSSY_LIMIT = 0.5
"""The largest error that 9 in 10 requests may have at a lossy precision: how lossy it may be is for quality to judge,
this only tells a rough answer from none. Another request's answer has an error of about 1.4, a constant about 1."""
LOSSY_QUANTILE = 0.9
LOSSY_OF = 64
"""9 in 10 of so many requests: of a handful they would be all, and one odd request in a thousand would damn an engine
whose blocks are short. Seven wrong ones among the latest are caught still."""
SPREAD_OF = 256
"""The spread of an output is taken over the first so many references."""


class WrongOutput(Exception):  # noqa: N818 - a result, not an error
    """The engine answered, and not what the model says; the message says how."""


class Verifier:
    """Compares outputs with references.

    The error of a request is the root mean square of the difference over an output's spread: the standard deviation
    of the reference between rows, so that 1 is as bad as always answering the mean.
    """

    def __init__(self, requests: Requests, lossy: bool) -> None:
        self._requests = requests
        self._lossy = lossy
        self._latest = deque[float](maxlen=LOSSY_OF)
        self._spreads = {name: _spread(pieces) for name, pieces in _by_output(requests).items()}

    def error(self, indices: Sequence[int], outputs: Arrays) -> float:
        """The worst error among the outputs of one call of these pool requests, or 0.0 where they lack references.

        Raises WrongOutput for a missing output, another kind of array or shape, and for NaN where the model has none.
        """
        if max(indices) >= self._requests.references:
            return 0.0
        expected = _joined([self._requests.reference(index) for index in indices])
        return max((self._output_error(name, expected[name], outputs) for name in expected), default=0.0)

    def judge(self, errors: Sequence[float]) -> float:
        """The error that counts: the worst at fp32, the 9th in 10 at a lossy precision. Raises WrongOutput above."""
        if not errors:
            return 0.0
        error = float(np.quantile(errors, LOSSY_QUANTILE, method="higher")) if self._lossy else max(errors)
        limit = LOSSY_LIMIT if self._lossy else FP32_LIMIT
        if not error <= limit:
            raise WrongOutput(f"answers differ from the reference by {error:.3g} of their spread (limit {limit:g})")
        return error

    def judge_next(self, errors: Sequence[float]) -> float:
        """Judge the errors of the next block; at a lossy precision, where they are few, with the latest before them, of
        which the error that counts may then be one."""
        self._latest.extend(errors)
        return self.judge(list(self._latest) if self._lossy and 0 < len(errors) < LOSSY_OF else errors)

    def _output_error(self, name: str, expected: np.ndarray[Any, Any], outputs: Arrays) -> float:
        if not isinstance(outputs, Mapping) or name not in outputs:
            raise WrongOutput(f"no output {name!r}")
        got = outputs[name]
        if not isinstance(got, np.ndarray):
            raise WrongOutput(f"output {name!r} is a {type(got).__name__}, not an array")
        if got.shape != expected.shape:
            raise WrongOutput(f"output {name!r} has shape {got.shape}, the reference {expected.shape}")
        if got.dtype.kind != expected.dtype.kind:
            raise WrongOutput(f"output {name!r} has dtype {got.dtype}, the reference {expected.dtype}")
        if expected.dtype.kind not in "fiub":
            return float(np.mean(got != expected)) if got.size else 0.0
        return self._numeric_error(name, expected, got)

    def _numeric_error(self, name: str, expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> float:
        finite = np.isfinite(expected)
        if not np.isfinite(got[finite]).all():
            raise WrongOutput(f"output {name!r} holds NaN or infinity where the reference does not")
        difference = got[finite].astype(np.float64) - expected[finite].astype(np.float64)
        return math.sqrt(float(np.mean(difference**2))) / self._spreads[name] if difference.size else 0.0


def _by_output(requests: Requests) -> dict[str, list[np.ndarray[Any, Any]]]:
    references = [requests.reference(index) for index in range(min(SPREAD_OF, requests.references))]
    return {name: [reference[name] for reference in references] for name in (references[0] if references else ())}


def _joined(references: list[dict[str, np.ndarray[Any, Any]]]) -> dict[str, np.ndarray[Any, Any]]:
    if len(references) == 1:
        return references[0]
    return {name: np.concatenate([reference[name] for reference in references]) for name in references[0]}


def _spread(pieces: Sequence[np.ndarray[Any, Any]]) -> float:
    """The standard deviation between rows; the size of the values where all rows are alike; 1 where all are 0."""
    if pieces[0].dtype.kind not in "fiub":
        return 1.0
    alike = pieces[0].ndim > 0 and len({piece.shape[1:] for piece in pieces}) == 1
    stacked = np.concatenate(pieces if alike else [piece.reshape(-1) for piece in pieces]).astype(np.float64)
    stacked = np.where(np.isfinite(stacked), stacked, 0.0)
    size = float(np.abs(stacked).max(initial=0.0)) or 1.0
    between = math.sqrt(float(np.mean(stacked.var(axis=0)))) if len(stacked) else 0.0
    return between if between > 1e-6 * size else size
