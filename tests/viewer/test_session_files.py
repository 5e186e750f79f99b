"""What visitors take home, without a browser."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
import trimesh
from session_pictures import make_plain, pixels

from mofa3d.reconstruction.reconstructor import lay_over


class TestFiles:
    def test_meshes(self, session, sliders, tiny_model, tools, tmp_path):
        session.move(sliders["shape 0"], 3)
        vertices = session.face().scene.vertices[0].numpy()
        code, source = session.face().code, tools.layout.source
        rest = tiny_model.geometry(code.shape, torch.zeros_like(code.expression))[0].numpy()
        for name, expected in {"face.glb": vertices, "rig.glb": rest}.items():
            glb = trimesh.load(io.BytesIO(session.view().file(name)), file_type="glb", force="mesh", process=False)
            np.testing.assert_allclose(glb.vertices, expected[source] / 1000, atol=1e-5)
            assert glb.visual.material.baseColorTexture.size == (1024, 1024)
        assert b"expression_1" in session.view().file("rig.glb")
        ply = trimesh.load(io.BytesIO(session.view().file("face.ply")), file_type="ply", process=False)
        np.testing.assert_allclose(ply.vertices, vertices, atol=1e-4)
        with zipfile.ZipFile(io.BytesIO(session.view().file("face_obj.zip"))) as archive:
            assert sorted(archive.namelist()) == ["face.mtl", "face.obj", "face_texture.png"]
            archive.extractall(tmp_path)
        obj = trimesh.load(tmp_path / "face.obj", process=False)
        assert len(obj.faces) == len(tiny_model.faces)
        assert obj.visual.material.image.size == (1024, 1024)

    def test_texture_shows_what_the_sliders_do_to_the_skin(self, session, sliders):
        make_plain(session)
        before = pixels(session.view().file("texture.png"))
        session.move(sliders["yaw"], 30)
        assert np.array_equal(pixels(session.view().file("texture.png")), before)
        start = session.face().scene.reflectance
        session.move(sliders["reflectance 0"], session.rest(sliders["reflectance 0"]) + 2)
        ratio = (session.face().scene.reflectance / start)[0].mean(dim=0).numpy()
        after = pixels(session.view().file("texture.png"))
        middle = (before > 30) & (after > 0) & (after < 255)
        assert middle.mean() > 0.5
        for channel in range(3):
            changed = (after / before.clip(1))[..., channel][middle[..., channel]].mean()
            assert changed == pytest.approx(float(ratio[channel]), rel=0.15)

    def test_pictures(self, session, tools, sliders):
        session.move(sliders["yaw"], 15)
        overlay, edited = (pixels(session.view().file(name)) for name in ("overlay.png", "edited.png"))
        start = session.now.start  # as the photograph shows it: what hides this one hides the turned one
        assert np.array_equal(overlay, lay_over(session.upload.photo, session.face(), tools.render, start=start))
        assert edited.shape == overlay.shape
        assert not np.array_equal(edited, overlay)
        assert np.abs(edited - pixels(session.view().picture("edited"))).mean() < 3
        assert pixels(session.view().file("panels.png")).shape == (240, 1200, 3)

    def test_code_and_camera(self, session):
        code = json.loads(session.view().file("code.json"))
        assert code["photo"] == "grace_hopper.jpg"
        np.testing.assert_allclose(code["shape"], session.face().code.shape[0].numpy(), rtol=1e-6)
        assert (json.loads(session.view().file("camera.json")))["width"] == 512

    def test_other_names(self, session):
        for name in ("passwd", "../face.glb", "", "arkit.csv"):  # the tiny model has no units of ARKit
            with pytest.raises(ValueError, match=r"there is no download .*; take one of face\.glb"):
                session.view().file(name)

    def test_nothing_stays_on_the_disk(self, session, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        for name in session.tools.download.offered:
            assert session.view().file(name)
        assert list(tmp_path.iterdir()) == []
