"""Real servers for the tests, each in an environment of its own that uv makes once: they want other versions than ours.

A server runs `servers/serve_NAME.py MODEL HTTP_PORT GRPC_PORT` and serves the ONNX model as "ranker"; that of the
plugin takes what a plugin built instead, and whoever starts it says which engine that needs.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path

import pytest

from bakeoff.workloads import cache_dir
from bakeoff.workloads.locking import made_once

SERVERS = Path(__file__).parent / "servers"
REQUIREMENTS = {
    "triton": ("nvidia-pytriton==0.7.0", "onnxruntime<1.24"),
    "kserve": ("kserve==0.21.0", "onnxruntime"),
    "mlserver": ("mlserver==1.7.1", "onnxruntime"),
    "plugin": ("kserve==0.21.0",),
}
MAKING_LIMIT_S = 1200
START_LIMIT_S = 120


@dataclass(frozen=True)
class Ports:
    """Where a server listens on 127.0.0.1."""

    http: int
    grpc: int


@contextmanager
def started(name, model, folder, engine=()):
    """The ports of a server, from when it is ready to its end; what it prints is in `folder`.

    `engine` are requirements that its environment has beside its own.
    """
    python, ports = environment(name, engine), Ports(free_port(), free_port())
    words = [str(python), str(SERVERS / f"serve_{name}.py"), str(model), str(ports.http), str(ports.grpc)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    libraries = {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=os.environ | threads | libraries,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_until_ready(process, ports.http, log)
            yield ports
        finally:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def environment(name, engine=()):
    """The interpreter of a server's environment, made where there is none."""
    uv = [sys.executable, "-m", "uv"] if find_spec("uv") else [shutil.which("uv") or ""]
    if not uv[0]:
        pytest.skip("real servers need uv: pip install 'bakeoff[environments]'")
    requirements = [*REQUIREMENTS[name], *engine]
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:16]

    def make(scratch):
        for words in (
            ["venv", "--relocatable", "--allow-existing", "--python", sys.executable, str(scratch)],
            ["pip", "install", "--python", str(scratch / "bin" / "python"), *requirements],
        ):
            done = subprocess.run([*uv, "--quiet", *words], capture_output=True, text=True, timeout=MAKING_LIMIT_S)
            assert done.returncode == 0, done.stderr

    return made_once(cache_dir() / "environments" / f"server-{name}-{key}", make) / "bin" / "python"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def wait_until_ready(process, port, log):
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/v2/models/ranker/ready")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise AssertionError(f"it is not ready:\n{log.read_text(errors='replace')[-3000:]}")
