"""What engines share that take an exported program at fixed shapes: the program, a request, and their refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bakeoff.backends import Artifact, Model, Setting, Unsupported
from bakeoff_backends import batch_ladder, torch_session

OPERATOR = re.compile(r"\b(?:torch\.ops\.)?((?:aten|prims|torchvision|stablehlo|tfl)(?:\.|::)\w+(?:\.\w+)?)")


def module(model: Model, formats: tuple[str, ...], setting: Setting) -> Any:
    """The program as a callable module; raises Unsupported where a padded request would be answered otherwise."""
    torch_session.set_threads(setting.threads)
    source = model.file(*formats)
    found = torch_session.read(source).module()
    whole = torch_session.TorchSession(found, Artifact(source, "fp32", model.inputs, model.outputs))
    batch_ladder.check(model, whole.infer)
    return found


def tensors(model: Model, size: int) -> tuple[Any, ...]:
    """A request of `size` items as torch tensors, in the order of the signature."""
    import torch

    arrays = batch_ladder.arguments(model, size)
    return tuple(torch.from_numpy(arrays[tensor.name].copy()) for tensor in model.inputs)


@contextmanager
def refusals(engine: str) -> Iterator[None]:
    """Whatever a converter raises becomes Unsupported with the operator it names, or with its own first words."""
    try:
        yield
    except Unsupported:
        raise
    except Exception as error:
        named = OPERATOR.search(str(error))
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        reason = named[1] if named else f"{type(error).__name__}: {words[:200]}"
        raise Unsupported(f"{engine} cannot convert {reason}") from error
