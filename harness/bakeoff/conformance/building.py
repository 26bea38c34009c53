"""The checks up to the built artifact. Each gives a detail, or raises NotConforming or whatever the engine raises."""

from __future__ import annotations

import hashlib
import pickle
import sys
import time

from bakeoff.backends import Backend, Facts, Model, OtherDevice, Unavailable, Unsupported, registered
from bakeoff.conformance import ranker
from bakeoff.conformance.bench import Bench, NotConforming, Seen, require
from bakeoff.conformance.stages import DEVICES

CORES = (1, 2, 4)


# contract


def constructs(bench: Bench) -> str:
    """A subclass of Backend with a name and formats, and no abstract method left."""
    backend = bench.backend
    require(bool(getattr(backend, "name", "")), "it has no name")
    formats = getattr(backend, "formats", ())
    require(isinstance(formats, tuple) and bool(formats), "formats must be a tuple such as ('onnx',)")
    built_from = ", ".join(formats)
    return Seen(f"{backend.name} builds from {built_from}; its instances are {backend.instances}", built_from)


def is_registered(bench: Bench) -> str:
    """The entry point has the name of the class, or reports would name one thing in two ways."""
    names = [name for name, point in registered().items() if point.value == bench.target]
    name = bench.backend.name
    require(not names or name in names, f"its entry point is called {', '.join(names)}, the class {name}")
    return "by an entry point" if names else "not yet: add it to the entry points of bakeoff.backends"


def settings_fit(bench: Bench) -> str:
    """For every number of cores: settings of distinct names, no more threads than cores, the first not on request."""
    for cpus in CORES:
        settings = bench.settings(cpus)
        names = [setting.name for setting in settings]
        require(bool(settings), f"no setting for {cpus} cores")
        require(not settings[0].on_request, f"the first setting for {cpus} cores, {names[0]}, must not be on request")
        require(len(set(names)) == len(names), f"two settings of one name for {cpus} cores: {', '.join(names)}")
        for setting in settings:
            used = setting.threads * setting.instances
            require(1 <= used <= cpus, f"{setting.name} uses {used} threads of {cpus} cores")
    return f"for {CORES[-1]} cores: {', '.join(names)}"


def imports_late(bench: Bench) -> str:
    """Constructing a backend and asking for its settings imports no engine: `bakeoff --help` lists them all."""
    own = bench.target.partition(":")[0].partition(".")[0]
    bench.settings(1)
    new = {module.partition(".")[0] for module in set(sys.modules) - bench.modules_before}
    roots = new - {own, "bakeoff", "numpy"} - sys.stdlib_module_names
    heavy = sorted(root for root in roots if _is_package(root))
    require(not heavy, f"constructing it imports {', '.join(heavy)}: import inside the method that needs it")
    return "constructing it imports no other package"


def _is_package(root: str) -> bool:
    spec = getattr(sys.modules.get(root), "__spec__", None)
    return spec is not None and spec.submodule_search_locations is not None


# probe


def probe(bench: Bench) -> str:
    """Facts with a version, or Unavailable with both texts."""
    try:
        facts = bench.backend.probe(bench.device)
    except Unavailable as absent:
        require(bool(absent.reason.strip() and absent.remedy.strip()), "Unavailable needs a reason and a remedy")
        bench.folder.write_precisions(())
        return Seen(f"unavailable: {absent}", f"no: {absent.reason}")
    require(isinstance(facts, Facts) and bool(facts.version), "probe must return Facts with a version")
    bench.folder.write_precisions(bench.backend.precisions(bench.device))
    return Seen(f"version {facts.version}", facts.version)


def precisions(bench: Bench) -> str:
    """Distinct names, at least one where the engine is here, and the first of them tried by default."""
    named = bench.folder.precisions()
    require(len(set(named)) == len(named) and all(named), f"precisions must be distinct names: {named}")
    require(
        not set(named[:1]) & bench.backend.on_request,
        f"its first precision, {''.join(named[:1])}, must not be on request",
    )
    return ", ".join(named) or "none, it is unavailable"


def devices(bench: Bench) -> str:
    """Those that the engine is made for, here or on another machine: for any other its probe raises OtherDevice."""
    here = {bench.device} if bench.folder.precisions() else set()
    found = [device for device in DEVICES if device in here or _is_made_for(bench.backend, device)]
    require(bool(found), f"its probe says of {' and '.join(DEVICES)} that it runs on another")
    return Seen(", ".join(found), ", ".join(found))


def _is_made_for(backend: Backend, device: str) -> bool:
    try:
        backend.probe(device)
    except OtherDevice:
        return False
    except Exception:  # missing here, or broken
        return True
    return True


# model


def writes_model(bench: Bench) -> str:
    """The test model in each of the backend's formats that the suite knows."""
    known = [name for name in bench.backend.formats if name in ranker.FILES]
    require(bool(known), f"the suite writes {', '.join(ranker.FILES)}, and none is in its formats")
    for name in known:
        ranker.write(bench.folder.models(), name)
    return ", ".join(known)


# refusal and build


def refuses_unknown_precision(bench: Bench) -> str:
    """Unsupported, not a build that pretends."""
    try:
        bench.backend.build(bench.model(), "fp3", bench.setting, bench.device, bench.folder.built("fp3"))
    except Unsupported as refusal:
        return str(refusal)
    raise NotConforming('build accepted the precision "fp3": start it with self.require(precision, device)')


def builds(bench: Bench) -> str:
    """An artifact inside the folder; Unsupported with a text will do for all precisions but the first."""
    into = bench.folder.built(bench.precision)
    model = bench.model()
    before, started = _digests(model), time.monotonic()
    try:
        artifact = bench.backend.build(model, bench.precision, bench.setting, bench.device, into)
    except Unsupported as refusal:
        first = bench.precision == bench.folder.precisions()[0]
        require(not first and bool(str(refusal)), f"unsupported, though its own first precision: {refusal}")
        return f"unsupported: {refusal}"
    seconds = time.monotonic() - started
    require(before == _digests(model), "it changed the model's files")
    require(artifact.path.exists(), f"{artifact.path} does not exist")
    require(artifact.path.is_relative_to(into), f"{artifact.path} is outside the folder given")
    require(artifact.precision == bench.precision, f"the artifact says {artifact.precision}")
    require(artifact.outputs == ranker.OUTPUTS, f"the artifact's outputs are {', '.join(artifact.outputs)}")
    bench.folder.artifact(bench.precision).write_bytes(pickle.dumps(artifact))
    return f"{seconds:.1f} s"


def writes_inside(bench: Bench) -> str:
    """No file in the current folder, none left in TMPDIR."""
    for place in (bench.folder.empty(), bench.folder.scratch("build", bench.precision)):
        left = sorted(path.name for path in place.rglob("*") if path.is_file())
        require(not left, f"it left {', '.join(left[:3])} outside its folder")
    return "nothing elsewhere"


def _digests(model: Model) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in model.files.items()}


CONTRACT = (constructs, is_registered, settings_fit, imports_late)
PROBE = (probe, precisions, devices)
MODEL = (writes_model,)
REFUSAL = (refuses_unknown_precision,)
BUILD = (builds, writes_inside)
