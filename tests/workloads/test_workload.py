"""What a workload leaves out is told with the method that would offer it."""

from pathlib import Path

import numpy as np
import pytest

from bakeoff.backends import Unsupported
from bakeoff.workloads.workload import Workload


class Shop(Workload):
    name = "shop"

    def train(self, seed, cache, progress):
        raise NotImplementedError

    def requests(self, rows, seed, cache, progress):
        raise NotImplementedError

    def held_out(self, chunk, seed, cache, progress):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("fit", (None, 1.0, 0, Path(), print)),
        ("student", (0.5,)),
        ("loss", (None, 0, Path())),
        ("tiled", (None,)),
        ("raw_requests", (np.array([1]), 0, Path(), print, Path())),
    ],
)
def test_what_is_left_out_names_the_method_to_write(method, arguments) -> None:
    with pytest.raises(Unsupported, match=rf"^shop .*: it does not override Workload\.{method}$"):
        getattr(Shop(), method)(*arguments)
