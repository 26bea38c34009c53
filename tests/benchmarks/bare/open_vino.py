"""OpenVINO's infer request, on shared memory as its documentation advises for speed."""

from __future__ import annotations

from collections.abc import Mapping

from bakeoff.backends import Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(
    session={
        "PERFORMANCE_HINT": ("LATENCY", "THROUGHPUT"),
        "ENABLE_CPU_PINNING": (False, True),
        "ENABLE_HYPER_THREADING": (False, True),
        "EXECUTION_MODE_HINT": ("PERFORMANCE", "ACCURACY"),
        "CPU_DENORMALS_OPTIMIZATION": (False, True),
    }
)
"""Without NUM_STREAMS, which is how many requests run at once, and INFERENCE_PRECISION_HINT, which is the precision."""


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """One stream on one thread in fp32; on some machines OpenVINO would choose bf16."""
    import openvino as ov

    properties = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1} | dict(options)
    compiled = ov.Core().compile_model(str(artifact.path), "CPU", properties | {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return Loop(dict, lambda inputs: request.infer(inputs, share_inputs=True, share_outputs=True))
