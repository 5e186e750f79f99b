"""The small programs: constants of the crops, and the README's picture."""

from __future__ import annotations

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from landmark_tables import write_landmarks
from PIL import Image
from programs import load

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data import crop
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.landmark_table import LANDMARKS_FILE
from mofa3d.data.locate import locate
from mofa3d.data.photo import read_photo

calibrate_crops, draw_faces = load("calibrate_crops"), load("draw_faces")


def test_crops_are_calibrated_so_that_the_average_face_lies_on_the_mean_face(
    default_model, tmp_path, portrait, monkeypatch, capsys
):
    (tmp_path / "photos").mkdir()
    shutil.copyfile(portrait, tmp_path / "photos" / "1.jpg")
    photo = read_photo(portrait)
    face = locate(photo, detect_faces(photo)[0]).face
    mean = Decoder(default_model, Camera(240))(SemanticCode.zeros(1)).landmarks[0].numpy()
    # Where the mean face lies if the crop is 1.5 squares wide and 0.2 of a square below the square.
    square = CropTransform.around((face.x, face.y), face.size, face.roll, 1)
    points = square.to_photo((mean - 120) * 1.5 / 240 + [0.5, 0.7])
    write_landmarks(tmp_path / "photos" / LANDMARKS_FILE, {"1.jpg": points.astype(np.float32)})
    calibrate_crops.main(calibrate_crops.Config(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["photos, 1 faces", "all"]
    for line in lines:
        scale, shift = map(float, re.search(r"CROP_SCALE ([\d.]+), CROP_SHIFT ([\d.]+)", line).groups())
        assert scale == pytest.approx(1.5, abs=0.01)
        assert shift == pytest.approx(0.2, abs=0.01)
    assert (crop.CROP_SCALE, crop.CROP_SHIFT) != (1.5, 0.2)


@pytest.mark.parametrize("roll", [0.0, 90.0, 180.0])
def test_pictures_are_cut_around_the_face_however_it_is_turned(roll):
    photo = np.zeros((400, 400, 3), dtype=np.uint8)
    photo[195:205, 95:105] = 255
    scene, transform = SimpleNamespace(camera=Camera(240)), CropTransform.around((100.0, 200.0), 60.0, roll, 240)
    face = SimpleNamespace(reconstruction=SimpleNamespace(scene=scene, transform=transform))
    bright = np.argwhere(draw_faces.around_face(face, photo, 100)[..., 0] > 128)
    np.testing.assert_allclose(bright.mean(axis=0) + 0.5, 50, atol=1.5)


@pytest.mark.slow
def test_picture_of_a_face(default_model, portrait, tmp_path):
    draw_faces.main(draw_faces.Config(portrait, tmp_path / "new" / "faces.png", size=96))
    picture = np.asarray(Image.open(tmp_path / "new" / "faces.png")).astype(int)
    assert picture.shape == (96, 7 * 96, 3)
    photo, overlay, side, front, clay, smile, lit = np.split(picture, 7, axis=1)
    changed = [np.abs(part - photo).mean() for part in (overlay, smile, lit)]
    assert 2 < changed[0] < 40
    assert 0.5 < changed[1] < 20
    assert 2 < changed[2] < 40
    assert lit[30:70, :48].mean() - lit[30:70, 48:].mean() > photo[30:70, :48].mean() - photo[30:70, 48:].mean()
    for part in (side, front, clay):
        assert (part[:4] == 255).all()
    assert np.ptp(clay, axis=2).max() < 6
    assert np.ptp(front, axis=2).max() > 20
