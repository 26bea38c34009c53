"""The winner's settings in a form to copy: as YAML, and as the engine's own calls where we know the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from bakeoff.decide.judgement import Judgement
from bakeoff.scenario.device import CPU, kind_of
from bakeoff.show.numbers import clean


def as_yaml(judged: Judgement) -> str:
    """Everything that makes the candidate what it is, as YAML."""
    facts = {
        "candidate": judged.candidate,
        "backend": judged.backend,
        "variant": judged.variant,
        "precision": judged.precision,
        "device": judged.device,
        "setting": {"name": judged.setting, **judged.settings},
    }
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=100)


def engine_calls(judged: Judgement) -> str:
    """The engine's own knobs as Python, empty for an engine that we do not know."""
    write = _KNOWN.get(judged.backend)
    return write(judged, judged.settings) if write else ""


def _onnxruntime(judged: Judgement, knobs: Mapping[str, Any]) -> str:
    return (
        f"# {_instances(knobs)}\n"
        "options = onnxruntime.SessionOptions()\n"
        f"options.intra_op_num_threads = {_threads(knobs)}\n"
        "options.inter_op_num_threads = 1\n"
        f"{_optimisation(judged.setting)}"
        f"{_fusions(judged.device)}"
        f'options.add_session_config_entry("session.intra_op.allow_spinning", "{int(knobs.get("spin") is True)}")\n'
        f'session = onnxruntime.InferenceSession("model.onnx", options, providers={_providers(judged, knobs)})\n'
    )


def _providers(judged: Judgement, knobs: Mapping[str, Any]) -> str:
    """As Python; on a GPU with what TF32 depends on."""
    if kind_of(judged.device) == CPU:
        return '["CPUExecutionProvider"]'
    cuda = f'("CUDAExecutionProvider", {{"use_tf32": "{int(judged.precision == "tf32")}"}})'
    return f'["TensorrtExecutionProvider", {cuda}]' if knobs.get("provider") == "tensorrt" else f"[{cuda}]"


def _optimisation(setting: str) -> str:
    level = next((level for ending, level in _LEVELS.items() if setting.endswith(ending)), "")
    return f"options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.{level}\n" if level else ""


def _fusions(device: str) -> str:
    name, without = "optimization.disable_specified_optimizers", "SkipLayerNormFusion;BiasGeluFusion"
    return f'options.add_session_config_entry("{name}", "{without}")\n' if kind_of(device) == CPU else ""


def _openvino(judged: Judgement, knobs: Mapping[str, Any]) -> str:
    instances = knobs.get("instances", 1)
    streams = instances if isinstance(instances, int) else 1
    return (
        "core = openvino.Core()\n"
        'compiled = core.compile_model("model.xml", "CPU", {\n'
        f'    "PERFORMANCE_HINT": "{"LATENCY" if streams == 1 else "THROUGHPUT"}",\n'
        f'    "NUM_STREAMS": {streams},\n'
        f'    "INFERENCE_NUM_THREADS": {streams * _threads(knobs)},\n'
        f'    "INFERENCE_PRECISION_HINT": "{"bf16" if judged.precision == "bf16" else "f32"}",\n'
        '    "ENABLE_CPU_PINNING": False,\n'
        "})\n"
    )


def _torch(judged: Judgement, knobs: Mapping[str, Any]) -> str:
    on_gpu = ""
    if kind_of(judged.device) != CPU:
        on_gpu = f'torch.set_float32_matmul_precision("{"high" if judged.precision == "tf32" else "highest"}")\n'
    threads = f"torch.set_num_threads({_threads(knobs)})\ntorch.set_num_interop_threads(1)\n"
    return f"# {_instances(knobs)}\n{threads}{on_gpu}"


def _threads(knobs: Mapping[str, Any]) -> int:
    threads = knobs.get("threads", 1)
    return threads if isinstance(threads, int) else 1


def _instances(knobs: Mapping[str, Any]) -> str:
    count = clean(knobs.get("instances", 1))
    return "one instance" if count == "1" else f"{count} instances side by side, each with:"


_LEVELS = {"-nofuse": "ORT_DISABLE_ALL", "-basic": "ORT_ENABLE_BASIC", "-extended": "ORT_ENABLE_EXTENDED"}
_KNOWN: Mapping[str, Callable[[Judgement, Mapping[str, Any]], str]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "torch": _torch,
    "torch-compile": _torch,
}
