"""A reconstruction that was written is opened again as it was."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.photo import read_photo
from mofa3d.decoder import Decoder
from mofa3d.encoders.network import make_encoder
from mofa3d.export.face_textures import FaceTextures
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.reopen import reopen
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize


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
    again_photo, again, note = reopen(folder, decode)
    assert note == ""
    assert np.array_equal(again_photo, photo)
    assert torch.equal(again.code.to_vector(), found.code.to_vector())
    assert torch.equal(again.scene.pixels, found.scene.pixels)
    assert again.transform == found.transform
    assert (again.box.x, again.box.y, again.box.size) == pytest.approx((found.box.x, found.box.y, found.box.size))
    assert float((again.crop - found.crop).abs().max()) < 0.01


def test_crops_of_earlier_versions_were_not_turned(written, decode):
    folder, photo, _ = written
    crop = {"left": 60.0, "top": 20.0, "scale": 0.6}
    change(folder, crop=crop)
    (folder / "panels.png").unlink()
    again_photo, again, _ = reopen(folder, decode)
    assert np.array_equal(again_photo, photo)
    assert again.transform == CropTransform(**crop, roll=0.0)
    assert again.box.roll == 0


class TestMovedPhotographs:
    @pytest.fixture
    def album(self, tmp_path, decode, written) -> Path:
        """A photograph, and its face in a folder below, which say nothing about each other's old places."""
        folder, _, _ = written
        (tmp_path / "album" / "faces").mkdir(parents=True)
        code = json.loads((folder / "code.json").read_text())
        shutil.copyfile(code["photo"], tmp_path / "album" / "me.jpg")
        self.face = tmp_path / "album" / "faces" / "me"
        self.face.mkdir()
        shutil.copyfile(folder / "panels.png", self.face / "panels.png")
        self.place = {"photo": str(tmp_path / "gone" / "me.jpg"), "from_here": "../../gone/me.jpg"}
        (self.face / "code.json").write_text(json.dumps({**code, **self.place}))
        return tmp_path / "album"

    def place_of(self, decode) -> str:
        note = reopen(self.face, decode).note
        return note.removeprefix("the photograph is ").removesuffix(f", no longer {self.place['photo']}")

    def test_as_seen_from_the_folder(self, album, decode):
        (album / "more").mkdir()
        shutil.move(album / "me.jpg", album / "more" / "other.jpg")
        change(self.face, from_here="../../more/other.jpg")
        assert self.place_of(decode) == str(album / "more" / "other.jpg")

    def test_where_it_was(self, album, decode):
        change(self.face, photo=str(album / "me.jpg"))
        assert reopen(self.face, decode).note == ""

    @pytest.mark.parametrize("above", ["", "..", "../.."])
    def test_beside_the_folder(self, album, decode, above):
        place = (self.face / above).resolve() / "me.jpg"
        if above != "../..":
            shutil.move(album / "me.jpg", place)
        assert self.place_of(decode) == str(place)

    def test_named_on_another_system(self, album, decode):
        change(self.face, photo="C:\\Users\\Ann\\me.jpg", from_here=7)
        assert (
            reopen(self.face, decode).note == f"the photograph is {album / 'me.jpg'}, no longer C:\\Users\\Ann\\me.jpg"
        )

    def test_member_of_an_archive(self, album, decode):
        with tarfile.open(album / "shard.tar", "w") as archive:
            archive.add(album / "me.jpg", "x/me.jpg")
        change(self.face, photo=f"{album / 'shard.tar'}#x/me.jpg")
        reopened = reopen(self.face, decode)
        assert (reopened.note, reopened.photo.shape) == ("", read_photo(album / "me.jpg").shape)

    def test_another_photograph_of_that_name_is_passed_over(self, album, decode):
        """And one that was made brighter and saved again is not another one."""
        photo = Image.open(album / "me.jpg")
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(self.face / "me.jpg")
        ImageEnhance.Brightness(photo).enhance(0.7).save(album / "me.jpg", quality=60)
        assert self.place_of(decode) == str(album / "me.jpg")

    def test_the_crop_stands_in(self, album, decode, written):
        (album / "me.jpg").unlink()
        photo, face, note = reopen(self.face, decode)
        used = f"only the crop of 240×240 pixels in {self.face / 'panels.png'} is used"
        assert note == f"there is no photograph at {self.place['photo']}; put it beside {self.face}; {used}"
        _, _, found = written
        assert photo.shape == (240, 240, 3)
        assert torch.equal(face.code.to_vector(), found.code.to_vector())
        assert float((face.crop - found.crop).abs().max()) < 0.01
        assert float((face.transform.to_photo(face.scene.pixels) - found.scene.pixels).abs().max()) < 1e-3


def test_mistakes(written, decode, tmp_path):
    folder, _, _ = written
    (folder / "panels.png").unlink()
    change(folder, photo=str(tmp_path / "gone.jpg"), from_here="gone.jpg")
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
