"""A small DLRM, requests of one user for it, and ways to compress it and to write it as files."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench, techniques
from bakeoff.workloads import exporting, ta_feng
from bakeoff.workloads.ctr_dlrm import CtrDlrm
from bakeoff.workloads.dlrm import Dlrm

SIZES = (5000, 3000, 1200, 11, 9, 7, 3001, 1201)
ROWS = 40


@pytest.fixture
def dlrm() -> Dlrm:
    """With tables whose entries matter."""
    torch.manual_seed(0)
    module = Dlrm(ta_feng.DENSE, SIZES).eval()
    for table in module.tables:
        torch.nn.init.normal_(table.weight, 0, 0.5)
    return module


@pytest.fixture
def request_rows() -> dict[str, np.ndarray]:
    """A request: one user and day, many items."""
    rng = np.random.default_rng(1)
    shared = set(ta_feng.OF_USER)
    ids = [
        rng.integers(0, size, 1).repeat(ROWS) if name in shared else rng.integers(0, size, ROWS)
        for name, size in zip(ta_feng.SPARSE, SIZES, strict=True)
    ]
    dense = rng.normal(size=(ROWS, ta_feng.DENSE)).astype(np.float32)
    return {"dense": dense, "sparse": np.stack(ids, axis=1)}


@pytest.fixture
def bench(request_rows) -> Bench:
    """Has an example and the DLRM's tile; trains nothing."""
    example = tuple(torch.from_numpy(request_rows[tensor.name]) for tensor in CtrDlrm.inputs)
    return Bench(examples=[example], tile=CtrDlrm().tiled)


@pytest.fixture
def compress(bench) -> Callable[[torch.nn.Module, str], torch.nn.Module]:
    """Apply a recipe to a copy of a model."""

    def apply(module: torch.nn.Module, recipe: str) -> torch.nn.Module:
        module = copy.deepcopy(module)
        for technique in techniques(Recipe.parse(recipe)):
            module = technique.apply(module, bench)
        return module

    return apply


@pytest.fixture
def answers(request_rows) -> Callable[[torch.nn.Module], np.ndarray]:
    """What a DLRM answers to the request."""
    return lambda module: exporting.run(module, CtrDlrm.inputs, CtrDlrm.outputs, request_rows)["click"]


@pytest.fixture
def files(request_rows, tmp_path) -> Callable[[torch.nn.Module], dict[str, Path]]:
    """Write a DLRM in both formats, each of which must answer as the module does."""
    return lambda module: exporting.export(module, CtrDlrm.inputs, CtrDlrm.outputs, request_rows, tmp_path / "model")


@pytest.fixture
def held_bytes() -> Callable[[torch.nn.Module], int]:
    """What a model's parameters and buffers take."""

    def count(module: torch.nn.Module) -> int:
        tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
        return sum(tensor.nbytes for tensor in tensors.values())

    return count
