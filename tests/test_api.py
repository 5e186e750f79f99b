"""From a photograph to a face in three lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import mofa3d
from mofa3d import api
from mofa3d.export import PhotoCamera
from mofa3d.fitting import color_fit


class TestReconstruct:
    def test_path_image_and_array_are_one(self, tiny_run, portrait, face):
        image = Image.open(portrait)
        for photo in (str(portrait), image, np.asarray(image)):
            other = mofa3d.reconstruct(photo, checkpoint=tiny_run / "checkpoint.pt")
            assert torch.equal(other.code.to_vector(), face.code.to_vector())
            assert torch.equal(other.landmarks, face.landmarks)
        assert float(face.code.to_vector().abs().max()) > 0.01

    def test_image_is_turned_as_its_camera_says(self, tiny_run, portrait, face):
        lying = Image.open(portrait).transpose(Image.Transpose.ROTATE_90)
        lying.getexif()[0x0112] = 6
        other = mofa3d.reconstruct(lying, checkpoint=tiny_run)
        np.testing.assert_allclose(other.landmarks, face.landmarks, atol=1.0)

    def test_encoder_stays_open(self, tiny_run, portrait, face, monkeypatch):
        def opened(*rest, **options):
            raise AssertionError("opened again")

        monkeypatch.setattr(api.Reconstructor, "open", opened)
        again = mofa3d.reconstruct(portrait, checkpoint=tiny_run)
        assert again.writer is face.writer

    def test_colors_are_fitted_unless_not_wanted(self, tiny_run, portrait, monkeypatch):
        monkeypatch.setattr(color_fit, "FEWEST", 5)  # the tiny model has few vertices
        fitted = mofa3d.reconstruct(portrait, checkpoint=tiny_run).code
        predicted = mofa3d.reconstruct(portrait, checkpoint=tiny_run, fit_colors=False).code
        for name in ("shape", "expression", "rotation", "translation"):
            assert torch.equal(getattr(fitted, name), getattr(predicted, name))
        assert not torch.equal(fitted.reflectance, predicted.reflectance)
        assert not torch.equal(fitted.illumination, predicted.illumination)

    def test_every_face(self, tiny_run, portrait):
        [only] = mofa3d.reconstruct(portrait, checkpoint=tiny_run, every_face=True)
        assert isinstance(only, mofa3d.Face)

    @pytest.mark.usefixtures("unchecked_types")
    def test_mistakes(self, tiny_run, portrait, tmp_path):
        with pytest.raises(ValueError, match=r"there is no photograph at .*nowhere\.jpg"):
            mofa3d.reconstruct(tmp_path / "nowhere.jpg", checkpoint=tiny_run)
        with pytest.raises(ValueError, match="there is no checkpoint at"):
            mofa3d.reconstruct(portrait, checkpoint=tmp_path / "nowhere")
        with pytest.raises(ValueError, match="the array: no face was found"):
            mofa3d.reconstruct(np.zeros((90, 90, 3), np.uint8), checkpoint=tiny_run)
        with pytest.raises(ValueError, match=r"type uint8 and shape \(H, W, 3\), got float64 \(90, 90, 3\)"):
            mofa3d.reconstruct(np.zeros((90, 90, 3)), checkpoint=tiny_run)


class TestReconstructPerson:
    def test_faces_are_one_person_with_one_texture(self, portrait, tmp_path):
        """The portrait, and the same from nearer and darker."""
        image = Image.open(portrait).convert("RGB")
        near = Image.fromarray((0.8 * np.asarray(image.crop((90, 40, 450, 420)))).astype(np.uint8))
        faces = mofa3d.reconstruct_person([portrait, near])
        assert [face.name for face in faces] == [str(portrait), "the image"]
        first, second = (face.code for face in faces)
        assert torch.equal(first.shape, second.shape)
        assert torch.equal(first.reflectance, second.reflectance)
        assert not torch.equal(first.illumination, second.illumination)
        moved = faces[0].landmarks - faces[1].landmarks - torch.tensor([90.0, 40.0])
        assert float(moved.norm(dim=1).mean()) < 5
        paths = [face.save(tmp_path / f"{number}.obj", texture_size=256) for number, face in enumerate(faces)]
        textures = [np.asarray(Image.open(path.with_name(f"{path.stem}_texture.png"))) for path in paths]
        assert np.array_equal(*textures)

    def test_what_cannot_be_used_is_named(self, portrait, tmp_path):
        with pytest.raises(mofa3d.InputError, match="give a list of photographs of the person"):
            mofa3d.reconstruct_person(str(portrait))
        with pytest.raises(mofa3d.InputError, match="no photograph of the person"):
            mofa3d.reconstruct_person([])
        Image.new("RGB", (200, 200), (90, 120, 60)).save(tmp_path / "wall.png")
        with pytest.raises(mofa3d.InputError, match=r"wall\.png: no face with clear features"):
            mofa3d.reconstruct_person([portrait, tmp_path / "wall.png"])
        with pytest.raises(mofa3d.InputError, match="checkpoint is empty"):
            mofa3d.reconstruct_person([portrait], checkpoint="")


class TestFace:
    def test_landmarks_are_where_the_camera_sees_them(self, face, portrait, tmp_path):
        face.writer(tmp_path, "photo", face.photo, face.reconstruction)
        content = json.loads((tmp_path / "camera.json").read_text())
        content.pop("convention")
        rotation, translation = tuple(map(tuple, content.pop("rotation"))), tuple(content.pop("translation"))
        camera = PhotoCamera(**content, rotation=rotation, translation=translation)
        assert (camera.width, camera.height) == Image.open(portrait).size
        points = camera.project(face.vertices.double().numpy())
        expected = face.reconstruction.transform.to_photo(face.reconstruction.scene.pixels[0])
        np.testing.assert_allclose(points, expected, atol=0.01)
        inside = face.landmarks.numpy()
        assert (inside.min(axis=0) > 100).all()
        assert (inside.max(axis=0) < 480).all()

    def test_overlay_has_the_photographs_size(self, face):
        laid = face.overlay()
        assert laid.shape == face.photo.shape
        assert 0.05 < (laid != face.photo).any(axis=-1).mean() < 0.5

    def test_suffix_chooses_what_is_saved(self, face, tmp_path):
        for suffix in (".glb", ".ply", ".obj"):
            path = face.save(tmp_path / "new" / f"face{suffix}", texture_size=32)
            mesh = trimesh.load_mesh(path, process=False)
            scale = 1000 if suffix == ".glb" else 1
            size = (face.vertices.amax(dim=0) - face.vertices.amin(dim=0)).numpy()
            np.testing.assert_allclose(mesh.extents * scale, size, rtol=1e-3)
        assert {path.name for path in (tmp_path / "new").iterdir()} == {
            "face.glb", "face.ply", "face.obj", "face.mtl", "face_texture.png",
        }  # fmt: skip
        assert Image.open(tmp_path / "new" / "face_texture.png").size == (32, 32)
        face.save(str(tmp_path / "face.json"))
        assert json.loads((tmp_path / "face.json").read_text())["shape"] == pytest.approx(face.code.shape[0].tolist())
        face.save(tmp_path / "face.png")
        assert np.array_equal(np.asarray(Image.open(tmp_path / "face.png")), face.overlay())

    def test_no_file_of_a_face_replaces_another(self, face, tmp_path):
        """In whatever order a face is saved, each file is what it was by itself."""
        alone, together = tmp_path / "alone", tmp_path / "together"
        suffixes = (".obj", ".png", ".json", ".ply", ".glb", ".obj", ".png")
        for suffix in suffixes:
            face.save(alone / suffix[1:] / f"face{suffix}", texture_size=32)
            face.save(together / f"face{suffix}", texture_size=32)
        for path in alone.glob("*/*"):
            if path.suffix != ".json":  # it says where the photograph is, as seen from its folder
                assert path.read_bytes() == (together / path.name).read_bytes()
        assert len(list(together.iterdir())) == 7

    def test_files_beside_a_mesh_that_are_not_its_own_stay(self, face, tmp_path):
        for name in ("face.mtl", "face_texture.png"):
            (tmp_path / name).write_text("the user's")
            with pytest.raises(ValueError, match=rf"{name} already exists and would be replaced by .*face.obj's own"):
                face.save(tmp_path / "face.obj", texture_size=32)
            assert [path.name for path in tmp_path.iterdir()] == [name]
            assert (tmp_path / name).read_text() == "the user's"
            (tmp_path / name).unlink()
        face.save(tmp_path / "face.obj", texture_size=32)
        with pytest.raises(ValueError, match=r"face_texture.png is the texture of an OBJ file there; choose another"):
            face.save(tmp_path / "face_texture.png")
        assert Image.open(tmp_path / "face_texture.png").size == (32, 32)

    def test_saving_replaces_links_and_does_not_follow_them(self, face, tmp_path):
        (tmp_path / "precious").write_text("precious")
        (tmp_path / "face.json").symlink_to(tmp_path / "precious")
        face.save(tmp_path / "face.json")
        assert (tmp_path / "precious").read_text() == "precious"
        assert json.loads((tmp_path / "face.json").read_text())["photo"] == str(Path(face.name).absolute())

    def test_what_cannot_be_saved(self, face, tmp_path):
        with pytest.raises(ValueError, match=r"face\.stl: the suffix must be one of \.glb, \.obj, \.ply, \.json"):
            face.save(tmp_path / "face.stl")
        with pytest.raises(ValueError, match="has 4 expression columns"):
            face.save(tmp_path / "face.glb", morph_targets=5)
        assert not list(tmp_path.iterdir())


def test_unknown_names_are_no_attributes():
    with pytest.raises(AttributeError, match="has no attribute 'reconstuct'"):
        _ = mofa3d.reconstuct
    assert all(hasattr(mofa3d, name) for name in mofa3d.__all__)
