"""A stub in a process of its own that answers every request with the same bytes: what is left is its client's time.

`python -m bakeoff_backends.endpoint_stub http|grpc` takes the reply from standard input (its length in 8 bytes first),
prints the port that it listens on, and ends with its standard input.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

LENGTH = struct.Struct("<Q")
HEAD_END = b"\r\n\r\n"
METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Stub:
    """The stub as its client's process sees it: a `port` of 127.0.0.1."""

    def __init__(self, kind: str, reply: bytes) -> None:
        command = [sys.executable, "-m", "bakeoff_backends.endpoint_stub", kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        others = os.sched_getaffinity(os.getppid()) - os.sched_getaffinity(0)
        if others:  # what a worker leaves of its parent's CPUs: on the client's own, its time would hold the stub's
            os.sched_setaffinity(self._process.pid, others)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(LENGTH.pack(len(reply)) + reply)
        self._process.stdin.flush()
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def serve_http(reply: bytes) -> tuple[int, object]:
    """Answer on a free port, one thread a connection; the port, and what serves as long as it is kept."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            Thread(target=_answer, args=(listener.accept()[0], reply), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1], listener


def _answer(connection: socket.socket, reply: bytes) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while True:
        while HEAD_END not in received:
            if not (part := connection.recv(1 << 20)):
                return
            received += part
        head, _, received = received.partition(HEAD_END)
        left = _content_length(head) - len(received)
        while left > 0:
            left -= len(connection.recv(min(left, 1 << 20))) or left
        received = b""
        connection.sendall(reply)


def _content_length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name.strip().lower() == b"content-length"), 0)


def serve_grpc(reply: bytes) -> tuple[int, object]:
    """The same for inferences by gRPC."""
    import grpc

    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: reply)
    service, _, method = METHOD.strip("/").partition("/")
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(1), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, server


def main(kind: str) -> None:
    """Serve until standard input ends."""
    given = sys.stdin.buffer
    reply = given.read(LENGTH.unpack(given.read(LENGTH.size))[0])
    port, _kept = {"http": serve_http, "grpc": serve_grpc}[kind](reply)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    given.read()


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)  # its threads wait for requests that no one will send
