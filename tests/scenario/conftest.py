from pathlib import Path
from textwrap import dedent

import pytest

GOOD = """
    workload: ctr-dlrm
    traffic: {kind: server, qps: 200}
    sla: {p99: 20ms}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes text to x.yaml in an empty current folder, with the empty files a.onnx, b.pt2 and r.parquet beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.onnx", "b.pt2", "r.parquet"):
        (tmp_path / name).touch()

    def to_file(text: str, name: str = "x.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return to_file


@pytest.fixture
def good(write):
    """Writes a right scenario with more lines after it."""
    return lambda more="": write(dedent(GOOD) + dedent(more))
