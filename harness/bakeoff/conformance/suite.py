"""The parent's side: every stage runs in a child with a time limit, so that an aborting engine is a failed check."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from bakeoff.backends import registered, thread_environment
from bakeoff.conformance.bench import CPUS
from bakeoff.conformance.stages import DEVICES, HABITS, NAMES, Folder
from bakeoff.errors import UserError

LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a backend must do, and whether it did; `detail` says what was seen, `cell` says it in the table
    of engines where it has a column there."""

    name: str
    ok: bool
    detail: str
    cell: str = ""


def run(
    backend: str,
    limit_s: float = LIMIT_S,
    seen: Callable[[Check], None] = lambda check: None,
    device: str = "cpu",
) -> list[Check]:
    """Check the backend of this name, or at this "module:Class", on the CPU or the first GPU ("cuda"); `limit_s` bounds
    each stage, `seen` gets each check.

    An engine that is not here conforms if it says so with a remedy: the list then ends after the probe.
    Raises UserError for a name that is not installed, and for another device.
    """
    if device not in DEVICES:
        raise UserError(f"--device {device}: must be {' or '.join(DEVICES)}")
    target = _target(backend)
    checks = []
    with tempfile.TemporaryDirectory(prefix="bakeoff-conformance-") as folder:
        for check in _Suite(target, Folder(Path(folder)), limit_s, device).checks():
            checks.append(check)
            seen(check)
    return checks


def named(backends: Sequence[str]) -> tuple[str, ...]:
    """The backends to check, all that are installed where none is named; raises UserError for one that is not there."""
    for backend in backends:
        _target(backend)
    return tuple(backends) or tuple(registered())


def _target(backend: str) -> str:
    known = registered()
    if backend in known:
        return known[backend].value
    if ":" in backend:
        return backend
    near = get_close_matches(backend, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"installed are {', '.join(known) or 'none'}"
    raise UserError(f'no backend "{backend}" is installed: {hint} A plugin of your own is "module:Class"')


class _Suite:
    """One backend's way through the stages."""

    def __init__(self, target: str, folder: Folder, limit_s: float, device: str) -> None:
        self._target, self._folder, self._limit_s, self._device = target, folder, limit_s, device

    def checks(self) -> Iterator[Check]:
        contract = list(self._stage("contract"))
        yield from contract
        if not contract[0].ok:
            return
        yield from self._stage("probe")
        precisions = self._folder.precisions()
        if not precisions:
            return
        yield from self._stage("model")
        yield from self._stage("refusal")
        for precision in precisions:
            yield from self._stage("build", precision)
            if self._folder.artifact(precision).exists():
                used = list(self._stage("use", precision))
                yield from used
                if precision == precisions[0] and all(check.ok for check in used):
                    yield from self._habits(precision)

    def _habits(self, precision: str) -> Iterator[Check]:
        for stage in HABITS:
            yield from self._stage(stage, precision)

    def _stage(self, stage: str, precision: str = "") -> Iterator[Check]:
        """Run one child and read what it wrote; what it did not come to is a failed check as well."""
        ending = self._child(stage, precision)
        results = self._folder.results(stage, precision)
        lines = results.read_text().splitlines() if results.exists() else []
        found = {check.name: check for check in (Check(**json.loads(line)) for line in lines)}
        for name in NAMES[stage]:
            check = found.get(name, Check(name, False, ending))
            yield replace(check, name=f"{precision}: {name}" if precision else name)
            ending = "not reached" if name not in found else ending

    def _child(self, stage: str, precision: str) -> str:
        """Run the stage to its end or its limit; the text says how it ended."""
        command = [sys.executable, "-m", "bakeoff.conformance", "--check", stage, "--target", self._target]
        command += ["--precision", precision, "--device", self._device, "--folder", str(self._folder.root)]
        paths = filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH")))
        environment = {
            **os.environ,
            **thread_environment(CPUS),
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(self._folder.scratch(stage, precision)),
        }
        log = self._folder.log(stage, precision)
        with log.open("wb") as sink:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                cwd=self._folder.empty(),
                start_new_session=True,
            )
            try:
                ending = _ending(child.wait(self._limit_s))
            except subprocess.TimeoutExpired:
                ending = f"gave no answer within {self._limit_s:g} s"
            finally:
                _kill_group(child)
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        return f"{ending}: {last}" if last else ending


def _ending(code: int) -> str:
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process ended with code {code}" if code else "not reached"


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it left behind in its own process group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
