"""Small real servers that speak what `candidates.endpoints` speaks, over HTTP or TLS, written apart from the plugin."""

import json
import ssl
import struct
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

MODEL = "ranker"
INPUTS = {"dense": ("FP32", [-1, 8]), "ids": ("INT64", [-1, 2])}
OUTPUTS = {"score": ("FP32", [-1])}
DTYPES = {"FP32": np.float32, "INT64": np.int64}
PREFIX = "/v2/models/ranker"


class Ranking(ThreadingHTTPServer):
    """What is served (`score`: inputs to scores, or to outputs by name), to whom (`token`), and how it misbehaves:
    `behave` is called with each handler before it answers, and answers itself where it returns True."""

    daemon_threads = True

    def __init__(self, score, token=None, behave=lambda handler: False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.score, self.token, self.behave = score, token, behave
        self.inputs, self.outputs = dict(INPUTS), dict(OUTPUTS)
        self.asked = []
        self.connections = 0

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        """Clients that go away are no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.connections += 1

    def log_message(self, *words):
        """Quiet."""

    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        server = self.server
        server.asked.append(self.path)
        if server.behave(self):
            return
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            self.reply(401, {"error": f"bad token {self.headers.get('Authorization')}"})
        elif self.path in self.about():
            self.reply(200, self.about()[self.path])
        elif self.path == f"{PREFIX}/infer":
            self.infer(body)
        elif self.path == f"/v1/models/{MODEL}:predict":
            self.predict(json.loads(body))
        elif self.path == "/score":
            rows = json.loads(body)["rows"]
            self.reply(200, {"result": [{"value": value} for value in self.scores(self.columns(rows))]})
        else:
            self.reply(404, {"error": f"nothing at {self.path}"})

    def about(self):
        def described(tensors):
            return [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in tensors.items()]

        metadata = {"name": MODEL, "inputs": described(self.server.inputs), "outputs": described(self.server.outputs)}
        return {
            "/v2": {"name": "small", "version": "1.0", "extensions": ["binary_tensor_data"]},
            "/v2/health/ready": {},
            PREFIX: metadata,
            f"{PREFIX}/ready": {},
            f"/v1/models/{MODEL}": {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]},
            f"/v1/models/{MODEL}/metadata": {"metadata": {"signature_def": {"signature_def": TF_SIGNATURE}}},
            "/health": {},
        }

    def infer(self, body):
        length = self.headers.get("Inference-Header-Content-Length")
        head = json.loads(body[: int(length)] if length else body)
        place, arrays = int(length or 0), {}
        for each in head["inputs"]:
            dtype, size = DTYPES[each["datatype"]], (each.get("parameters") or {}).get("binary_data_size")
            if size is None:
                arrays[each["name"]] = np.array(each["data"], dtype).reshape(each["shape"])
            else:
                arrays[each["name"]] = np.frombuffer(body[place : place + size], dtype).reshape(each["shape"])
                place += size
        answers = self.server.score(arrays)
        answers = answers if isinstance(answers, dict) else {"score": answers}
        outputs, parts = [], []
        for name, values in answers.items():
            output, flat = {"name": name, "datatype": "FP32", "shape": list(values.shape)}, values.ravel().tolist()
            parts.append(struct.pack(f"<{len(flat)}f", *flat))
            binary = {"parameters": {"binary_data_size": len(parts[-1])}}
            outputs.append(output | (binary if length else {"data": flat}))
        text = json.dumps({"model_name": MODEL, "id": head["id"], "outputs": outputs}).encode()
        if not length:
            self.send(200, text, {"Content-Type": "application/json"})
            return
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
        self.send(200, b"".join([text, *parts]), headers)

    def predict(self, asked):
        if "instances" in asked:
            self.reply(200, {"predictions": self.scores(self.columns(asked["instances"]))})
        else:
            self.reply(200, {"outputs": {"score": self.scores(asked["inputs"])}})

    def columns(self, rows):
        return {name: [row[name] for row in rows] for name in rows[0]}

    def scores(self, columns):
        dense, ids = np.array(columns["dense"], np.float32), np.array(columns["ids"], np.int64)
        return self.server.score({"dense": dense, "ids": ids}).tolist()

    def reply(self, status, value):
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status, body, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


TF_SIGNATURE = {
    "serving_default": {
        "inputs": {
            "dense": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "8"}]}},
            "ids": {"dtype": "DT_INT64", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]}},
        },
        "outputs": {"score": {"dtype": "DT_FLOAT", "tensor_shape": {"unknown_rank": True}}},
    }
}


@contextmanager
def running(score, certificate=None, **more):
    """A server that runs; with a `certificate` (a PEM file that holds its key too) over TLS."""
    server = Ranking(score, **more)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def self_signed(folder: Path, host: str = "localhost") -> Path:
    """A certificate of its own authority, with its key, for `host`."""
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return both
