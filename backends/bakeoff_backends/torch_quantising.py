"""Quantising an exported program to int8 by torchao, in the forms that Inductor gives to oneDNN's int8 kernels."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from bakeoff.backends import Arrays, Model, Unsupported, has_vnni, refusing
from bakeoff_backends import torch_graph

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule

PRECISIONS = DYNAMIC, STATIC = "int8-dynamic", "int8-static"
CALIBRATION_ITEMS = 512
"""After so many items no further request is looked at: torchao's histograms take as long as the model."""
KERNEL = re.compile(r"(?<=aoti_torch_cpu_)_(?:int_mm_out|q(?:linear|conv)_pointwise\w*)(?=\()")
INT8_PRODUCT, WIDENED = "aten._int_mm.default", "quantized_decomposed.dequantize_per_channel.default"
"""What dynamic quantisation leaves in a program for each product, and static quantisation for each weight."""


def precisions() -> tuple[str, ...]:
    """Those that this machine runs: torchao is here, and the CPU multiplies bytes (VNNI); without, fp32 is sooner."""
    return PRECISIONS if has_vnni() and find_spec("torchao") is not None else ()


def quantised(program: ExportedProgram, model: Model, precision: str) -> ExportedProgram:
    """The program in int8, exported again with the same free axes. Raises Unsupported where nothing can be quantised,
    and where torchao cannot, with what it stumbled over."""
    if precision == STATIC and not model.samples:
        raise Unsupported(f"{STATIC} needs sample requests to calibrate on, and this model comes without")
    module = program.module()
    if precision == STATIC:
        module = _static(module, [_arguments(model, each) for each in _some(model)])
    else:
        module = _dynamic(module)
    with _refusals():
        made: ExportedProgram = torch_graph.again(program, module)
        return made if precision == STATIC else made.run_decompositions({})


def require_kernels(program: ExportedProgram, package: Path) -> None:
    """Raise Unsupported unless the code that Inductor generated for the quantised program calls int8 kernels, naming
    the operators that it found none for; how many it calls is told on stdout."""
    with ZipFile(package) as files:
        code = [files.read(name).decode() for name in files.namelist() if name.endswith(".wrapper.cpp")]
    found = [kernel for text in code for kernel in KERNEL.findall(text)]
    wanted = list(_products(program))
    told = f"Inductor has int8 kernels for {len(found)} of {len(wanted)} quantised {', '.join(sorted(set(wanted)))}"
    if not found:
        raise Unsupported(told)
    sys.stdout.write(f"{told}: {', '.join(sorted(set(found)))}\n")


def _products(program: ExportedProgram) -> Iterator[str]:
    """The operators that are to run in int8."""
    for node in program.graph.nodes:
        if str(node.target) == INT8_PRODUCT:
            yield INT8_PRODUCT
        elif str(node.target) == WIDENED:
            yield from (str(user.target) for user in node.users)


def _dynamic(module: GraphModule) -> GraphModule:
    """Linear layers with int8 weights per channel; each row that goes in is scaled by itself at the call."""
    import torch
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    linears = torch_graph.constant_linears(module)
    if not linears:
        raise Unsupported("nothing to quantise: the model has no linear layer with constant weights")
    for number, node in enumerate(linears):
        weight, bias = (torch_graph.constant(module, arg) for arg in (*node.args[1:3], None)[:2])
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        layer.register_parameter("bias", None if bias is None else torch.nn.Parameter(bias, requires_grad=False))
        name = f"quantised_{number}"
        module.add_submodule(name, layer)
        with module.graph.inserting_before(node):
            node.replace_all_uses_with(module.graph.call_module(name, (node.args[0],)))
        module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()
    with _refusals():
        quantize_(module, Int8DynamicActivationInt8WeightConfig())
    return module


def _static(module: GraphModule, requests: Sequence[tuple[Any, ...]]) -> GraphModule:
    """Linear layers and convolutions with int8 weights per channel, and activations whose ranges the requests gave."""
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer

    scheme = x86_inductor_quantizer.get_default_x86_inductor_quantization_config()
    with torch.no_grad(), _refusals():
        prepared = prepare_pt2e(module, x86_inductor_quantizer.X86InductorQuantizer().set_global(scheme))
        for arguments in requests:
            prepared(*arguments)
        made: GraphModule = convert_pt2e(prepared)
    if not any(str(node.target) == WIDENED for node in made.graph.nodes):
        raise Unsupported("nothing to quantise: the model has no linear layer or convolution with constant weights")
    return made


def _some(model: Model) -> Iterator[Arrays]:
    """The first of the samples, until they hold CALIBRATION_ITEMS."""
    per_item = next((tensor.name for tensor in model.inputs if tensor.per == "item"), model.inputs[0].name)
    seen = 0
    for sample in model.samples:
        yield sample
        seen += len(sample[per_item])
        if seen >= CALIBRATION_ITEMS:
            return


def _arguments(model: Model, sample: Arrays) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(sample[tensor.name].copy()) for tensor in model.inputs)


def _refusals() -> AbstractContextManager[None]:
    """Whatever torchao or the second export raises, as Unsupported."""
    return refusing("torchao cannot quantise it:")
