"""CUDA graphs: a model's kernels recorded once for each shape of request, and played back with a single launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakeoff.backends import Unsupported, describe, ran_out_of_memory
from bakeoff_backends.torch_cuda import Runner, leaves

if TYPE_CHECKING:
    import torch

MOST_GRAPHS = 64
"""Shapes that are recorded; requests of any further shape run kernel by kernel."""
WARM_UP_CALLS = 3
"""torch asks for a few calls on a side stream before it records, in which libraries allocate what they need."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A graph with the device memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[torch.Tensor, ...]
    answers: list[torch.Tensor]


class GraphRunner(Runner):
    """Records the model when a shape first comes, mostly while the engine warms up. Graphs share one pool of memory."""

    def __init__(self, model: Any, place: torch.device) -> None:
        import torch

        super().__init__(model, place)
        self._torch, self._pool = torch, torch.cuda.graph_pool_handle()
        self._recorded: dict[tuple[torch.Size, ...], Recorded] = {}

    def __call__(self, hosts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copy the request to where the graph of its shape reads it, and play the graph."""
        shapes = tuple(host.shape for host in hosts)
        if shapes not in self._recorded:
            if len(self._recorded) >= MOST_GRAPHS:
                return super().__call__(hosts)
            self._recorded[shapes] = self._record(hosts)
        recorded = self._recorded[shapes]
        for held, host in zip(recorded.inputs, hosts, strict=True):
            held.copy_(host, non_blocking=True)
        recorded.graph.replay()
        return recorded.answers

    def _record(self, hosts: Sequence[torch.Tensor]) -> Recorded:
        """Raises Unsupported where the model does what a graph cannot hold, such as waiting for a value."""
        torch = self._torch
        inputs = tuple(host.to(self.place) for host in hosts)
        here, side = torch.cuda.current_stream(self.place), torch.cuda.Stream(self.place)
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_CALLS):
                self._model(*inputs)
        here.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                answers = leaves(self._model(*inputs))
        except RuntimeError as error:
            cause = error.__context__ or error  # an error ends the recording, which then fails with words of its own
            if ran_out_of_memory(cause):
                raise cause from None
            raise Unsupported(f"it cannot be recorded as a CUDA graph: {describe(cause)}") from error
        return Recorded(graph, inputs, answers)
