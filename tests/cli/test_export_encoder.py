"""``mofa3d export-encoder``."""

from __future__ import annotations

import pytest
import torch

from mofa3d.cli import main
from mofa3d.cli.export_encoder import ExportEncoder
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.weights import SHIPPED


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, 120, 120, generator=torch.Generator().manual_seed(0))


def test_safetensors_are_the_encoder_in_half_precision(tiny_run, tmp_path, image, capsys):
    out = tmp_path / "new" / "encoder.safetensors"
    assert main.main(["export-encoder", str(tiny_run), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out} ({out.stat().st_size / 1e6:.1f} MB)\n"
    (before, _), (after, decode) = open_run(tiny_run), open_run(out)
    with torch.no_grad():
        torch.testing.assert_close(after(image), before(image), atol=2e-3, rtol=2e-3)
    assert decode.camera.image_size == 120


def test_onnx_computes_the_same(tiny_run, tmp_path, image):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    assert main.main(["export-encoder", str(tiny_run / "checkpoint.pt"), "--out", str(tmp_path / "e.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "e.onnx", providers=["CPUExecutionProvider"])
    [code] = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = open_run(tiny_run)[0](image)
    torch.testing.assert_close(torch.from_numpy(code), expected, atol=1e-4, rtol=1e-3)


def test_the_encoder_of_the_package_is_the_default(tmp_path):
    ExportEncoder(out=tmp_path / "e.safetensors")()
    assert (tmp_path / "e.safetensors").stat().st_size == pytest.approx(SHIPPED.stat().st_size, rel=0.01)


def test_mistakes(tiny_run, tmp_path):
    with pytest.raises(ValueError, match=r"e\.pt: encoders are written as \.onnx or \.safetensors"):
        ExportEncoder(tiny_run, tmp_path / "e.pt")()
    (tmp_path / "e.onnx").write_text("mine")
    with pytest.raises(ValueError, match=r"e\.onnx already exists; give another --out, or --force"):
        ExportEncoder(tiny_run, tmp_path / "e.onnx")()
    with pytest.raises(ValueError, match="there is no checkpoint at"):
        ExportEncoder(tmp_path / "nowhere", tmp_path / "e.safetensors")()
    assert {path.name for path in tmp_path.iterdir()} == {"e.onnx"}
    ExportEncoder(tiny_run, tmp_path / "e.safetensors")()
    ExportEncoder(tiny_run, tmp_path / "e.safetensors", force=True)()
