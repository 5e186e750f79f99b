"""`mofa3d.edit` with the tiny encoder; what it draws is tested with the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import mofa3d
from mofa3d import harmonics
from mofa3d.cli import main
from mofa3d.data.photo import read_photo
from mofa3d.editing import codes, lighting
from mofa3d.export import read_code
from mofa3d.fitting.delighting import front_light


def test_without_changes_the_photograph_stays(face):
    edited = mofa3d.edit(face)
    assert isinstance(edited, mofa3d.EditedFace)
    assert np.array_equal(edited.image, face.photo)
    assert torch.equal(edited.code.to_vector(), face.code.to_vector())
    drawn = mofa3d.edit(face, keep_detail=False)
    assert np.array_equal(drawn.image, face.overlay())


def test_codes_and_scenes_are_those_of_the_functions_on_codes(face):
    edited = mofa3d.edit(
        face, yaw=10, pitch=-5, roll=2, move=(3, 0, 1), neutral=True, expression={"expression_1": 0.5}, lighten=0.1
    )
    tilt = face.reconstruction.transform.roll  # directions are the photograph's
    expected = codes.move(codes.turn(face.code, 10, -5, 2, tilt), 3, 0, 1, tilt)
    expected = expected.replace(expression=torch.zeros_like(expected.expression))
    expected.expression[0, 0] = 0.5
    expected = codes.lighten(expected, face.writer.model, 0.1)
    assert torch.equal(edited.code.to_vector(), expected.to_vector())
    decode = mofa3d.Decoder(face.writer.model, face.reconstruction.scene.camera)
    assert torch.equal(edited.scene.pixels, decode(expected).pixels)
    assert not np.array_equal(edited.image, face.photo)
    assert torch.equal(face.code.to_vector(), mofa3d.edit(face).code.to_vector())


def test_lights(face, tmp_path):
    lit = mofa3d.edit(face, light_direction=(-1, 0.3, 0.4), ambient=0.2, exposure=0.5, keep_detail=False)
    assert float(front_light(lit.scene)) == pytest.approx(0.5 * float(front_light(face.reconstruction.scene)), rel=1e-4)
    tilt = face.reconstruction.transform.roll  # the lamp's direction is given in the photograph
    assert abs(tilt) > 1
    shape = harmonics.rolled(lighting.directional_light((-1, 0.3, 0.4), ambient=0.2), -tilt)[1:]
    assert torch.allclose(lit.code.illumination[0, 1:] / lit.code.illumination[0, 3, 0], shape / shape[2, 0], atol=1e-5)
    panorama = np.full((16, 32, 3), 20, np.uint8)
    panorama[6:10, 6:10] = 255
    Image.fromarray(panorama).save(tmp_path / "left.png")
    surrounded = mofa3d.edit(face, environment=str(tmp_path / "left.png"), environment_turn=180, keep_detail=False)
    assert float(surrounded.code.illumination[0, 3, 0]) > 0.05  # from the right, after half a turn


@pytest.mark.parametrize("of", [lambda other: other, lambda other: other.face, lambda other: other.code])
def test_other_faces_are_edits_faces_or_codes(face, of):
    other = mofa3d.edit(
        face, expression={"expression_2": 1.0}, light_direction=(1, 0, 0.5), lighten=0.1, keep_detail=False
    )
    both = mofa3d.edit(
        face,
        expression_from=of(other),
        expression_neutral=face,
        light_from=of(other),
        reflectance_from=of(other),
        reflectance_share=0.5,
        keep_detail=False,
    )
    assert torch.allclose(both.code.expression, other.code.expression - face.code.expression)
    assert torch.equal(both.code.illumination, other.code.illumination)
    assert torch.allclose(both.code.reflectance, (face.code.reflectance + other.code.reflectance) / 2, atol=1e-6)


def test_an_edit_is_saved_and_edited_again(face, tmp_path):
    edited = mofa3d.edit(face, yaw=10)
    assert edited.save(tmp_path / "new" / "edited.png") == tmp_path / "new" / "edited.png"
    assert np.array_equal(read_photo(tmp_path / "new" / "edited.png"), edited.image)
    code, _ = read_code(edited.save(tmp_path / "code.json"))
    assert torch.allclose(code.to_vector(), edited.code.to_vector())
    assert json.loads((tmp_path / "code.json").read_text())["photo"].endswith("(edited)")
    assert edited.save(tmp_path / "face.ply").stat().st_size > 100
    again = mofa3d.edit(edited, yaw=-10)
    assert torch.allclose(again.code.rotation, face.code.rotation, atol=1e-5)


def test_the_command_writes_the_same(face, tiny_run, portrait, tmp_path, capsys):
    options = ["--yaw", "10", "--expression", "expression_1=0.5", "--light-direction", "1", "0", "0.5"]
    assert main.main(["edit", str(portrait), "--out", str(tmp_path), "--checkpoint", str(tiny_run), *options]) == 0
    uncolored = mofa3d.reconstruct(portrait, checkpoint=tiny_run, fit_colors=False)
    edited = mofa3d.edit(uncolored, yaw=10, expression={"expression_1": 0.5}, light_direction=(1, 0, 0.5))
    code, _ = read_code(tmp_path / "code.json")
    assert torch.allclose(code.to_vector(), edited.code.to_vector(), atol=1e-5)
    assert np.array_equal(read_photo(tmp_path / "edited.png"), edited.image)


def test_small_faces_carry_a_warning(face, tiny_run, portrait, tmp_path, capsys):
    beside = "lies beside its features in the photograph"  # the tiny encoder has learned little
    assert face.warning == "" or face.warning.startswith(beside)
    with Image.open(portrait) as photo:
        photo.resize((photo.width // 6, photo.height // 6)).save(tmp_path / "small.png")
    warning = mofa3d.reconstruct(tmp_path / "small.png", checkpoint=tiny_run).warning
    assert warning.split(f" and {beside}")[0].endswith("pixels large"), warning
    arguments = ["edit", str(tmp_path / "small.png"), "--out", str(tmp_path / "out"), "--checkpoint", str(tiny_run)]
    assert main.main([*arguments, "--yaw", "5"]) == 0
    assert f"note: the face {warning}; the result may be poor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"yaw": float("nan")}, "yaw is nan"),
        ({"ambient": -1.0}, "ambient is -1; give a number from 0 to 100"),
        ({"expression": {"grin": 1.0}}, "there is no expression unit 'grin'"),
        (
            {"light_direction": (1, 0, 0), "environment": "map.png"},
            "light_direction and environment cannot be combined",
        ),
        ({"expression_neutral": mofa3d.SemanticCode.zeros()}, "expression_neutral goes with expression_from"),
        ({"expression_from": mofa3d.SemanticCode.zeros()}, "take codes of one face model"),
        ({"light_direction": (0, 0, 0)}, "the direction to the lamp"),
        ({"light_direction": (0, 0, -1), "ambient": 0.0}, "the light leaves the face in the dark"),
        ({"environment": "nowhere.png"}, "nowhere.png"),
    ],
)
def test_mistakes(face, options, said):
    with pytest.raises(mofa3d.InputError, match=said):
        mofa3d.edit(face, **options)
