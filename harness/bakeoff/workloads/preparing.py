"""The parent's side of preparing a workload: what decides it, whether the cache has it, and the child that makes it."""

from __future__ import annotations

import difflib
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bakeoff.backends import Unavailable, Unsupported
from bakeoff.errors import UserError
from bakeoff.scenario import Scenario
from bakeoff.scenario.fields import is_factory
from bakeoff.workloads import mortal, recipes
from bakeoff.workloads.built_in import BUILT_IN
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.locking import made_once
from bakeoff.workloads.pool import beyond_caches_bytes
from bakeoff.workloads.prepared import COMPRESSED, MADE, MANIFEST, Made, Prepared, Refusal
from bakeoff.workloads.source import Origin, Recorded, Spec, code_digest

_PART_BYTES = 1 << 22


def prepare(
    scenario: Scenario,
    min_pool_bytes: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
    training_seed: int | None = None,
) -> Prepared:
    """The scenario's workload with its variants, from the cache or made by child processes, which `progress` tells of.

    `min_pool_bytes` is the least size of all requests together; default: more than the CPU's caches hold.
    `training_seed` trains another model for the same data; default: the scenario's seed. Raises UserError where the
    model or the recorded requests cannot be used, or data cannot be downloaded. A variant that cannot be made is told
    in `refused`.
    """
    spec = spec_of(scenario, beyond_caches_bytes() if min_pool_bytes is None else min_pool_bytes, training_seed)
    place = made_once(spec.into, lambda scratch: _run_child(replace(spec, into=scratch), progress))
    made: dict[str, Made] = {}
    refused: dict[str, Refusal] = {}
    for name in scenario.recipes:
        found = _compressed(replace(spec, into=place, recipe=name), progress)
        if isinstance(found, Made):
            made[name] = found
        else:
            refused[name] = found
    return replace(Prepared.read(place), made=made, refused=refused)


def _compressed(spec: Spec, progress: Callable[[str], None]) -> Made | Refusal:
    """The variant of the spec's recipe, made where it is not there; or why it cannot be made."""
    place = f"{COMPRESSED}/{recipes.made_name(spec.recipe)}"
    try:
        made_once(spec.into / place, lambda scratch: _run_child(replace(spec, into=scratch), progress))
    except Unsupported as error:
        return Refusal("unsupported", str(error))
    except Unavailable as error:
        return Refusal("unavailable", error.reason, error.remedy)
    except UserError as error:
        return Refusal("failed", f"making it failed: {error}")
    except _ChildError as error:
        return Refusal("failed", f"making it failed: {error.last_line}")
    return Made.read(spec.into, place)


def spec_of(scenario: Scenario, pool_bytes: int, training_seed: int | None = None) -> Spec:
    """What to prepare for a scenario, with `into` named by a digest of all that decides it; raises UserError."""
    recipes.check(scenario.recipes, f"{scenario.source or scenario.name}: variants")
    target = scenario.workload or scenario.variants["base"]
    asked = scenario.requests
    spec = Spec(
        kind=_kind(target, scenario),
        target=target,
        variants=scenario.own_variants,
        recorded=Recorded(Path(asked.file), asked.label, asked.group) if asked else None,
        sizes=tuple(sorted((share.items, share.weight) for share in scenario.traffic.batch_size)),
        seed=scenario.seed,
        training_seed=scenario.seed if training_seed is None else training_seed,
        pool_bytes=pool_bytes,
        search=tuple(dict.fromkeys([*([scenario.source.parent.absolute()] if scenario.source else []), Path.cwd()])),
        cache=cache_dir(),
        into=Path(),
        own="",
        code=code_digest(sorted(Path(__file__).parent.glob("*.py"))),
        key="",
        include_preparation=scenario.include_preparation,
    )
    spec = replace(spec, own=_own_digest(spec))
    decides = {name: value for name, value in spec.to_json().items() if name not in ("cache", "search")}
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    name = Path(target).stem if spec.kind in ("onnx", "pt2") else target.replace(":", ".")
    key = f"{name[:60]}-{digest}"
    return replace(spec, into=spec.cache / "prepared" / key, key=key)


