"""What engines share that take an exported program at fixed shapes, or compile it for each: the program, its requests,
and their refusals."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Arrays, Model, Setting, describe, refusing
from bakeoff_backends import fixed_batches, torch_session
from bakeoff_backends.fixed_batches import Call, Ladder

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from bakeoff_backends.aten_graph import Graph

OPERATOR = re.compile(r"\b(?:torch\.ops\.)?((?:aten|prims|torchvision|stablehlo|tfl)(?:\.|::)\w+(?:\.\w+)?)")


def program(model: Model, formats: tuple[str, ...], setting: Setting) -> tuple[Any, Call]:
    """The program as a module and as a call on arrays; raises Unsupported where its requests cannot be padded."""
    torch_session.set_threads(setting.threads)
    module = torch_session.read(model.file(*formats)).module()
    whole = torch_session.called(module, model)
    with refusals("the exported program"):
        fixed_batches.check(model, whole)
    return module, whole


def ladder(program: ExportedProgram, graph: Graph, model: Model, setting: Setting) -> Ladder:
    """How requests are padded for an engine that compiles `graph`, which is the program's, for each size."""
    torch_session.set_threads(setting.threads)
    with refusals("the exported program"):
        return Ladder.of(graph, model, torch_session.called(program.module(), model))


def tensors(model: Model, request: Arrays) -> tuple[Any, ...]:
    """A request as torch tensors, in the order of the signature."""
    import torch

    return tuple(torch.from_numpy(np.array(request[tensor.name])) for tensor in model.inputs)


def refusals(engine: str) -> AbstractContextManager[None]:
    """What an engine raises becomes Unsupported with the operator it names, or with its own first words."""
    return refusing(f"{engine} stumbles over", lambda error: _operator(error) or describe(error))


def _operator(error: Exception) -> str:
    named = OPERATOR.search(str(error))
    return named[1] if named else ""
