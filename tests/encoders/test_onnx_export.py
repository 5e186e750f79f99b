"""What onnxruntime computes of an exported encoder is what PyTorch computes."""

from __future__ import annotations

import builtins
import json

import pytest
import torch
from lively_encoders import images, is_as_good, lively, liven
from torch import nn

from mofa3d.encoders.network import Encoder
from mofa3d.encoders.onnx_export import export_onnx, to_onnx
from mofa3d.encoders.onnx_runtime import OnnxEncoder

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


@pytest.mark.parametrize(
    ("name", "input_size", "size"),
    [
        ("alexnet", None, 64),  # pooled from 1 × 1 to 6 × 6
        pytest.param("alexnet", None, 240, marks=pytest.mark.slow),
        ("mobilenet_v2", 112, 240),
        ("mobilenet_v2", None, 64),
        ("resnet50", None, 64),
        pytest.param("vgg_face", None, 64, marks=pytest.mark.slow),
    ],
)
def test_parity(name, input_size, size):
    encoder, image = lively(name, input_size), images(size, 3)
    run = OnnxEncoder(to_onnx(encoder, size))
    assert is_as_good(run(image), encoder, image)
    alone, together = run(image[1:2]), run(image)[1:2]  # any number of images
    torch.testing.assert_close(alone, together, atol=1e-3, rtol=1e-3)


def test_file(tmp_path):
    encoder, path = lively("mobilenet_v2", 32), tmp_path / "new" / "encoder.onnx"
    export_onnx(encoder, path, 48)
    assert [file.name for file in path.parent.iterdir()] == ["encoder.onnx"]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    [image], [code] = model.graph.input, model.graph.output
    shape = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert (image.name, shape) == ("image", ["batch", 3, 48, 48])
    assert (code.name, code.type.tensor_type.shape.dim[1].dim_value) == ("code", encoder.scales.numel())
    assert json.loads(model.metadata_props[0].value)["image_size"] == 48
    assert is_as_good(OnnxEncoder(path)(images(48)), encoder, images(48))


def test_norm_of_its_own_and_uneven_pooling_are_written():
    backbone = nn.Sequential(nn.BatchNorm2d(3, eps=0.1), nn.AdaptiveAvgPool2d((2, 3)), Flat())
    encoder = liven(Encoder(backbone, 18))
    assert is_as_good(OnnxEncoder(to_onnx(encoder, 8))(images(8)), encoder, images(8))


class Flat(nn.Module):
    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return torch.flatten(value, 1)


def test_unknown_layer_is_named():
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), Flat(), nn.Softplus())
    with pytest.raises(ValueError, match=r"layer 1\.2 cannot be exported to ONNX, which supports only the networks"):
        to_onnx(liven(Encoder(backbone, 3)), 8)


def test_missing_package_is_named_with_its_remedy(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] in ("onnx", "onnxruntime"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"onnx, which writes ONNX files, is missing; run `pip install 'mofa3d\["):
        to_onnx(lively("mobilenet_v2"), 32)
    with pytest.raises(ValueError, match=r"onnxruntime, which runs ONNX files, is missing; run `pip install"):
        OnnxEncoder(b"")


class TestRefusals:
    def test_file_that_is_no_onnx(self, tmp_path):
        (tmp_path / "noise.onnx").write_bytes(b"noise" * 50)
        for path in (tmp_path / "noise.onnx", tmp_path / "nowhere.onnx"):
            with pytest.raises(
                ValueError, match=rf"{path.name} is not an ONNX file that can be run \(.*export the enc"
            ):
                OnnxEncoder(path)

    def test_network_of_something_else(self):
        make = onnx.helper
        ports = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
        graph = make.make_graph([make.make_node("Relu", ["x"], ["y"])], "other", ports[:1], ports[1:])
        other = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
        with pytest.raises(ValueError, match="takes x and gives y, expected image and code; give a file that exp"):
            OnnxEncoder(other.SerializeToString())

    def test_images_of_another_size(self):
        run = OnnxEncoder(to_onnx(lively("mobilenet_v2"), 32))
        with pytest.raises(ValueError, match=r"exported for images of \(3, 32, 32\), got \(3, 48, 48\)"):
            run(images(48))
