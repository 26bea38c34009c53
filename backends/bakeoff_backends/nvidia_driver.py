"""The little of CUDA that a plugin needs to feed an engine, through the driver's own library and ctypes alone."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from bakeoff.backends import Unavailable

REMEDY = "run it on a machine where nvidia-smi lists a GPU"
MAJOR, MINOR, PROCESSORS = 75, 76, 16
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR and _MULTIPROCESSOR_COUNT."""
OUT_OF_MEMORY = 2
"""CUDA_ERROR_OUT_OF_MEMORY."""
NOT_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: the stream waits for no other work of the process."""


class Driver:
    """The first CUDA device and its primary context, which TensorRT uses too; raises Unavailable without one."""

    def __init__(self) -> None:
        try:
            self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Unavailable(f"no CUDA device: NVIDIA's driver is not here ({error})", REMEDY) from error
        status = self._cuda.cuInit(0)
        count = ctypes.c_int()
        if status == 0:
            status = self._cuda.cuDeviceGetCount(ctypes.byref(count))
        if status or not count.value:
            raise Unavailable(f"no CUDA device: NVIDIA's driver is here and finds none (code {status})", REMEDY)
        self._device, self._context = ctypes.c_int(), ctypes.c_void_p()
        self("cuDeviceGet", ctypes.byref(self._device), 0)
        self("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)

    def __call__(self, function: str, *arguments: Any) -> None:
        """Call one of the driver's functions; raises MemoryError, or RuntimeError, with its name where it fails."""
        status = getattr(self._cuda, function)(*arguments)
        if status == OUT_OF_MEMORY:
            raise MemoryError(f"{function} finds no GPU memory, or no pinned memory of the host")
        if status:
            raise RuntimeError(f"{function} failed: CUDA error {status}")

    def enter(self) -> None:
        """Make the context the calling thread's; each thread does so before its first other call."""
        self("cuCtxSetCurrent", self._context)

    @property
    def architecture(self) -> str:
        """What an engine is bound to: the compute capability and the number of processors, such as "sm_90x132"."""
        major, minor, processors = (self._attribute(number) for number in (MAJOR, MINOR, PROCESSORS))
        return f"sm_{major}{minor}x{processors}"

    @property
    def name(self) -> str:
        """Such as "NVIDIA H100 80GB HBM3"."""
        text = ctypes.create_string_buffer(256)
        self("cuDeviceGetName", text, len(text), self._device)
        return text.value.decode()

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value


class Stream:
    """A stream of its own on the driver's device."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._stream = driver, ctypes.c_void_p()
        driver("cuStreamCreate", ctypes.byref(self._stream), NOT_BLOCKING)

    @property
    def handle(self) -> int:
        """What an engine calls the stream."""
        return self._stream.value or 0

    def wait(self) -> None:
        """Return when all that was put on the stream is done. Other Python threads run meanwhile."""
        self._driver("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        """Give the stream back."""
        self._driver("cuStreamDestroy_v2", self._stream)


class Room:
    """Memory for one tensor on the device, and as much pinned on the host, that grows with what is asked of it."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._size = driver, 0
        self._device, self._host = ctypes.c_uint64(), ctypes.c_void_p()

    @property
    def address(self) -> int:
        """Where the tensor lies on the device."""
        return self._device.value

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """The pinned memory as an array; valid until a larger one is asked for."""
        size = int(np.prod(shape)) * dtype.itemsize
        if size > self._size:
            self.close()
            self._driver("cuMemAlloc_v2", ctypes.byref(self._device), ctypes.c_size_t(size))
            self._driver("cuMemAllocHost_v2", ctypes.byref(self._host), ctypes.c_size_t(size))
            self._size = size
        memory: Any = (ctypes.c_uint8 * size).from_address(self._host.value or 0) if size else b""
        return np.frombuffer(memory, dtype).reshape(shape)

    def send(self, size: int, stream: Stream) -> None:
        """Put the copy of `size` bytes to the device on the stream."""
        self._driver("cuMemcpyHtoDAsync_v2", self._device, self._host, ctypes.c_size_t(size), stream._stream)

    def fetch(self, size: int, stream: Stream) -> None:
        """Put the copy of `size` bytes from the device on the stream."""
        self._driver("cuMemcpyDtoHAsync_v2", self._host, self._device, ctypes.c_size_t(size), stream._stream)

    def close(self) -> None:
        """Give both memories back."""
        if self._size:
            self._driver("cuMemFree_v2", self._device)
            self._driver("cuMemFreeHost", self._host)
        self._size = 0
