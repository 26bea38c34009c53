"""What every backend must do: `run("onnxruntime")` or `run("my_package.module:MyBackend")` gives a list of checks."""

from bakeoff.conformance.suite import Check, named, run

__all__ = ["Check", "named", "run"]
