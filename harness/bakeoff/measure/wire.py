"""What goes over the control channel between the parent and a worker: one JSON object a line."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakeoff.backends import Artifact, Facts, Setting, Tensor

Message = dict[str, Any]


class Channel:
    """One end of a socket pair that carries JSON lines."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = bytearray()

    def fileno(self) -> int:
        """The descriptor to poll on."""
        return self._socket.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; raises OSError where the other end is gone."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message, or None when the other end is gone; raises TimeoutError after `timeout_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._received:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], left_s)[0]:
                raise TimeoutError
            try:
                part = self._socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not part:
                return None
            self._received += part
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def artifact_message(artifact: Artifact) -> Message:
    """An artifact as JSON."""
    return asdict(artifact) | {"path": str(artifact.path)}


def artifact_of(message: Mapping[str, Any]) -> Artifact:
    """The artifact that `artifact_message` wrote."""
    inputs = tuple(Tensor(**entry | {"shape": tuple(entry["shape"])}) for entry in message["inputs"])
    return Artifact(Path(message["path"]), message["precision"], inputs, tuple(message["outputs"]))


def setting_of(message: Mapping[str, Any]) -> Setting:
    """The setting that `asdict` wrote."""
    return Setting.of(message)


def facts_of(message: Mapping[str, Any]) -> Facts:
    """The facts that `asdict` wrote."""
    return Facts(**message)
