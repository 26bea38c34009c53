"""The import of OpenVINO, which the plugin and its quantisers share."""

from __future__ import annotations

import os
from typing import Any


def engine() -> Any:
    """The openvino module, imported with its telemetry off, which it is wherever CI is set and nowhere else."""
    os.environ.setdefault("CI", "true")
    import openvino

    return openvino
