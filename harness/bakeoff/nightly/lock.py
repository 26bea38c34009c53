"""The lock of a plugin's environment: what its engine needs, as installed, to the very version, commit or hash.

uv makes the environment again from the lock alone. Where nothing differs from what is installed, nothing is made.
bakeoff itself is never locked: both sides of a check run under the one that checks.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, Field

from bakeoff.measure import environments
from bakeoff.measure.engine_room import HERE, Interpreter, StageFailed
from bakeoff.nightly import project
from bakeoff.nightly.addresses import without_secrets
from bakeoff.scenario.fields import Part
from bakeoff.workloads import venvs

PYTHON = "python"
"""The name under which the interpreter's version is compared."""
_UNCOMMITTED = " with uncommitted changes"
_SECRET = "its address has a user, a password or a query, which the lock leaves out; keep it in ~/.netrc"
_ASKED = "import json, platform, sys; print(json.dumps([platform.python_version(), sys.path]))"
_ASKING_LIMIT_S = 60.0


def _exact(line: str) -> str:
    try:
        asked = Requirement(line)
    except InvalidRequirement:
        raise ValueError("must be a requirement such as onnxruntime==1.31.1") from None
    pinned = [each.operator for each in asked.specifier] == ["=="] and not str(asked.specifier).endswith(".*")
    if not (pinned or asked.url) or asked.extras or asked.marker:
        raise ValueError("must name one version, as in onnxruntime==1.31.1, or a place, as in x @ git+file:.@COMMIT")
    return line


class Lock(Part):
    """An environment's packages, one requirement each, sorted; places in the project read from its root."""

    python: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\S*$")]
    packages: tuple[Annotated[str, AfterValidator(_exact)], ...]

    def by_name(self) -> dict[str, str]:
        """Each package's line by its name."""
        return {name_of(line): line for line in self.packages}


@dataclass(frozen=True, slots=True)
class Now:
    """What is installed now. `uncommitted` names packages whose work tree has changes that no commit holds, which the
    lock cannot hold either; `warnings` are for the person who pins."""

    lock: Lock
    uncommitted: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


def installed(point: EntryPoint, interpreter: Interpreter = HERE, root: Path | None = None) -> Now:
    """The closure of what the plugin's distribution needs, as installed for the interpreter, and a third party's plugin
    itself. Raises StageFailed where the interpreter does not answer."""
    root = root or project.root()
    python, held = _held(interpreter)
    lines, found = [], [held[name] for name in _closure(environments.needed(point, held), held)]
    if (plugin := plugin_of(point)) and point.dist:
        found = [each for each in found if canonicalize_name(each.name) != plugin] + [point.dist]
    uncommitted, warnings = set(), []
    for distribution in found:
        line, warning, dirty = _line(distribution, root)
        lines.append(line)
        uncommitted |= {name_of(line)} if dirty else set()
        warnings += [f"{distribution.name}: {warning}"] if warning else []
    return Now(Lock(python=python, packages=tuple(sorted(lines))), frozenset(uncommitted), tuple(sorted(warnings)))


def plugin_of(point: EntryPoint) -> str:
    """The name of the distribution that a third party's plugin comes in; empty for bakeoff's own plugins."""
    name = canonicalize_name(point.dist.name) if point.dist else ""
    return "" if name == environments.OURS else name


def differs(lock: Lock, now: Now) -> list[tuple[str, str, str]]:
    """What is not as it was pinned: name, pinned, now; empty text where it is absent."""
    pinned, here = lock.by_name(), now.lock.by_name()
    found = [(PYTHON, lock.python, now.lock.python)] if lock.python != now.lock.python else []
    for name in sorted({*pinned, *here}):
        before, after = pinned.get(name, ""), here.get(name, "")
        if before != after or name in now.uncommitted:
            found.append((name, _shown(before), _shown(after) + (_UNCOMMITTED if name in now.uncommitted else "")))
    return found


def versions(lock: Lock) -> dict[str, str]:
    """Python's version and each package's, or the place that it is from, by name."""
    return {PYTHON: lock.python} | {name: _shown(line) for name, line in lock.by_name().items()}


def mixed(lock: Lock, now: Lock, names: Collection[str]) -> Lock:
    """The lock with the named packages (and `python`) as they are now, for a bisection."""
    lines = {name: line for name, line in lock.by_name().items() if name not in names}
    lines |= {name: line for name, line in now.by_name().items() if name in names}
    return Lock(python=now.python if PYTHON in names else lock.python, packages=tuple(sorted(lines.values())))


def interpreter_of(
    lock: Lock,
    point: EntryPoint,
    now: Now | None = None,
    here: Interpreter = HERE,
    root: Path | None = None,
    limit_s: float = venvs.MAKING_LIMIT_S,
) -> Interpreter:
    """What runs a plugin as it was locked: `here` where nothing differs, else an environment made of the lock alone.

    Makes it at the first time. A third party's plugin is the lock's where it differs, else linked in like bakeoff is.
    Raises StageFailed("probe", "unavailable", ...) with a remedy where it cannot be made.
    """
    root = root or project.root()
    unlike = {name for name, *_ in differs(lock, now or installed(point, here, root))}
    if not unlike:
        return here
    plugin = plugin_of(point)
    linked = plugin not in unlike
    lines = [_absolute(line, root) for name, line in lock.by_name().items() if name != plugin or not linked]
    place = environments.locked(point, lock.python, lines, limit_s)
    return Interpreter(str(place / venvs.PYTHON), str(environments.own_packages(point, plugin=linked)))


