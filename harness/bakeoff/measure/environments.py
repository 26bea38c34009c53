"""Environments of candidates' own: an interpreter that is there, or what uv makes of requirements, kept in the cache.

A child in one finds bakeoff and the plugin by PYTHONPATH, in a folder that holds nothing else, so that none of this
environment's packages reach it.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bakeoff.backends import Unavailable, registered
from bakeoff.measure.child import Interpreter, StageFailed
from bakeoff.workloads import cache_dir, venvs
from bakeoff.workloads.locking import made_once

OURS = "bakeoff"
WORKERS_NEED = frozenset({"numpy", "onnx"})
"""Those of bakeoff's own requirements that a worker, or a plugin's build, takes."""
EXACTLY = (
    "uv must find these very versions: UV_TORCH_BACKEND=cpu, UV_FIND_LINKS or UV_INDEX name where, as for a local one"
    " such as torch 2.13.0+cpu, and a commit needs the repository's whole history"
)
"""What to do where an environment cannot be made of a lock."""


def interpreter(point: EntryPoint, python: str | None, requirements: Sequence[str]) -> Interpreter:
    """What a plugin's children are started with: `python`, or an environment with the `requirements` and the plugin's.

    Makes the environment at the first time. Raises StageFailed("probe", "unavailable", ...) with a remedy.
    """
    return Interpreter(python or str(environment(point, requirements) / venvs.PYTHON), str(own_packages(point)))


def environment(point: EntryPoint, requirements: Sequence[str]) -> Path:
    """The folder of the environment, made by uv where there is none."""
    with _told():
        return venvs.made(point.name, wanted(point, requirements))


def locked(point: EntryPoint, python: str, packages: Sequence[str], limit_s: float = venvs.MAKING_LIMIT_S) -> Path:
    """The folder of an environment with exactly these `packages` (requirements as uv takes them), made once for them.

    `python` is the exact version; another one than this process's must be there already, or for uv to download.
    """
    runner = sys.executable if python == platform.python_version() else python
    with _told():
        return venvs.made(f"{point.name}-locked", ["--no-deps", *packages], EXACTLY, runner, limit_s)


def folder(point: EntryPoint, requirements: Sequence[str]) -> Path:
    """Where the environment is kept, or will be."""
    return venvs.folder(point.name, wanted(point, requirements))


def wanted(point: EntryPoint, requirements: Sequence[str]) -> list[str]:
    """What an environment is made of: the `requirements`, and all that the plugin needs and none of them replaces.

    Builds of one engine for CPUs and for GPUs share a package folder: onnxruntime-gpu comes in place of onnxruntime.
    """
    asked = {_project(each) for each in requirements}
    builds = {_plain(project) for project in asked}
    replaced = {each for each in needed(point) if _plain(_project(each)) in builds and _project(each) not in asked}
    return [*requirements, *(each for each in needed(point) if each not in replaced)]


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be made is a failed probe."""
    try:
        yield
    except Unavailable as error:
        raise StageFailed("probe", "unavailable", error.reason, error.remedy) from None


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
    onnxruntime-gpu is onnxruntime, and so on.
    """
    project = _plain(_project(requirement))
    return [name for name, point in registered().items() if project in engines(point)]


def engines(point: EntryPoint) -> set[str]:
    """The projects that a plugin's engine is, without what kind of machine they are built for."""
    projects = {_project(each) for each in needed(point)}
    return {_plain(each) for each in projects if point.name.partition("-")[0] in each.split("-")}


def _project(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _plain(project: str) -> str:
    """The project's name without what kind of machine it is built for."""
    return project.removesuffix("-gpu").removesuffix("-cpu")


def needed(point: EntryPoint, held: Collection[str] = ()) -> list[str]:
    """What the plugin's distribution says that it needs, by the extra of the plugin's name where it is one of many.

    Where one of the projects `held` is another build of an engine that is not held itself, such as onnxruntime-gpu, it
    comes in its place, with all that the extra of its name brings.
    """
    texts = list(dict.fromkeys(_requirements(point, {point.name, point.name.partition("-")[0]})))
    builds = {each: build for each in texts for build in held if _comes_for(build, _project(each), held)}
    others = [*builds.values(), *_requirements(point, set(builds.values()))] if builds else []
    return [each for each in dict.fromkeys([*texts, *others]) if each not in builds]


def _comes_for(build: str, project: str, held: Collection[str]) -> bool:
    """Whether it is another build of a project that is not there itself."""
    return project not in held and _plain(build) == _plain(project)


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
