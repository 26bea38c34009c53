"""TVM's pipeline for a CPU, with a schedule for matrix products: packed rows, a register tile, the epilogue in it.

TVM leaves a CPU's loops as they are written, a product's innermost one over the reduction. Its loops against these (one
core of a busy Zen 4, milliseconds): ctr-dlrm at batch 256 29 and 0.37, feed-sasrec 0.94 and 0.10. Other tiles (6x64,
8x48, 12x32) and the other order of its loops differed by 7 % there, which is that machine's noise.
"""

from __future__ import annotations

import platform
from typing import Any

from bakeoff.backends import cpu_flags

LEVELS = {
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "x86-64-v3": {"avx2", "bmi1", "bmi2", "fma", "f16c", "movbe", "abm"},
    "x86-64-v2": {"sse4_2", "ssse3", "popcnt", "cx16"},
}
"""LLVM's names for x86 generations, by the kernel's flags that each adds: a part of a name that LLVM guesses is not
what a virtual machine lets through."""
FLOATS = {"x86-64-v4": 16, "x86-64-v3": 8}
"""How many floats a vector register holds; 4 elsewhere."""


def cpu_target(threads: int) -> dict[str, Any]:
    """TVM's description of this machine's CPU."""
    return {"kind": "llvm", "mcpu": cpu_name(platform.machine(), cpu_flags()), "num-cores": threads}


def cpu_name(machine: str, flags: frozenset[str]) -> str:
    """The highest x86 generation all of whose instructions, and its forerunners', are among the `flags`."""
    if machine not in ("x86_64", "AMD64"):
        return "generic"
    name = "x86-64"
    for level, needed in reversed(LEVELS.items()):
        if not needed <= flags:
            break
        name = level
    return name


def cpu_pipeline(target: Any, threads: int) -> Any:
    """TVM's own passes for a CPU, with products scheduled and quick exponentials (their error is float32's own)."""
    import tvm
    from tvm import relax
    from tvm.relax.backend.cpu_generic import pipeline as own
    from tvm.s_tir import dlight

    passes = [
        *own.library_dispatch_passes(target),
        relax.transform.FastMathTransform(),
        *own.legalize_passes(target),
        dlight.ApplyDefaultSchedule(_rule(FLOATS.get(str(target.attrs["mcpu"]), 4), threads)),
        *own.dataflow_lower_passes(target),
        *own.finalize_passes(target),
    ]

    @tvm.transform.module_pass(opt_level=0)  # type: ignore[untyped-decorator]
    def run(module: Any, _: Any) -> Any:
        with target:
            return tvm.transform.Sequential(passes)(module)

    return run


def _rule(lanes: int, threads: int) -> Any:
    """The product's schedule as a rule of dlight's; what it does not fit keeps TVM's loops."""
    from tvm import s_tir, tirx
    from tvm.s_tir.dlight.base.schedule_rule import ScheduleRule

    class Products(ScheduleRule):  # type: ignore[misc]
        def apply(self, func: Any, target: Any, tunable: bool) -> Any:
            if not isinstance(func, tirx.PrimFunc):
                return None
            try:
                return schedule_product(s_tir.Schedule(func), lanes, threads)
            except (s_tir.schedule.ScheduleError, AssertionError):
                return None

    return Products()


def schedule_product(schedule: Any, lanes: int, threads: int) -> Any:
    """Tile the function's one product C[s, i, j] += A[s, i, k] * B[s, k, j]; None where it has none.

    A tile of C stays in registers. Rows are padded to the tile's, so that a free number of items needs no tail; their
    padding is read as zeros and never written.
    """
    from tvm.s_tir.dlight.gpu.matmul import (
        auto_inline_consumer_chain,
        auto_inline_producers,
        get_index_map,
        get_reduction_blocks,
    )

    blocks = get_reduction_blocks(schedule, schedule.get_child_blocks(schedule.get_sblock("root")))
    maps = get_index_map(schedule.get(blocks[0])) if blocks else None
    if maps is None:
        return None
    product = blocks[0]
    _normalise(schedule, product, maps)
    items, width, depth = (_length(schedule, loop) for loop in schedule.get_loops(product)[1:])
    if width is None or depth is None or width == 1:
        return None
    vector, columns = tile_width(width, lanes)
    rows = min(8 if lanes == 16 else 4, items or 8)

    schedule.pad_einsum(product, [1, rows, columns, 1])
    batch, i, j, k = schedule.get_loops(product)
    i, row = schedule.split(i, [None, rows])
    j, column = schedule.split(j, [None, columns])
    schedule.reorder(batch, i, j, k, row, column)
    column, lane = schedule.split(column, [None, vector])

    left = schedule.cache_read(product, 0, "global")
    schedule.compute_at(left, i)
    auto_inline_producers(schedule, left)
    right = schedule.cache_read(product, 1, "global")
    auto_inline_producers(schedule, right)
    padded = width % columns != 0
    if padded:
        schedule.compute_at(right, batch)
    else:
        schedule.compute_inline(right)
    result = schedule.cache_write(product, 0, "global")
    schedule.reverse_compute_at(result, j)
    auto_inline_consumer_chain(schedule, result)

    if threads > 1:
        schedule.parallel(batch if padded else schedule.fuse(batch, i))
    schedule.unroll(row)
    schedule.unroll(column)
    schedule.vectorize(lane)
    schedule.decompose_reduction(product, k)
    schedule.vectorize(schedule.split(schedule.get_loops(result)[-1], [None, vector])[1])
    if depth % lanes == 0:
        schedule.vectorize(schedule.split(schedule.get_loops(left)[-1], [None, lanes])[1])
    return schedule


def tile_width(width: int, lanes: int) -> tuple[int, int]:
    """A vector's floats and a tile's columns for `width` columns: two vectors where that divides, else one, padded."""
    vector = next((size for size in (lanes, lanes // 2, lanes // 4) if size >= 4 and width % size == 0), None)
    if vector is None:
        vector = next((size for size in (4, 8) if size >= width and size < lanes), lanes)
    return vector, vector * (2 if width % (2 * vector) == 0 else 1)


def _normalise(schedule: Any, product: Any, maps: Any) -> None:
    """Bring the block into the form [batch, row, column, reduction], its buffers re-indexed to match."""
    left, right = (schedule.reindex(product, ("read", side)) for side in (0, 1))
    result = schedule.reindex(product, ("write", 0))
    order, left_map, right_map, result_map = maps
    schedule.transform_layout(left, ("write", 0), left_map)
    schedule.transform_layout(right, ("write", 0), right_map)
    schedule.transform_layout(result, ("read", 0), result_map)
    schedule.transform_block_layout(product, order)


def _length(schedule: Any, loop: Any) -> int | None:
    from tvm import tirx

    extent = schedule.get(loop).extent
    return int(extent) if isinstance(extent, tirx.IntImm) else None