def name_of(line: str) -> str:
    """The package's name in a lock's line."""
    return canonicalize_name(Requirement(line).name)


def _shown(line: str) -> str:
    """A line without its name: a version, or a place."""
    asked = Requirement(line) if line else None
    return "" if asked is None else asked.url or str(asked.specifier).removeprefix("==")


def _held(interpreter: Interpreter) -> tuple[str, Mapping[str, Distribution]]:
    """An interpreter's version, and the distributions that it finds, by name."""
    version, path = platform.python_version(), sys.path
    if interpreter != HERE:
        command = [interpreter.python, "-c", _ASKED]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_ASKING_LIMIT_S, check=True)
            version, path = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            reason = f"its Python does not say what it holds: {type(error).__name__}"
            raise StageFailed("probe", "unavailable", reason, f"try {interpreter.python} -V") from None
    found: dict[str, Distribution] = {}
    for each in distributions(path=list(path)):
        if each.metadata["Name"]:  # what an uninstall left half-way has none
            found.setdefault(canonicalize_name(each.name), each)
    return version, found


def _closure(needed: Iterable[str], held: Mapping[str, Distribution]) -> list[str]:
    """The names of all that `needed` requirements bring along, of those installed."""
    waiting = deque(pair for each in needed for pair in _wanted(Requirement(each)))
    seen: dict[tuple[str, str], None] = {}
    while waiting:
        name, extra = pair = waiting.popleft()
        if pair in seen or name not in held or name == environments.OURS:
            continue
        seen[pair] = None
        for each in map(Requirement, held[name].requires or ()):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                waiting.extend(_wanted(each))
    return sorted({name for name, _ in seen})


def _wanted(requirement: Requirement) -> list[tuple[str, str]]:
    """The package, and the package once more for each extra."""
    return [(canonicalize_name(requirement.name), extra) for extra in ("", *sorted(requirement.extras))]


def _line(distribution: Distribution, root: Path) -> tuple[str, str, bool]:
    """A distribution's line, what to warn of, and whether it has uncommitted changes."""
    name = canonicalize_name(distribution.name)
    version = f"{name}=={distribution.version}"
    origin: dict[str, Any] = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = urlsplit(origin.get("url", ""))
    if not origin:
        return version, "", False
    secret = _SECRET if without_secrets(url) != urlunsplit(url) else ""
    if "vcs_info" in origin:
        place, warning, dirty = _commit(url, origin, root), secret, False
    elif "dir_info" in origin:
        place, warning, dirty = _work_tree(Path(unquote(url.path)), root)
    else:
        place, warning, dirty = _archive(url, origin.get("archive_info") or {}, root), secret, False
    if place:
        return f"{name} @ {place}", warning, dirty
    return version, warning or "installed from outside of the project, so its version alone is locked", dirty


def _commit(url: SplitResult, origin: Mapping[str, Any], root: Path) -> str | None:
    """A repository at a commit; None where it lies on this machine alone."""
    where = without_secrets(url)
    if url.scheme == "file":
        path = project.relative(Path(unquote(url.path)), root)
        where = f"file:{path}" if path else ""
    within = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    info = origin["vcs_info"]
    return f"{info['vcs']}+{where}@{info['commit_id']}{within}" if where else None


def _work_tree(folder: Path, root: Path) -> tuple[str | None, str, bool]:
    """A folder in a git work tree, at the last commit that changed it; what to warn of; whether a file has changes."""
    top = project.work_tree(folder) if folder.is_dir() else None
    commit = project.git(folder, "log", "-1", "--format=%H", "--", ".") if top else ""
    where = project.relative(top, root) if top else None
    if top is None or where is None or not commit:
        return None, "installed from a folder that no commit of the project holds: its version alone is locked", False
    dirty = bool(project.git(folder, "status", "--porcelain", "--untracked-files=no", "--", "."))
    within = folder.resolve().relative_to(top.resolve())
    place = f"git+file:{where}@{commit}" + (f"#subdirectory={within.as_posix()}" if within.parts else "")
    return place, "has uncommitted changes, which the lock does not hold; commit them" if dirty else "", dirty


def _archive(url: SplitResult, info: Mapping[str, Any], root: Path) -> str | None:
    """A wheel or another archive by its place and, where known, its hash; None where it lies on this machine alone."""
    known = (info.get("hashes") or {}).get("sha256") or str(info.get("hash", "")).removeprefix("sha256=")
    known = known or (url.fragment.removeprefix("sha256=") if url.fragment.startswith("sha256=") else "")
    where: str | None = without_secrets(url._replace(fragment=""))
    if url.scheme == "file":
        file = Path(unquote(url.path))
        if not known and file.is_file():
            known = hashlib.sha256(file.read_bytes()).hexdigest()
        path = project.relative(file, root)
        where = f"file:{path}" if path else None
    return f"{where}#sha256={known}" if where and known else where


def _absolute(line: str, root: Path) -> str:
    """A line as uv takes it: places in the project as they are on this machine."""
    name, _, place = line.partition(" @ ")
    kind, _, rest = place.partition("file:")
    if not place or kind not in ("git+", "") or rest.startswith("//"):
        return line
    where, mark, within = rest.partition("#")
    path, at, commit = where.rpartition("@") if kind else (where, "", "")
    return f"{name} @ {kind}file://{(root / path).resolve()}{at}{commit}{mark}{within}"
