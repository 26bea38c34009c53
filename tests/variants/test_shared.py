import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from bakeoff.variants.shared import SharedLinear, clustered


def test_few_values_are_kept_exactly() -> None:
    weight = torch.randint(0, 200, (30, 40)) / 7
    codes, codebook = clustered(weight, 256)
    assert codes.dtype == torch.uint8
    assert (codebook[codes.long()] == weight).all()


def test_clusters_that_stand_apart_are_found() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([-2.0, -1.0, 0.5, 3.0])
    _, codebook = clustered(centres[torch.randint(0, 4, (100, 20))] + 0.01 * torch.randn(100, 20), 4)
    torch.testing.assert_close(codebook, centres, atol=0.01, rtol=0)


def test_each_weight_has_the_nearest_value_and_each_value_is_a_mean() -> None:
    torch.manual_seed(0)
    weight = torch.randn(200, 50)
    codes, codebook = clustered(weight, 16)
    nearest = (weight[..., None] - codebook).abs().argmin(-1)
    assert (codes == nearest).float().mean() > 0.999
    means = torch.stack([weight[codes == code].mean() for code in range(len(codebook))])
    torch.testing.assert_close(means, codebook, atol=2e-3, rtol=0)


@pytest.mark.parametrize("values", [16, 64, 256])
def test_the_error_is_near_the_least_that_so_many_values_can_have(values) -> None:
    torch.manual_seed(0)
    weight = torch.randn(100, 100)
    codes, codebook = clustered(weight, values)
    error = (codebook[codes.long()] - weight).square().mean()
    assert error < 1.6 * (3**0.5 * torch.pi / 2) / values**2


def test_pruned_weights_do_not_take_all_values() -> None:
    torch.manual_seed(0)
    weight = torch.randn(50, 50) * (torch.rand(50, 50) < 0.2)
    _, codebook = clustered(weight, 16)
    assert len(codebook) == 16
    assert (codebook.abs() > 0.1).sum() >= 14


def test_the_onnx_file_holds_codes_which_the_engine_decodes_at_load(dlrm, compress, files, tmp_path) -> None:
    path = files(compress(dlrm, "share:256"))["onnx"]
    stored = {(tensor.data_type, *tensor.dims) for tensor in onnx.load(path).graph.initializer}
    assert (onnx.TensorProto.UINT8, 256, 52) in stored
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(str(path), options)
    loaded = [np.array(tensor.dims) for tensor in onnx.load(tmp_path / "loaded.onnx").graph.initializer]
    assert any(sorted(dims.tolist()) == [52, 256] for dims in loaded)
    assert not any(node.op_type in ("Clip", "Cast") for node in onnx.load(tmp_path / "loaded.onnx").graph.node)


def test_a_shared_layer_answers_by_its_values() -> None:
    layer, rows = nn.Linear(4, 3), torch.randn(2, 5, 4)
    shared = SharedLinear(*clustered(layer.weight, 256), layer.bias)
    torch.testing.assert_close(shared(rows), layer(rows))


@pytest.mark.parametrize("outlier", [20.0, 1000.0])
def test_outliers_take_no_values_from_all_others(outlier) -> None:
    torch.manual_seed(0)
    weight = torch.randn(200, 200)
    weight[0, 0], weight[1, 1] = outlier, -outlier
    codes, codebook = clustered(weight, 64)
    assert len(codebook) == 64
    error = (codebook[codes.long()] - weight).square()
    assert error[0, 0] < 1e-6 * outlier**2
    assert error.mean() < 1.8 * (3**0.5 * torch.pi / 2) / 62**2
