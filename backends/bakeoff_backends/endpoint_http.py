"""HTTP for the endpoint plugin: one kept-alive connection, and a session that speaks a protocol over it."""

from __future__ import annotations

import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from email.message import Message
from functools import cache
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import NamedTuple

from bakeoff.backends import Arrays, Session
from bakeoff_backends.endpoint_server import Client, RefusedError, Server, UnreadableError
from bakeoff_backends.endpoint_signature import Signature
from bakeoff_backends.endpoint_stub import Stub

DROPPED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
WORDS = ("error", "detail", "message")
"""Where an error's JSON says what is wrong."""
KEPT_HEADERS = ("Content-Type", "Inference-Header-Content-Length")


class Question(NamedTuple):
    """What is posted."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """What came back with status 200."""

    headers: Message
    body: bytes


class Wire:
    """One kept-alive connection. One thread uses one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._headers = server.secret_headers()
        host, timeout_s = server.address.hostname or "", server.timeout_s
        self._connection = (
            HTTPSConnection(host, server.port, timeout=timeout_s, context=_trusting(server.ca_file))
            if server.secure
            else HTTPConnection(host, server.port, timeout=timeout_s)
        )

    def connect(self) -> None:
        """Open the connection; raises OSError."""
        self._connection.connect()

    def get(self, path: str) -> Reply:
        """What `post` gives, for a GET."""
        return self._ask("GET", path, None, {})

    def post(self, question: Question) -> Reply:
        """The reply; raises RefusedError for any status but 200, OSError and HTTPException where there is none."""
        return self._ask("POST", *question)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        try:
            response = self._sent(method, path, body, {**self._headers, **headers})
            content = response.read()
        except BaseException:
            self.close()
            raise
        if response.status != 200:
            raise RefusedError(response.status, self._server.hide(_said(content)), path)
        return Reply(response.headers, content)

    def _sent(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        """Send it; once more where the server had closed a connection that was kept, as it may after a while."""
        kept = self._connection.sock is not None
        try:
            return self._send(method, path, body, headers)
        except DROPPED:
            self.close()
            if not kept:
                raise
        return self._send(method, path, body, headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        self._connection.request(method, path, body, dict(headers))
        return self._connection.getresponse()


class Dialect(ABC):
    """How one protocol writes requests and reads replies. It holds no connection; `outputs` are the model's names."""

    def __init__(self, server: Server, outputs: tuple[str, ...]) -> None:
        self.server = server
        self.outputs = outputs
        self.base = server.address.path.rstrip("/")

    @abstractmethod
    def greet(self, wire: Wire) -> str:
        """See `Client.greet`."""

    @abstractmethod
    def signature(self, wire: Wire) -> Signature | None:
        """See `Client.signature`."""

    @abstractmethod
    def question(self, inputs: Arrays) -> Question:
        """A request's inputs, as they are posted."""

    @abstractmethod
    def answer(self, reply: Reply) -> Arrays:
        """The outputs in a reply by the server's names; raises UnreadableError."""


class HttpClient(Client):
    """A protocol over a connection of its own; with a `stub`, that is what it is before."""

    def __init__(self, server: Server, dialect: Dialect, stub: Stub | None = None) -> None:
        self._server, self._dialect, self._stub = server, dialect, stub
        self._wire = Wire(server)

    def greet(self) -> str:
        """Ask whether all is ready."""
        return self._dialect.greet(self._wire)

    def signature(self) -> Signature | None:
        """Ask for the model's metadata."""
        return self._dialect.signature(self._wire)

    def infer(self, inputs: Arrays) -> Arrays:
        """One request and its reply; raises RequestError, OSError or HTTPException."""
        answers = self._dialect.answer(self._wire.post(self._dialect.question(inputs)))
        return named(answers, self._server, self._dialect.outputs)

    def lane(self, index: int) -> Session:
        """A connection for each thread."""
        return HttpClient(self._server, self._dialect)

    def baseline(self, inputs: Arrays) -> Session:
        """Before a stub that has the server's reply to `inputs`; without TLS."""
        reply = self._wire.post(self._dialect.question(inputs))
        kept = "".join(f"{name}: {reply.headers[name]}\r\n" for name in KEPT_HEADERS if name in reply.headers)
        head = f"HTTP/1.1 200 OK\r\n{kept}Content-Length: {len(reply.body)}\r\n\r\n"
        stub = Stub("http", head.encode("latin-1") + reply.body)
        here = replace(self._server, url=f"http://127.0.0.1:{stub.port}", ca_file=None)
        return HttpClient(here, self._dialect, stub)

    def close(self) -> None:
        """Close the connection, and the stub."""
        self._wire.close()
        if self._stub:
            self._stub.close()


def named(answers: Arrays, server: Server, outputs: tuple[str, ...]) -> Arrays:
    """The model's outputs by its own names, in its order; raises UnreadableError where one is missing."""
    found = {}
    for name in outputs:
        theirs = server.outputs.get(name, name)
        if theirs not in answers:
            raise UnreadableError(f"the answer has no output {theirs}, it has {', '.join(answers) or 'none'}")
        found[name] = answers[theirs]
    return found


def _said(content: bytes) -> str:
    """What an error's body says: the field for that in JSON, a traceback's last line, else all of it."""
    text = content.decode(errors="replace").strip()
    try:
        held = json.loads(text)
    except ValueError:
        return text.splitlines()[-1] if text.startswith("Traceback") else text
    told = [held[name] for name in WORDS if held.get(name)] if isinstance(held, dict) else []
    return str(told[0]) if told else text


@cache
def _trusting(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
