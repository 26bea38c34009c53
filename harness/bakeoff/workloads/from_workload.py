"""A source from a Workload class: trained and exported once, kept in the cache, then given the traffic's requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bakeoff.backends import Arrays
from bakeoff.errors import UserError
from bakeoff.workloads import exporting, pool, training
from bakeoff.workloads.own_files import variant_files
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.raw_form import RawForm
from bakeoff.workloads.source import Pool, RawPool, Source, Spec
from bakeoff.workloads.workload import HeldOut, Progress, Workload


def source_of(spec: Spec, progress: Progress) -> Source:
    """The source for the spec's built-in workload or factory."""
    workload = training.workload_of(spec)
    raw = _raw(workload, spec, progress) if spec.include_preparation else None
    kept = training.trained(workload, spec, progress)
    files = training.files_in(kept)
    module = torch.export.load(files["exported"]).module()
    downloads = training.downloads(spec)

    def requests() -> Pool:
        one = workload.requests(np.array([1 + workload.beside]), spec.seed, downloads, progress)
        sizes = [(items + workload.beside, share) for items, share in spec.sizes]
        per = {tensor.name: tensor.per for tensor in workload.inputs}
        row_bytes = sum(array.nbytes // len(array) for name, array in one.items() if per[name] == "item")
        request_bytes = sum(array.nbytes for name, array in one.items() if per[name] == "request")
        rows = pool.row_counts(sizes, row_bytes, request_bytes, spec.pool_bytes, np.random.default_rng([spec.seed, 3]))
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
        facts=training.facts_in(kept),
        raw=raw,
    )


def _raw(workload: Workload, spec: Spec, progress: Progress) -> RawPool:
    """The raw form of the workload's requests; raises UserError where it has none."""
    if not workload.preparation:
        raise UserError(f"include_preparation: {workload.name} has no preparation of its requests to include")

    def requests(rows: Array, into: Path) -> Arrays:
        return workload.raw_requests(rows, spec.seed, training.downloads(spec), progress, into)

    search = tuple(str(folder) for folder in spec.search) if spec.kind == "factory" else ()
    return RawPool(RawForm(workload.preparation, workload.raw_inputs, search), requests)
