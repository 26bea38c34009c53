"""onnxruntime's session.run on numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping

from bakeoff.backends import Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(
    session={
        "without": ("SkipLayerNormFusion;BiasGeluFusion", "SkipLayerNormFusion", ""),
        "graph": ("ALL", "EXTENDED", "BASIC"),
        "arena": (True, False),
        "memory pattern": (True, False),
        "denormals as zero": ("0", "1"),
    }
)


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """One thread, and the defaults but for two fusions."""
    import onnxruntime as ort

    chosen = ort.SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    level = {"ALL": "ORT_ENABLE_ALL", "EXTENDED": "ORT_ENABLE_EXTENDED", "BASIC": "ORT_ENABLE_BASIC"}
    chosen.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level[str(options.get("graph", "ALL"))])
    chosen.enable_cpu_mem_arena = bool(options.get("arena", True))
    chosen.enable_mem_pattern = bool(options.get("memory pattern", True))
    without = str(options.get("without", KNOBS.session["without"][0]))
    chosen.add_session_config_entry("optimization.disable_specified_optimizers", without)
    chosen.add_session_config_entry("session.set_denormal_as_zero", str(options.get("denormals as zero", "0")))
    session = ort.InferenceSession(str(artifact.path), chosen, providers=["CPUExecutionProvider"])
    return Loop(dict, lambda request: session.run(None, request))
