"""What engines share that take an exported program at fixed shapes: the program, its requests, and their refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bakeoff.backends import FP32, Arrays, Artifact, Model, Setting, Unsupported
from bakeoff_backends import fixed_batches, torch_session
from bakeoff_backends.fixed_batches import Call

OPERATOR = re.compile(r"\b(?:torch\.ops\.)?((?:aten|prims|torchvision|stablehlo|tfl)(?:\.|::)\w+(?:\.\w+)?)")


def program(model: Model, formats: tuple[str, ...], setting: Setting) -> tuple[Any, Call]:
    """The program as a module and as a call on arrays; raises Unsupported where its requests cannot be padded."""
    torch_session.set_threads(setting.threads)
    source = model.file(*formats)
    module = torch_session.read(source).module()
    whole = torch_session.TorchSession(module, Artifact(source, FP32, model.inputs, model.outputs)).infer
    with refusals("the exported program"):
        fixed_batches.check(model, whole)
    return module, whole


def tensors(model: Model, request: Arrays) -> tuple[Any, ...]:
    """A request as torch tensors, in the order of the signature."""
    import torch

    return tuple(torch.from_numpy(np.array(request[tensor.name])) for tensor in model.inputs)


@contextmanager
def refusals(engine: str) -> Iterator[None]:
    """What an engine raises becomes Unsupported with the operator it names, or with its own first words."""
    try:
        yield
    except Unsupported:
        raise
    except Exception as error:
        named = OPERATOR.search(str(error))
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        reason = named[1] if named else f"{type(error).__name__}: {words[:200]}"
        raise Unsupported(f"{engine} stumbles over {reason}") from error
