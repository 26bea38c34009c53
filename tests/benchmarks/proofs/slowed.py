"""Any engine with extra work: after each call it computes for a stated share of what that call took."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace

from bakeoff.backends import Arrays, Artifact, Backend, Session, Setting, create
from bakeoff.measure.engine_room import Order

TARGET = "proofs.slowed:Slowed"
HASH_NS = 3000
"""More than a hash takes."""


def slowed(order: Order, share: float) -> Order:
    """The same candidate with so much extra work, which may be none; children must find this package on PYTHONPATH."""
    setting = replace(order.setting, options={**order.setting.options, "engine": order.target, "share": share})
    log = order.log.with_name(f"{order.log.stem}-slowed{order.log.suffix}")
    return replace(order, target=TARGET, setting=setting, log=log)


class Slowed(Backend):
    """The setting's options name the engine (its target) and the share; all others are the engine's own."""

    name = "slowed"
    formats = ("onnx", "exported")

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        options = dict(setting.options)
        engine, share = str(options.pop("engine")), float(options.pop("share"))
        return SlowedSession(create(engine).load(artifact, replace(setting, options=options), device), share)


class SlowedSession(Session):
    """What is worked is a hash, again and again, until the last microseconds, which are waited for."""

    def __init__(self, engine: Session, share: float) -> None:
        self._engine, self._share = engine, share

    def infer(self, inputs: Arrays) -> Arrays:
        began_ns = time.perf_counter_ns()
        outputs = self._engine.infer(inputs)
        until_ns = began_ns + (1.0 + self._share) * (time.perf_counter_ns() - began_ns)
        while (left_ns := until_ns - time.perf_counter_ns()) > 0:
            if left_ns > HASH_NS:
                hashlib.pbkdf2_hmac("sha256", b"work", b"salt", 1)
        return outputs

    def lane(self, index: int) -> Session:
        return SlowedSession(self._engine.lane(index), self._share)

    def spent_ns(self) -> Mapping[str, int]:
        return self._engine.spent_ns()

    def close(self) -> None:
        self._engine.close()
