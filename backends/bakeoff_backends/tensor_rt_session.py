"""A TensorRT engine's execution context with a stream and buffers of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Session, Unsupported, owned
from bakeoff_backends.nvidia_driver import Driver, Room, Stream


class TensorRtSession(Session):
    """One execution context, which belongs to one thread; `lane` makes another over the same engine."""

    def __init__(self, trt: Any, driver: Driver, engine: Any, artifact: Artifact) -> None:
        self._trt, self._driver, self._engine, self._artifact = trt, driver, engine, artifact
        names = (*(tensor.name for tensor in artifact.inputs), *artifact.outputs)
        self._dtypes = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        self._context = engine.create_execution_context()
        if self._context is None:
            raise MemoryError("TensorRT finds no memory for an execution context")
        self._stream = Stream(driver)
        self._rooms = {name: Room(driver) for name in names}

    def infer(self, inputs: Arrays) -> Arrays:
        """Copy the request through pinned memory, run it, copy the answers back, and wait for the stream."""
        self._driver.enter()
        for tensor in self._artifact.inputs:
            self._give(tensor.name, inputs[tensor.name])
        pinned = {name: self._expect(name) for name in self._artifact.outputs}
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError("TensorRT's execute_async_v3 failed")
        for name, host in pinned.items():
            self._rooms[name].fetch(host.nbytes, self._stream)
        self._stream.wait()
        return {name: owned(host) for name, host in pinned.items()}

    def lane(self, index: int) -> Session:
        """A context, a stream and buffers of its own for each thread but the first."""
        if not index:
            return self
        self._driver.enter()
        return TensorRtSession(self._trt, self._driver, self._engine, self._artifact)

    def close(self) -> None:
        """Give back the context, the stream and the buffers."""
        if self._context is None:
            return
        self._driver.enter()
        for room in self._rooms.values():
            room.close()
        self._stream.close()
        self._context = self._engine = None

    def _give(self, name: str, values: np.ndarray[Any, Any]) -> None:
        if not self._context.set_input_shape(name, values.shape):
            least, _, largest = map(tuple, self._engine.get_tensor_profile_shape(name, 0))
            raise ValueError(f"input {name} of shape {values.shape}: the engine takes those from {least} to {largest}")
        room = self._rooms[name]
        host = room.array(values.shape, self._dtypes[name])
        host[...] = values
        self._context.set_tensor_address(name, room.address)
        room.send(host.nbytes, self._stream)

    def _expect(self, name: str) -> np.ndarray[Any, Any]:
        shape, room = tuple(self._context.get_tensor_shape(name)), self._rooms[name]
        if any(axis < 0 for axis in shape):
            raise Unsupported(f"the size of output {name} depends on the values of a request: no memory waits for it")
        host = room.array(shape, self._dtypes[name])
        self._context.set_tensor_address(name, room.address)
        return host
