import numpy as np
import pytest

from bakeoff.workloads import onnx_runner


def test_without_onnx_runtime_the_answers_are_the_same_only_later(tiny_prepared, monkeypatch) -> None:
    path = tiny_prepared.variants["base"]["onnx"]
    request = tiny_prepared.requests().get(0)
    quick = onnx_runner.open_model(path, ["score"])

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(onnx_runner.importlib, "import_module", missing)
    slow = onnx_runner.open_model(path, ["score"])
    assert (quick.slow, slow.slow) == (False, True)
    np.testing.assert_allclose(slow.run(request)["score"], quick.run(request)["score"], atol=1e-6)


def test_a_prepared_model_without_onnx_runtime(models, prepare_here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(onnx_runner.importlib, "import_module", lambda name: pytest.fail(name))
    monkeypatch.setattr(onnx_runner, "open_model", onnx_runner._evaluator)
    prepared = prepare_here(models["history"](tmp_path / "m.onnx"))
    assert prepared.holdout().requests.rows == 256
    assert prepared.requests().references >= 8
