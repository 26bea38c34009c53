"""The child process that prepares a workload: `python -m bakeoff.workloads.child SPEC`, started through `mortal`.

It tells its parent how it fares, one JSON object a line on standard output: {"progress": …}, {"user_error": …},
{"unsupported": …}, {"unavailable": …, "remedy": …}.
Whatever libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from bakeoff.backends import Unavailable, Unsupported
from bakeoff.errors import UserError
from bakeoff.workloads.source import Source, Spec


def main(spec_file: str) -> int:
    """Prepare what the spec asks for; 0, or 2 where the person's input is at fault."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    spec = Spec.from_json(json.loads(Path(spec_file).read_text(encoding="utf-8")))
    _quieten()
    try:
        _prepare(spec, lambda text: _tell(channel, progress=text))
    except Exception as error:
        message = _message(spec, error)
        if not message:
            raise
        _tell(channel, **message)
        return 2
    return 0


def _message(spec: Spec, error: Exception) -> dict[str, str]:
    """What the parent is told of an error; nothing where it is a bug. An engine's refusals are a variant's alone: of
    the base, which must be there, they are the person's to mend."""
    if isinstance(error, UserError):
        return {"user_error": str(error)}
    if spec.recipe and isinstance(error, Unsupported):
        return {"unsupported": str(error)}
    if spec.recipe and isinstance(error, Unavailable):
        return {"unavailable": error.reason, "remedy": error.remedy}
    blamed = spec.kind == "factory" or isinstance(error, Unsupported | Unavailable)
    return {"user_error": f"workload {spec.target}: {_blame(error)}"} if blamed else {}


def _blame(error: Exception) -> str:
    from bakeoff.workloads.training import blame

    return blame(error)


def _prepare(spec: Spec, progress: Callable[[str], None]) -> None:
    if spec.recipe:
        _require_torch(spec)
        from bakeoff.workloads import compressing

        return compressing.make(spec, progress)
    from bakeoff.workloads.assembling import assemble

    return assemble(_source(spec, progress), spec, progress)


def _source(spec: Spec, progress: Callable[[str], None]) -> Source:
    if spec.kind == "onnx":
        from bakeoff.workloads import from_onnx

        return from_onnx.source_of(spec)
    _require_torch(spec)
    if spec.kind == "pt2":
        from bakeoff.workloads import from_exported

        return from_exported.source_of(spec)
    from bakeoff.workloads import from_workload

    return from_workload.source_of(spec, progress)


def _require_torch(spec: Spec) -> None:
    try:
        import torch
    except ImportError as error:
        raise UserError(f"{spec.target}: needs torch; Hint: pip install 'bakeoff[workloads]'") from error
    torch.set_num_threads(1)  # small layers gain little from a second, and lose much where another process has it


def _quieten() -> None:
    """Nobody reads warnings here, and nothing may be fetched from a model hub."""
    warnings.simplefilter("ignore")
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false"
    )


def _tell(channel: TextIO, **message: str) -> None:
    channel.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
