"""A source from a Workload class: trained and exported once, kept in the cache, then given the traffic's requests."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from bakeoff.errors import UserError
from bakeoff.workloads import exporting, pool
from bakeoff.workloads.built_in import BUILT_IN
from bakeoff.workloads.locking import made_once
from bakeoff.workloads.own_files import variant_files
from bakeoff.workloads.source import Pool, Source, Spec, code_digest
from bakeoff.workloads.workload import HeldOut, Progress, Workload

TRAINING_CODE = (
    *("ctr_dlrm.py", "dlrm.py", "exporting.py", "minilm.py", "product_category.py", "search_biencoder.py"),
    *("ta_feng.py", "towers.py", "two_tower.py", "wheels.py"),
)
"""What decides a built-in model: a change elsewhere in this package does not train it anew."""
FILES = {"onnx": "model.onnx", "exported": "model.pt2"}


def source_of(spec: Spec, progress: Progress) -> Source:
    """The source for the spec's built-in workload or factory."""
    workload = create(BUILT_IN[spec.target] if spec.kind == "built-in" else spec.target, spec.search)
    kept = _trained(workload, spec, progress)
    files = {form: kept / name for form, name in FILES.items() if (kept / name).exists()}
    module = torch.export.load(files["exported"]).module()
    downloads = spec.cache / "downloads"

    def requests() -> Pool:
        one = workload.requests(np.array([1 + workload.beside]), spec.seed, downloads, progress)
        sizes = [(items + workload.beside, share) for items, share in spec.sizes]
        row_bytes = sum(array.nbytes // len(array) for array in one.values())
        rows = pool.row_counts(sizes, row_bytes, 0, spec.pool_bytes, np.random.default_rng([spec.seed, 3]))
        return Pool(workload.requests(rows, spec.seed, downloads, progress), rows)

    def held_out() -> HeldOut:
        return workload.held_out(spec.chunk, spec.seed, downloads, progress)

    return Source(
        name=workload.name,
        data=workload.data,
        licence=workload.licence,
        citation=workload.citation,
        inputs=workload.inputs,
        outputs=workload.outputs,
        judged=workload.judged,
        metrics=workload.metrics,
        files={"base": files, **variant_files(spec.variants, workload.inputs, workload.outputs)},
        pool=requests,
        held_out=held_out,
        run=lambda request: exporting.run(module, workload.inputs, workload.outputs, request),
        reference_rows=workload.reference_rows,
        beside=workload.beside,
        facts=json.loads((kept / "facts.json").read_text(encoding="utf-8")),
    )


def create(target: str, search: tuple[Path, ...]) -> Workload:
    """The workload that "module:factory" makes; raises UserError where there is none."""
    sys.path[:0] = [str(folder) for folder in search]
    module, _, name = target.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise UserError(f"workload {target}: {blame(error)}") from error
    if not isinstance(made, Workload):
        raise UserError(
            f"workload {target}: must return a bakeoff.workloads.workload.Workload, not {type(made).__name__}"
        )
    return made


def blame(error: Exception) -> str:
    """What went wrong in a person's own code, and in which line: the last that is neither ours nor a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parents[1]
    own = [f for f in frames if "site-packages" not in f.filename and not Path(f.filename).is_relative_to(ours)]
    last = (own or frames)[-1]
    return f"{type(error).__name__}: {exporting.first_line(error)} ({Path(last.filename).name}, line {last.lineno})"


def _trained(workload: Workload, spec: Spec, progress: Progress) -> Path:
    """The folder of the cache with the exported model and its facts; trains it where there is none."""
    code = code_digest(Path(__file__).with_name(name) for name in TRAINING_CODE)
    decides = [workload.name, spec.target, str(spec.seed), spec.own, code]
    digest = hashlib.sha256("\n".join(decides).encode()).hexdigest()[:16]

    def make(folder: Path) -> None:
        progress(f"{workload.name}: {_terms(workload)}")
        trained = workload.train(spec.seed, spec.cache / "downloads", progress)
        progress(f"exporting {workload.name}")
        most = max(exporting.CHECKED_ROWS)
        rows = workload.requests(np.array([most]), spec.seed, spec.cache / "downloads", progress)
        exporting.export(trained.module, workload.inputs, workload.outputs, rows, folder)
        (folder / "facts.json").write_text(json.dumps(_plain(trained.facts)), encoding="utf-8")

    return made_once(spec.cache / "models" / f"{workload.name}-{digest}", make)


def _terms(workload: Workload) -> str:
    return "; ".join(part for part in (workload.licence, workload.citation) if part) or "no licence stated"


def _plain(facts: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    return {name: fact.item() if isinstance(fact, np.generic) else fact for name, fact in facts.items()}
