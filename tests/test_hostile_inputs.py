"""Environment maps, codes, crops and photographs of the library that are damaged, or traps."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
import torch
from hostile_files import make_edit, make_map
from tiny_model import make_code

import mofa3d
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.editing.lighting import environment_light, read_environment
from mofa3d.export import read_code, write_code
from mofa3d.reconstruction.reopen import reopen


class TestEnvironmentMaps:
    def test_size_is_known_before_it_is_unpacked(self, tmp_path):
        path = make_map(tmp_path)
        path.write_bytes(path.read_bytes().replace(b"-Y 16 +X 32", b"-Y 10000 +X 20000"))
        with pytest.raises(ValueError, match=r"map\.hdr has 20000×10000 pixels, more than 40000000; make it smaller"):
            read_environment(path)
        path.write_bytes(path.read_bytes().replace(b"10000", b"9" * 40, 1))
        with pytest.raises(ValueError, match="more than 40000000"):
            read_environment(path)

    @pytest.mark.parametrize("content", [b"", b"#?RADIANCE\n", b"#?RADIANCE\n\n-Y 16 +X 32\n", b"II*\0" + bytes(100)])
    def test_what_is_no_radiance_picture(self, tmp_path, content):
        (tmp_path / "a.hdr").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.hdr (is not a readable Radiance picture|has \d+×\d+ pixels)"):
            read_environment(tmp_path / "a.hdr")

    def test_light_beyond_numbers(self, tmp_path):
        picture = np.full((16, 32, 3), 1.5e38, np.float32)
        cv2.imwrite(str(tmp_path / "a.hdr"), picture)
        image, linear = read_environment(tmp_path / "a.hdr")
        light = environment_light(image, linear)
        assert bool(light.isfinite().all())


class TestCodes:
    @pytest.mark.parametrize("name", ["shape", "expression", "reflectance", "rotation", "translation", "illumination"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, 1e39, 1e30])
    def test_numbers_beyond_any_face(self, tmp_path, name, value):
        path = tmp_path / "code.json"
        write_code(path, make_code(1, dtype=torch.float32))
        content = json.loads(path.read_text())
        inner = content[name] if name != "illumination" else content[name][3]
        inner[1] = value
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"'{name}' in {path} (has values that are not finite|is not)"):
            read_code(path)

    @pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"3", b"[]", b"{}"])
    def test_what_is_no_code(self, tmp_path, content):
        (tmp_path / "code.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"code\.json .*give a code\.json"):
            read_code(tmp_path / "code.json")

    def test_huge_files_are_not_read(self, tmp_path):
        with open(tmp_path / "code.json", "wb") as file:
            file.truncate(10**10)
        with pytest.raises(ValueError, match="it has 10000000000 bytes, more than the 10000000 that are allowed"):
            read_code(tmp_path / "code.json")

    def test_codes_that_are_none_are_not_written(self, tmp_path):
        code = make_code(1, dtype=torch.float32)
        with pytest.raises(ValueError, match="the rotation of a code has values that are NaN or infinite"):
            write_code(tmp_path / "code.json", code.replace(rotation=code.rotation * math.nan))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (
            {"scale": 1e-5},
            r"pixels wide around 6e\+06, 6e\+06, which cannot be a face in a photograph of 320×300 pixels",
        ),
        ({"scale": 1e9}, "which cannot be a face in a photograph"),
        ({"left": 1e5}, "which cannot be a face in a photograph"),
        ({"top": -1e5}, "which cannot be a face in a photograph"),
        ({"scale": math.nan}, "the crop in .*code.json lies nowhere"),
        ({"scale": math.inf}, "which cannot be a face in a photograph|lies nowhere"),
        ({"left": 10**400}, "does not say where in the photograph the face is"),
        ({"left": None}, "does not say where in the photograph the face is"),
    ],
)
def test_crops_where_no_face_is(tmp_path, tiny_model, crop, message):
    path = make_edit(tmp_path)
    decode = Decoder(tiny_model, Camera(120))
    assert reopen(tmp_path, decode).photo.shape == (300, 320, 3)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "crop": {**content["crop"], **crop}}))
    with pytest.raises(ValueError, match=message):
        reopen(tmp_path, decode)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (None, "got a NoneType"),
        ([], "got a list"),
        (b"photo.jpg", "got a bytes"),
        (3, "got a int"),
        (np.zeros((4, 4, 3)), r"got float64 \(4, 4, 3\)"),
        (np.zeros((4, 4), np.uint8), r"got uint8 \(4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got uint8 \(0, 4, 3\)"),
        (np.array(None), r"got object \(\)"),
        (np.broadcast_to(np.zeros(3, np.uint8), (50_000, 50_000, 3)), "has more than 160000000 pixels"),
    ],
)
def test_what_is_no_photograph(unchecked_types, photo, message):
    with pytest.raises(ValueError, match=message):
        mofa3d.reconstruct(photo)


def test_what_is_no_checkpoint(unchecked_types, portrait):
    with pytest.raises(ValueError, match="checkpoint must be a path or None, got a int"):
        mofa3d.reconstruct(portrait, checkpoint=3)
