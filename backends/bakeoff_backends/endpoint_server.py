"""What the endpoint plugin's files share: where a server is, its secret headers, and what goes wrong with it."""

from __future__ import annotations

import os
import socket
import ssl
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, urlsplit

from bakeoff.backends import Session, Unavailable
from bakeoff_backends.endpoint_signature import Signature

PORTS = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}
FROM_ENVIRONMENT = "env:"
LONGEST_WORDS = 200


class RequestError(Exception):
    """A request that was not answered as it was asked; the message holds no secret."""


class RefusedError(RequestError):
    """The server answered with an error: an HTTP status (or what gRPC calls it), and what it said, without a secret."""

    def __init__(self, status: int, said: str, path: str, called: str = "") -> None:
        what = called or f"HTTP {status}"
        super().__init__(f"{what}: {said}" if said else what)
        self.status = status
        self.path = path


class UnreadableError(RequestError):
    """The server answered, and not what the protocol says."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how it is spoken to, as a scenario says it (`candidates.endpoints`); `timeout_s` is for one
    request. `inputs` and `outputs` hold the server's names of the model's."""

    url: str
    protocol: str
    model: str | None = None
    model_version: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    timeout_s: float = 10.0
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, Any] | None = None

    @property
    def address(self) -> SplitResult:
        """The url in its parts."""
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        """The port that it says, or its scheme's."""
        return self.address.port or PORTS[self.address.scheme]

    @property
    def secure(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.address.scheme in ("https", "grpcs")

    def secret_headers(self) -> dict[str, str]:
        """The headers with their values; raises Unavailable, which names a variable and never what it holds."""
        found = {}
        for name, value in self.headers.items():
            word, _, variable = value.rpartition(FROM_ENVIRONMENT)
            held = os.environ.get(variable, "")
            if not held:
                raise Unavailable(f"the environment variable {variable} for its header {name} is not set", "set it")
            if not held.isascii() or not held.isprintable():
                what = f"the environment variable {variable} holds what no header can, such as a line's end"
                raise Unavailable(what, "set it to the bare value")
            found[name] = word + held
        return found

    def hide(self, text: str) -> str:
        """One line of text, shortened, with every secret in it replaced by stars."""
        for value in self.headers.values():
            if held := os.environ.get(value.rpartition(FROM_ENVIRONMENT)[2], ""):
                text = text.replace(held, "***")
        return " ".join(text.split())[:LONGEST_WORDS]

    def absent(self, error: Exception) -> Unavailable:
        """Why it cannot be measured, by what went wrong when it was asked, and what to do."""
        if isinstance(error, RefusedError):
            return self._refusal(error)
        said = self.hide(str(error) or type(error).__name__)
        for kind, reason, remedy in _WHY:
            if isinstance(error, kind):
                return Unavailable(f"{self.url} {reason.format(said=said, timeout_s=self.timeout_s)}", remedy)
        return Unavailable(f"{self.url} cannot be asked: {said}", "check its url and protocol")

    def _refusal(self, error: RefusedError) -> Unavailable:
        if error.status in (401, 403):
            held = f"check what the variables of its headers hold: {', '.join(self.headers)}"
            return Unavailable(
                f"{self.url} wants other credentials: {error}",
                held if self.headers else "name a header, as in headers: {Authorization: Bearer env:TOKEN}",
            )
        if "/models/" in error.path and error.status < 500:
            version = f" version {self.model_version}" if self.model_version else ""
            return Unavailable(f"{self.url} has no model {self.model}{version}: {error}", "check its model and version")
        if error.status == 404:
            return Unavailable(f"{self.url} knows no {error.path}: {error}", "check its url and protocol")
        return Unavailable(f"{self.url} is not ready: {error}", "start it, and wait until it is ready")


_WHY: tuple[tuple[type[Exception], str, str], ...] = (
    (ssl.SSLCertVerificationError, "is not trusted: {said}", "name its authority's certificate in ca_file"),
    (ssl.SSLError, "does not speak TLS as we do: {said}", "check its port, or say http:// (grpc://)"),
    (socket.gaierror, "is not found: there is no such host", "check its url"),
    (ConnectionRefusedError, "refuses connections", "start it, or check its url"),
    (TimeoutError, "does not answer within {timeout_s:g} s", "start it, or check its url"),
    (HTTPException, "does not speak HTTP: {said}", "check its port, or say https://"),
    (ConnectionError, "breaks the connection: {said}", "check its port, or say https://"),
)


class Client(Session):
    """A session before a server, which can also say what it is and what it takes. One thread uses one."""

    @abstractmethod
    def greet(self) -> str:
        """The server's name and version, once it and the model are ready; raises what `Server.absent` explains."""

    @abstractmethod
    def signature(self) -> Signature | None:
        """What the model takes and gives as the server says it; None where it does not."""
