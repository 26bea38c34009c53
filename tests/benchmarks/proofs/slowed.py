"""Any engine with extra work: after each call it is busy for a share of what that took, or until a time is over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from bakeoff.backends import Arrays, Artifact, Backend, Session, Setting, create
from bakeoff.measure.engine_room import Order

TARGET = "proofs.slowed:Slowed"


def slowed(order: Order, share: float, least_s: float = 0.0) -> Order:
    """The same candidate with so much extra work, which may be none, and calls of `least_s` at least; children must
    find this package on PYTHONPATH."""
    extra: dict[str, str | int | float] = {"engine": order.target, "share": share, "least_s": least_s}
    setting = replace(order.setting, options={**order.setting.options, **extra})
    log = order.log.with_name(f"{order.log.stem}-slowed{order.log.suffix}")
    return replace(order, target=TARGET, setting=setting, log=log)


class Slowed(Backend):
    """The setting's options name the engine (its target), the share and the time; all others are the engine's own."""

    name = "slowed"
    formats = ("onnx", "exported")

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        options = dict(setting.options)
        engine, share, least_s = str(options.pop("engine")), float(options.pop("share")), float(options.pop("least_s"))
        return SlowedSession(create(engine).load(artifact, replace(setting, options=options), device), share, least_s)


class SlowedSession(Session):
    """It looks at the clock until the time is over: work that fills caches, such as hashes, would make the engine's own
    next call slower, too."""

    def __init__(self, engine: Session, share: float, least_s: float) -> None:
        self._engine, self._share, self._least_ns = engine, share, 1e9 * least_s

    def infer(self, inputs: Arrays) -> Arrays:
        began_ns = time.perf_counter_ns()
        outputs = self._engine.infer(inputs)
        took_ns = time.perf_counter_ns() - began_ns
        until_ns = began_ns + max((1.0 + self._share) * took_ns, self._least_ns)
        while time.perf_counter_ns() < until_ns:
            pass
        return outputs

    def lane(self, index: int) -> Session:
        return SlowedSession(self._engine.lane(index), self._share, self._least_ns / 1e9)

    def spent_ns(self) -> Mapping[str, int]:
        return self._engine.spent_ns()

    def close(self) -> None:
        self._engine.close()
