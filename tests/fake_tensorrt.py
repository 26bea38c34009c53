"""A stand-in for the `tensorrt` module and for NVIDIA's driver, which record what they are told.

The "engine" that it builds doubles its input, on what the fake driver calls device memory.
"""

import ctypes
import json
from types import SimpleNamespace

import numpy as np


class Driver:
    """libcuda.so.1 with one device, its memory the host's."""

    def __init__(self, devices=1, processors=132):
        self.devices, self.calls = devices, []
        self.attributes = {75: 9, 76: 0, 16: processors}
        self.kept = []

    def __getattr__(self, name):
        if name.startswith("do_"):
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append(name)
            return getattr(self, f"do_{name}", lambda *_: 0)(*arguments)

        return call

    def _allocate(self, target, size):
        memory = ctypes.create_string_buffer(size.value)
        self.kept.append(memory)
        target._obj.value = ctypes.addressof(memory)
        return 0

    do_cuMemAlloc_v2 = do_cuMemAllocHost_v2 = _allocate  # noqa: N815

    def do_cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self.devices
        return 0

    def do_cuDeviceGetAttribute(self, value, number, device):  # noqa: N802
        value._obj.value = self.attributes[number]
        return 0

    def do_cuDeviceGetName(self, text, length, device):  # noqa: N802
        text.value = b"NVIDIA Fake"
        return 0

    def _copy(self, target, source, size, stream):
        ctypes.memmove(target.value, source.value, size.value)
        return 0

    do_cuMemcpyHtoDAsync_v2 = do_cuMemcpyDtoHAsync_v2 = _copy  # noqa: N815


class Logger:
    ERROR = 1

    def __init__(self, severity):
        pass


class Refused:
    """A parser's error."""

    def __init__(self, operator, node, text):
        self.node_operator, self.node_name, self.desc = (lambda: operator), (lambda: node), (lambda: text)


def make(version, errors=()):
    """The module as of `version`; `told` lists its calls."""
    told = []

    class Recorder:
        def __init__(self, kind, **fields):
            self.__dict__.update(fields, kind=kind)

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return lambda *a, **k: told.append((f"{self.kind}.{name}", *a, *k.values()))

        def __setattr__(self, name, value):
            told.append((f"{self.kind}.{name} =", value))

    def config():
        cache = Recorder("cache", serialize=lambda: b"timings")

        def create_timing_cache(stored):
            told.append(("config.create_timing_cache", stored))
            return cache

        def set_timing_cache(cache, ignore_mismatch):
            return told[-1] != ("config.create_timing_cache", b"from elsewhere")

        return Recorder(
            "config",
            create_timing_cache=create_timing_cache,
            set_timing_cache=set_timing_cache,
            get_timing_cache=lambda: cache,
        )

    def network(flags):
        told.append(("create_network", flags))
        tensor = SimpleNamespace(name="")
        layer = SimpleNamespace(get_output=lambda index: tensor)
        return Recorder("network", add_input=lambda *a: tensor, add_elementwise=lambda *a: layer)

    def builder(logger):
        def build(network, config):
            told.append(("build_serialized_network",))
            return json.dumps({"engine": version}).encode()

        return Recorder(
            "builder",
            create_network=network,
            create_builder_config=config,
            create_optimization_profile=lambda: Recorder("profile"),
            build_serialized_network=build,
        )

    def parser(network, logger):
        def parse(path):
            told.append(("parse_from_file", path))
            return not errors

        return SimpleNamespace(
            parse_from_file=parse, num_errors=len(errors), get_error=lambda index: Refused(*errors[index])
        )

    def deserialize(data):
        stored = json.loads(bytes(data))
        return Engine(told) if stored["engine"] == version else None

    flags = ("TF32",) if version.startswith("11") else ("TF32", "FP16", "BF16", "INT8")
    return SimpleNamespace(
        __version__=version,
        told=told,
        float32="float32",
        nptype=np.dtype,
        Logger=Logger,
        Builder=builder,
        OnnxParser=parser,
        BuilderFlag=SimpleNamespace(**{flag: flag for flag in flags}),
        ElementWiseOperation=SimpleNamespace(SUM="SUM"),
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=deserialize),
    )


class Engine:
    """Doubles its input "x" of at most 8 rows into "y"."""

    def __init__(self, told):
        self.told = told

    def get_tensor_dtype(self, name):
        return "float32"

    def get_tensor_profile_shape(self, name, profile):
        return (1, 4), (2, 4), (8, 4)

    def create_execution_context(self):
        return Context(self.told)


class Context:
    def __init__(self, told):
        self.told, self.addresses, self.shape = told, {}, ()

    def set_input_shape(self, name, shape):
        self.shape = shape
        return 1 <= shape[0] <= 8

    def get_tensor_shape(self, name):
        return self.shape

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        size = int(np.prod(self.shape))
        x, y = ((ctypes.c_float * size).from_address(self.addresses[name]) for name in "xy")
        np.frombuffer(y, np.float32)[:] = 2 * np.frombuffer(x, np.float32)
        self.told.append(("execute_async_v3",))
        return True
