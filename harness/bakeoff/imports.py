"""Which files a module's code lies in: what is kept is named by the code that decided it."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path


def imports(start: Path, package: str, besides: Collection[str] = ()) -> set[Path]:
    """A module and those of its folder, the `package`, that it imports, and so on, without those named `besides`."""
    found, waiting = {start}, [start]
    while waiting:
        names = {
            name
            for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package)
            for name in [(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)]
        }
        new = {start.parent / f"{name}.py" for name in names - {*besides}} - found
        new = {path for path in new if path.exists()}
        found |= new
        waiting += new
    return found
