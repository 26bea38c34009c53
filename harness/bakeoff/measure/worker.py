"""A candidate's process: `python -m bakeoff.measure.worker probe|build|serve CONTROL_FD PARENT_PID`.

It is started with its CPUs, threads and log already set, talks JSON lines over an inherited socket, and imports the
contract, one backend and its engine: nothing else of the harness than the standard library and numpy can carry.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from bakeoff.backends import (
    Backend,
    Facts,
    Resources,
    Unavailable,
    Unsupported,
    build_key,
    create,
    describe,
    ran_out_of_memory,
    registered,
)
from bakeoff.measure import procs
from bakeoff.measure.serving import serve
from bakeoff.measure.verify import WrongOutput
from bakeoff.measure.wire import Channel, Message, artifact_message, setting_of
from bakeoff.workloads.prepared import Prepared


def probe(channel: Channel, order: Message) -> None:
    """Import the backend, ask whether its engine is here, and what it offers within the resources."""
    try:
        backend = create(order["target"])
    except Exception as error:
        traceback.print_exc()
        channel.send({"outcome": "failed", "reason": f"cannot be imported: {describe(error)}"})
        return
    facts = _probed(backend, order["target"], order["device"])
    settings = backend.settings(Resources(**order["resources"]))
    channel.send(
        {
            "facts": asdict(facts),
            "precisions": list(backend.precisions(order["device"])),
            "settings": [asdict(setting) for setting in settings],
            "build_keys": {setting.name: build_key(backend, setting) for setting in settings},
            "instances": backend.instances,
            "on_request": sorted(backend.on_request),
        }
    )


def _probed(backend: Backend, target: str, device: str) -> Facts:
    """What the backend's probe finds. An engine may break in any way when it is imported or first computes: whatever it
    raises says that it cannot be used here, unless memory ran out."""
    try:
        return backend.probe(device)
    except Unavailable:
        raise
    except Exception as error:
        if ran_out_of_memory(error):
            raise
        raise Unavailable(f"its probe fails: {describe(error)}", _installing(target)) from error


def _installing(target: str) -> str:
    """What installs a registered backend's engine: the extra of its name, where its distribution has one."""
    point = next((each for each in registered().values() if each.value == target.partition("?")[0]), None)
    if point is None or point.dist is None:
        return "install its engine again"
    extras = point.dist.metadata.get_all("Provides-Extra") or []
    extra = next((each for each in (point.name, point.name.partition("-")[0]) if each in extras), "")
    return f"pip install '{point.dist.name}[{extra}]'" if extra else f"pip install {point.dist.name}"


def build(channel: Channel, order: Message) -> None:
    """Have the backend turn the model into an artifact."""
    backend = create(order["target"])
    model = Prepared.read(Path(order["prepared"])).model(order["variant"])
    into = Path(order["into"])
    into.mkdir(parents=True, exist_ok=True)
    begun_ns = time.monotonic_ns()
    artifact = backend.build(model, order["precision"], setting_of(order["setting"]), order["device"], into)
    seconds = (time.monotonic_ns() - begun_ns) / 1e9
    channel.send({"artifact": artifact_message(artifact), "seconds": seconds})


def outcome_of(error: BaseException) -> Message:
    """A failure as the ledger names it."""
    if isinstance(error, Unavailable):
        return {"outcome": "unavailable", "reason": error.reason, "remedy": error.remedy}
    if isinstance(error, Unsupported):
        return {"outcome": "unsupported", "reason": str(error) or "not supported"}
    if isinstance(error, WrongOutput):
        return {"outcome": "wrong-output", "reason": str(error)}
    if ran_out_of_memory(error):
        return {"outcome": "out-of-memory", "reason": describe(error)}
    return {"outcome": "failed", "reason": describe(error)}


def main(verb: str, control: str, parent: str) -> None:
    """Do one verb; whatever goes wrong is an answer, and its traceback is in the log."""
    procs.die_with_parent(int(parent))
    end = socket.socket(fileno=int(control))
    end.set_inheritable(False)
    channel = Channel(end)
    order = channel.receive()
    if order is None:
        return
    try:
        {"probe": probe, "build": build, "serve": serve}[verb](channel, order)
    except BaseException as error:
        traceback.print_exc()
        channel.send(outcome_of(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # some engines take most of a second to tear themselves down