def _kind(target: str, scenario: Scenario) -> Origin:
    if target.endswith(".onnx"):
        return "onnx"
    if target.endswith(".pt2"):
        return "pt2"
    if is_factory(target):
        return "factory"
    name = target.partition(":")[0]
    if name in BUILT_IN:
        return "built-in"
    near = difflib.get_close_matches(name, BUILT_IN, 1, 0.4)
    hint = f"; did you mean {near[0]}?" if near else f"; the built-in ones are {', '.join(BUILT_IN)}"
    raise UserError(f"{scenario.source or scenario.name}: workload: {target}: no such workload{hint}")


def _own_digest(spec: Spec) -> str:
    digest = hashlib.sha256()
    for path in _deciding_files(spec):
        digest.update(path.name.encode())
        try:
            with path.open("rb") as file:
                while part := file.read(_PART_BYTES):
                    digest.update(part)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()[:16]


def _deciding_files(spec: Spec) -> Iterator[Path]:
    if spec.recorded:
        yield spec.recorded.file
    models = [*spec.variants.values()]
    if spec.kind in ("onnx", "pt2"):
        models.append(Path(spec.target))
    for model in models:
        yield model
        yield from (path for path in sorted(model.parent.iterdir()) if _is_named_in(model, path))
    if spec.kind == "factory":
        module = Path(*spec.target.partition(":")[0].split("."))
        for folder in spec.search:
            for place in (folder / module.with_suffix(".py"), folder / module / "__init__.py"):
                if place.is_file():
                    yield from sorted(place.parent.glob("*.py"))


def _is_named_in(model: Path, path: Path) -> bool:
    """Whether a file beside an ONNX model may hold its external data: the model's bytes name it."""
    if model.suffix != ".onnx" or path == model or not path.is_file():
        return False
    return path.name.encode() in model.read_bytes()


def _run_child(spec: Spec, progress: Callable[[str], None]) -> None:
    """Have a child write the folder; its own failures are bugs, those it blames on the input are UserErrors."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        spec_file, log = Path(folder) / "spec.json", Path(folder) / "log"
        spec_file.write_text(json.dumps(spec.to_json()), encoding="utf-8")
        command = mortal.command("bakeoff.workloads.child", str(spec_file))
        complaint = refusal = absence = None
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
            ) as child,
        ):
            try:
                assert child.stdout is not None
                for line in child.stdout:
                    message = json.loads(line)
                    complaint = message.get("user_error", complaint)
                    refusal = message.get("unsupported", refusal)
                    if "unavailable" in message:
                        absence = Unavailable(message["unavailable"], message["remedy"])
                    if "progress" in message:
                        progress(message["progress"])
            except BaseException:
                child.kill()
                raise
        if complaint is not None:
            raise UserError(complaint)
        if refusal is not None:
            raise Unsupported(refusal)
        if absence is not None:
            raise absence
        if child.returncode != 0 or not (spec.into / (MADE if spec.recipe else MANIFEST)).exists():
            _explain(spec, child.returncode, log.read_text(encoding="utf-8", errors="replace"))


def _explain(spec: Spec, status: int, log: str) -> None:
    lines = [line for line in log.splitlines() if line.strip()] or ["it said nothing"]
    if status < 0 and spec.kind != "built-in" and not spec.recipe:
        raise UserError(f"{spec.target}: preparing it crashed with signal {-status}: {lines[-1][:300]}")
    raise _ChildError(f"preparing {spec.target} failed with status {status}:\n" + "\n".join(lines[-40:]))


class _ChildError(RuntimeError):
    """A child that ended without saying why; its message ends with what it printed."""

    @property
    def last_line(self) -> str:
        return str(self).splitlines()[-1][:300]
