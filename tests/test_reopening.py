"""A reconstruction that was written is opened again as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mofa3d.camera import Camera
from mofa3d.data.photo import read_photo
from mofa3d.decoder import Decoder
from mofa3d.encoders import make_encoder
from mofa3d.export.face_textures import FaceTextures
from mofa3d.inference import Reconstructor
from mofa3d.output_options import OutputOptions
from mofa3d.reconstruction_writer import ReconstructionWriter
from mofa3d.reopening import reopen
from renderers import make_renderer
from renderers.cpu_rasterizer import rasterize


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(240))


@pytest.fixture
def written(tmp_path, decode, portrait):
    """The folder of a face that was found in a photograph, and the face."""
    encoder = make_encoder("mobilenet_v2", sizes=decode.model.sizes, weights=None, input_size=32)
    torch.nn.init.normal_(encoder.head.bias, std=0.3)
    photo = read_photo(portrait)
    [found] = Reconstructor(encoder, decode)(photo)
    textures = FaceTextures(decode.model, rasterize)
    write = ReconstructionWriter(textures, make_renderer("cpu"), OutputOptions(formats=()))
    write(tmp_path, str(portrait), photo, found)
    return tmp_path, photo, found


def change(folder, **values) -> None:
    path = folder / "code.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_same_face_in_the_same_place(written, decode):
    folder, photo, found = written
    again_photo, again = reopen(folder, decode)
    assert np.array_equal(again_photo, photo)
    assert torch.equal(again.code.to_vector(), found.code.to_vector())
    assert torch.equal(again.scene.pixels, found.scene.pixels)
    assert again.transform == found.transform
    assert (again.box.x, again.box.y, again.box.size) == pytest.approx((found.box.x, found.box.y, found.box.size))
    assert float((again.crop - found.crop).abs().max()) < 0.01


def test_mistakes(written, decode, tmp_path):
    folder, _, _ = written
    change(folder, photo=str(tmp_path / "gone.jpg"))
    with pytest.raises(ValueError, match=r"there is no photograph at .*gone.jpg; .* \(it is named in .*code.json\)"):
        reopen(folder, decode)
    change(folder, photo=7)
    with pytest.raises(ValueError, match=r"code.json does not name its photograph; give the photograph itself"):
        reopen(folder, decode)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "black.png")
    for crop in (None, {"left": 1, "top": 2}, {"left": "x", "top": 0, "scale": 1}, [1, 2, 3]):
        change(folder, photo=str(tmp_path / "black.png"), crop=crop)
        with pytest.raises(ValueError, match=r"does not say where in the photograph the face is"):
            reopen(folder, decode)
    for scale in (0, -1, 1e400):
        change(folder, crop={"left": 1e300 if scale > 0 else 0, "top": 0, "scale": scale})
        with pytest.raises(ValueError, match=r"the crop in .* lies nowhere in a photograph"):
            reopen(folder, decode)
    with pytest.raises(ValueError, match="there is no semantic code at"):
        reopen(tmp_path / "nowhere", decode)
