"""The calibrated service: an engine whose duration is set, so that what was measured can be held against the truth."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import ClassVar

import numpy as np

from bakeoff.backends import Arrays, Artifact, Backend, Instances, Session, Setting, Tensor

INPUTS = (Tensor("key", "uint8", (None, 16)), Tensor("stall_ms", "float32", (None,)))
OUTPUT = "digest"
TARGET = "bakeoff.selftest.service:Calibrated"
_SALT = b"bakeoff"
_ANSWERED = b"."


def digest(key: bytes, rounds: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """What the service answers to a request of one row: float32 [1, 32].

    A key derivation: real work in proportion to `rounds`, without the GIL and without memory traffic. 0: none.
    """
    derived = hashlib.pbkdf2_hmac("sha256", key, _SALT, rounds) if rounds else bytes(32)
    return np.frombuffer(derived, np.uint8).astype(np.float32).reshape(1, -1)


class Calibrated(Backend):
    """Does `rounds` of work for each request, then sleeps for as long as the request's `stall_ms` asks.

    Its model is a JSON file: {"rounds": n, "answers": a named pipe that gets a byte for each answer, or ""}.
    """

    name: ClassVar[str] = "calibrated"
    formats: ClassVar[tuple[str, ...]] = ("json",)
    instances: ClassVar[Instances] = "threads"

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Service:
        """Read the file, and open the named pipe where there is one."""
        stored = json.loads(artifact.path.read_text())
        return Service(stored["rounds"], stored["answers"])


class Service(Session):
    """One request of one row at a time."""

    def __init__(self, rounds: int, answers: str) -> None:
        self._rounds = rounds
        self._answers = os.open(answers, os.O_RDWR | os.O_NONBLOCK) if answers else -1

    def infer(self, inputs: Arrays) -> Arrays:
        """The digest of the request's key; the named pipe hears of it, unless it is full because nobody listens."""
        answer = digest(inputs["key"].tobytes(), self._rounds)
        stall_ms = inputs["stall_ms"].item()
        if stall_ms:
            time.sleep(stall_ms / 1e3)
        if self._answers >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._answers, _ANSWERED)
        return {OUTPUT: answer}

    def close(self) -> None:
        """Close the named pipe."""
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1
