"""Environments of candidates' own: an interpreter that is there, or what uv makes of requirements, kept in the cache.

A child in one finds bakeoff and the plugin by PYTHONPATH, in a folder that holds nothing else, so that none of this
environment's packages reach it.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bakeoff.backends import registered
from bakeoff.measure.child import Interpreter, StageFailed
from bakeoff.workloads import cache_dir
from bakeoff.workloads.locking import made_once

OURS = "bakeoff"
WORKERS_NEED = frozenset({"numpy", "onnx"})
"""Those of bakeoff's own requirements that a worker, or a plugin's build, takes."""
MAKING_LIMIT_S = 1800.0
TOGETHER = "name requirements that go together"
EXACTLY = (
    "uv must find these very versions: UV_TORCH_BACKEND=cpu, UV_FIND_LINKS or UV_INDEX name where, as for a local one"
    " such as torch 2.13.0+cpu, and a commit needs the repository's whole history"
)
"""What to do where an environment cannot be made of requirements, and of a lock."""
PYTHON = Path("bin") / "python"


def interpreter(point: EntryPoint, python: str | None, requirements: Sequence[str]) -> Interpreter:
    """What a plugin's children are started with: `python`, or an environment with the `requirements` and the plugin's.

    Makes the environment at the first time. Raises StageFailed("probe", "unavailable", ...) with a remedy.
    """
    return Interpreter(python or str(environment(point, requirements) / PYTHON), str(own_packages(point)))


def environment(point: EntryPoint, requirements: Sequence[str]) -> Path:
    """The folder of the environment, made by uv where there is none."""
    return _made(folder(point, requirements), sys.executable, [*requirements, *needed(point)], TOGETHER)


def locked(point: EntryPoint, python: str, packages: Sequence[str]) -> Path:
    """The folder of an environment with exactly these `packages` (requirements as uv takes them), made once for them.

    `python` is the exact version; another one than this process's must be there already, or for uv to download.
    """
    key = hashlib.sha256("\n".join([sys.version, python, *sorted(packages)]).encode()).hexdigest()[:16]
    place = cache_dir() / "environments" / f"{point.name}-locked-{key}"
    runner = sys.executable if python == platform.python_version() else python
    return _made(place, runner, ["--no-deps", *packages], EXACTLY)


def made(name: str, requirements: Sequence[str], remedy: str) -> Path:
    """The folder of an environment with these requirements and nothing of ours, made by uv where there is none.

    `remedy` is what to do where they cannot be installed.
    """
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:16]
    return _made(cache_dir() / "environments" / f"{name}-{key}", sys.executable, requirements, remedy)


def _made(place: Path, python: str, packages: Sequence[str], remedy: str) -> Path:
    """An environment whose Python is `python` (a path or a version), with what `uv pip install` makes of `packages`."""

    def make(scratch: Path) -> None:
        _uv("venv", "--relocatable", "--allow-existing", "--python", python, str(scratch), remedy=remedy)
        _uv("pip", "install", "--python", str(scratch / PYTHON), *packages, remedy=remedy)

    return made_once(place, make)


def folder(point: EntryPoint, requirements: Sequence[str]) -> Path:
    """Where the environment is kept, or will be."""
    named = [sys.version, *sorted(requirements), *sorted(needed(point))]
    key = hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
    return cache_dir() / "environments" / f"{point.name}-{key}"


def own_packages(point: EntryPoint, plugin: bool = True) -> Path:
    """A folder with links to bakeoff's package and, with `plugin`, to the plugin's, and nothing else."""
    names = (OURS, point.module.partition(".")[0]) if plugin else (OURS,)
    found = {name: _package(name) for name in names}
    key = hashlib.sha256("\n".join(map(str, found.values())).encode()).hexdigest()[:16]

    def link(scratch: Path) -> None:
        for path in found.values():
            (scratch / path.name).symlink_to(path)

    return made_once(cache_dir() / "environments" / f"packages-{key}", link)


def backends_of(requirement: str) -> list[str]:
    """The registered backends whose engine is the project that a requirement such as "onnxruntime==1.30.0" names.

    A plugin's engine is the project among what it needs that has its name in its own: tvm's is apache-tvm, not torch.
    """
    project = canonicalize_name(Requirement(requirement).name)
    return [name for name, point in registered().items() if project in _engines(point)]


def _engines(point: EntryPoint) -> set[str]:
    projects = {canonicalize_name(Requirement(each).name) for each in needed(point)}
    return {project for project in projects if point.name.partition("-")[0] in project.split("-")}


def needed(point: EntryPoint) -> list[str]:
    """What the plugin's distribution says that it needs, by the extra of the plugin's name where it is one of many."""
    extras = {point.name, point.name.partition("-")[0]}
    return list(dict.fromkeys(_requirements(point, extras)))


def _requirements(point: EntryPoint, extras: set[str]) -> Iterator[str]:
    distribution = point.dist
    ours = distribution is not None and canonicalize_name(distribution.name) == OURS
    for text in (distribution.requires or ()) if distribution else ():
        each = Requirement(text)
        name, marker = canonicalize_name(each.name), each.marker
        always = marker is None or marker.evaluate({"extra": ""})
        by_extra = marker is not None and any(marker.evaluate({"extra": extra}) for extra in extras)
        if name != OURS and ((always and (name in WORKERS_NEED or not ours)) or (by_extra and not always)):
            each.marker = None
            yield str(each)
    if not ours:
        yield from sorted(WORKERS_NEED)


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StageFailed("probe", "unavailable", f"the package {name} cannot be found here", "install it again")
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def _uv(*words: str, remedy: str) -> None:
    command = [sys.executable, "-m", "uv"] if find_spec("uv") else [shutil.which("uv") or ""]
    if not command[0]:
        missing = "making an environment needs uv, which is not installed"
        raise StageFailed("probe", "unavailable", missing, "pip install 'bakeoff[environments]'")
    try:
        done = subprocess.run(
            [*command, "--quiet", "--no-progress", *words], capture_output=True, text=True, timeout=MAKING_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        reason = f"its environment was not made within {MAKING_LIMIT_S:.0f} s"
        raise StageFailed("probe", "unavailable", reason, "look at the network, then run it again") from None
    if done.returncode:
        said = " ".join(done.stderr.replace("×", "").replace("╰─▶", "").replace("│", "").split())
        reason = f"its environment cannot be made: {said or 'uv said nothing'}"
        raise StageFailed("probe", "unavailable", reason[:300], remedy)
