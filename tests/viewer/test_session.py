"""What visitors do, without a browser."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from odd_files import bad_files, encoded, good_files
from PIL import Image
from session_pictures import make_plain, pixels

from mofa3d.data.photo import read_photo
from mofa3d.reconstruction.reconstructor import lay_over
from mofa3d.viewer.drawing import PICTURES, outline
from mofa3d.viewer.mesh_data import DARKEST, LOOKS
from mofa3d.viewer.session import Session
from mofa3d.viewer.uploads import Limits


def two_faces(portrait: Path) -> bytes:
    """The portrait beside its mirror image."""
    face = Image.open(portrait).convert("RGB")
    both = Image.new("RGB", (2 * face.width, face.height))
    both.paste(face, (0, 0))
    both.paste(face.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (face.width, 0))
    return encoded(both, "PNG")


class TestOpen:
    def test_photograph(self, session, portrait):
        assert session.upload.name == "grace_hopper.jpg"
        assert np.array_equal(session.upload.photo, read_photo(portrait))
        assert len(session.upload.faces) == 1
        assert torch.equal(session.face().code.shape, session.upload.faces[0].code.shape)

    def test_nothing_is_there_before(self, tools):
        session = Session(tools)
        for act in (
            session.view,
            lambda: session.view().vertices("lit"),
            lambda: session.view().file("face.glb"),
        ):
            with pytest.raises(ValueError, match="there is no photograph yet; choose one"):
                act()

    def test_what_is_of_no_use_leaves_everything_as_it_was(self, session, sliders):
        session.move(sliders["yaw"], 20)
        version, picture = session.version, session.view().picture("overlay")
        for content in (b"text", encoded(Image.new("RGB", (300, 300)), "PNG")):
            with pytest.raises(ValueError, match=r"^bad\.jpg"):
                session.open(content, "bad.jpg")
        assert session.version == version
        assert session.view().picture("overlay") == picture

    def test_doubts_are_told(self, session, portrait, tools):
        assert session.upload.notice("") == ""
        small = Session(tools)
        small.open(encoded(Image.open(portrait).convert("RGB").resize((80, 94)), "PNG"), "small.png")
        said = small.upload.notice(small.now.start.warning)
        assert said.startswith("This face is ")
        assert " pixels large" in said
        assert said.endswith("; the result may be poor.")

    def test_sessions_know_nothing_of_each_other(self, tools, session, portrait, sliders):
        other = Session(tools)
        with pytest.raises(ValueError, match="no photograph yet"):
            other.view().picture("overlay")
        other.open(portrait.read_bytes(), "a.jpg")
        before = session.view().picture("overlay")
        other.move(sliders["yaw"], 30)
        assert session.view().picture("overlay") == before
        assert other.view().picture("overlay") != before
        assert session.moved == {}

    def test_closed_ones_hold_and_take_nothing(self, session, portrait):
        session.close()
        with pytest.raises(ValueError, match="no photograph yet"):
            session.view().picture("overlay")
        session.open(portrait.read_bytes(), "late.jpg")
        with pytest.raises(ValueError, match="no photograph yet"):
            session.view().file("face.glb")

    def test_faces_beyond_the_limit_are_left_out(self, tools, portrait):
        session = Session(replace(tools, limits=Limits(faces=1)))
        session.open(two_faces(portrait), "two.png")
        assert len(session.upload.faces) == 1
        assert session.upload.notice("") == "1 more face was found and left out."


class TestSliders:
    def test_move_changes_picture_and_mesh_and_reset_brings_them_back(self, session, sliders):
        picture, vertices, version = session.view().picture("overlay"), session.view().vertices("lit"), session.version
        session.move(sliders["shape 0"], session.rest(sliders["shape 0"]) + 2)
        assert session.version == version + 1
        assert (pixels(session.view().picture("overlay")) != pixels(picture)).any(axis=-1).mean() > 0.004
        assert session.view().vertices("lit") != vertices
        session.reset()
        assert session.view().picture("overlay") == picture
        assert session.view().vertices("lit") == vertices

    def test_value_is_kept_within_the_ends(self, session, sliders):
        session.move(sliders["yaw"], 1000)
        assert session.value(sliders["yaw"]) == 60
        assert session.value(sliders["pitch"]) == 0

    def test_value_that_is_no_number(self, session, sliders):
        version = session.version
        for value in (float("nan"), "many", None):
            with pytest.raises(ValueError, match="is no number"):
                session.move(sliders["yaw"], value)
        assert session.version == version

    def test_undo_and_redo(self, session, sliders):
        """What one hold of a slider does is one step; a reset is one too."""
        yaw, jaw = sliders["yaw"], sliders["shape 0"]
        pictures = [session.view().picture("overlay")]
        for value in (5, 10, 15):
            session.move(yaw, value)
        session.settle()
        pictures.append(session.view().picture("overlay"))
        session.move(jaw, 2)
        pictures.append(session.view().picture("overlay"))
        session.reset()
        assert session.view().picture("overlay") == pictures[0]
        for expected in (pictures[2], pictures[1], pictures[0], pictures[0]):
            session.undo()
            assert session.view().picture("overlay") == expected
        for expected in (pictures[1], pictures[2], pictures[0]):
            session.redo()
            assert session.view().picture("overlay") == expected
        session.undo()
        session.move(yaw, -20)
        assert not session.now.edits.can_redo

    def test_refining_keeps_what_was_moved_and_can_be_undone(self, session, sliders):
        session.move(sliders["yaw"], 10)
        before, texture = session.view().picture("overlay"), session.view().name
        session.refine(True)
        assert session.view().picture("overlay") != before
        assert session.view().name != texture
        assert session.value(sliders["yaw"]) == 10
        session.undo()
        assert session.view().picture("overlay") == before
        session.redo()
        session.refine(False)
        assert session.view().picture("overlay") == before


class TestSeveralFaces:
    def test_each_has_its_own_moves(self, tools, portrait, sliders):
        session = Session(tools)
        session.open(two_faces(portrait), "two.png")
        assert len(session.upload.faces) == 2
        first = session.view().picture("overlay")
        session.move(sliders["yaw"], 25)
        moved = session.view().picture("overlay")
        session.choose(1)
        assert session.moved == {}
        assert session.face().box != session.upload.faces[0].box
        assert session.view().picture("overlay") not in (first, moved)
        session.choose(0)
        assert session.view().picture("overlay") == moved
        with pytest.raises(ValueError, match="there is no face 3; the photograph shows 2"):
            session.choose(2)

    def test_thumbnails_and_frames_show_which_is_which(self, tools, portrait):
        session = Session(tools)
        session.open(two_faces(portrait), "two.png")
        first, second = (pixels(session.thumbnail(number)) for number in range(2))
        assert first.shape == (96, 96, 3)
        assert np.abs(first - second).mean() > 3
        assert np.abs(first - second[:, ::-1]).mean() < 30  # the second is the mirror image, or the first
        middles = [
            np.mean(outline(face.box, session.upload.width, session.upload.height), axis=0)
            for face in session.upload.faces
        ]
        assert sorted(round(float(x), 1) for x, _ in middles) == [0.3, 0.7]
        assert middles[0][1] == pytest.approx(middles[1][1], abs=0.03)
        with pytest.raises(ValueError, match="there is no face 3"):
            session.thumbnail(2)


class TestDrawing:
    def test_large_photograph_is_shown_smaller_with_the_face_in_place(self, tools, portrait):
        large = Image.open(portrait).convert("RGB").resize((2048, 2400))
        session = Session(tools)
        session.open(encoded(large, "PNG"), "large.png")
        shown = pixels(session.view().picture("overlay"))
        assert shown.shape == (1024, 874, 3)
        whole = lay_over(session.upload.photo, session.face(), tools.render)
        smaller = np.asarray(Image.fromarray(whole).resize((874, 1024), Image.Resampling.BOX), dtype=np.int64)
        assert np.abs(shown - smaller).mean() < 3

    def test_vertices_are_turned_as_in_the_photograph(self, session, tools):
        source = tools.layout.source
        content, count = session.view().vertices("skin"), len(source)
        assert len(content) == 16 * count
        points = np.frombuffer(content, "<f4", 3 * count).reshape(count, 3)
        seen = session.face().scene.positions[0][source].numpy()
        np.testing.assert_allclose(points - points[0], seen - seen[0], atol=1e-3)
        rgba = np.frombuffer(content, np.uint8, offset=12 * count).reshape(count, 4)
        expected = session.face().scene.reflectance[0][source].clamp(0, 1).numpy()
        np.testing.assert_allclose(rgba[:, :3] / 255, expected, atol=0.002)
        assert (rgba[:, 3] == 255).all()
        looks = {look: session.view().vertices(look)[12 * count :] for look in LOOKS}
        assert len(set(looks.values())) == 4

    def test_texture_factors_times_the_estimates_reflectance_are_the_colors_of_the_face(self, session, sliders, tools):
        make_plain(session)
        estimate, source = session.face().scene.reflectance[0].clamp_min(DARKEST), tools.layout.source
        for moved in ({}, {"reflectance 0": 2, "lamp": 0.5}):
            for name, value in moved.items():
                session.move(sliders[name], value)
            content = session.view().vertices("texture")
            factors = np.frombuffer(content, np.uint8, offset=12 * len(source)).reshape(-1, 4)[:, :3] / 255
            scene = session.face().scene
            expected = scene.colors[0] * scene.reflectance[0].clamp_min(DARKEST) / scene.reflectance[0]
            colors = (2 * torch.from_numpy(factors) * estimate[source]).numpy()
            unclipped = (factors > 0) & (factors < 1)
            assert unclipped.mean() > 0.9
            np.testing.assert_allclose(colors[unclipped], expected[source].numpy()[unclipped], atol=0.006)

    def test_texture(self, session):
        texture = pixels(session.view().texture())
        assert texture.shape == (1024, 1024, 3)
        assert texture.std() > 10
        assert session.view().texture() is session.view().texture()  # made once

    def test_edited_picture_changes_the_face_in_the_photograph(self, session, sliders):
        before = pixels(session.view().picture("photo"))
        assert np.array_equal(pixels(session.view().picture("edited")), before)
        session.move(sliders["yaw"], 20)
        changed = np.abs(pixels(session.view().picture("edited")) - before).sum(axis=-1) > 60
        assert 0.005 < changed.mean() < 0.3
        assert not changed[-100:].any()

    def test_full_picture_has_all_pixels(self, tools, portrait):
        session = Session(tools)
        session.open(encoded(Image.open(portrait).convert("RGB").resize((1100, 1289)), "PNG"), "large.png")
        for kind in PICTURES:
            assert pixels(session.view().picture(kind)).shape == (1024, 874, 3)
            assert pixels(session.view().picture(kind, full=True)).shape == (1289, 1100, 3)


class TestBeside:
    def test_face_that_was_put_aside_stays_as_it_was(self, session, sliders, portrait):
        with pytest.raises(ValueError, match="no face was put aside"):
            session.view(beside=True)
        session.move(sliders["yaw"], 20)
        kept, texture = session.view().picture("overlay"), session.view().texture()
        session.put_aside(True)
        session.move(sliders["yaw"], -20)
        session.open(two_faces(portrait), "two.png")
        beside = session.view(beside=True)
        assert (beside.picture("overlay"), beside.upload.name) == (kept, "grace_hopper.jpg")
        assert beside.texture() is texture
        assert session.view().picture("overlay") != kept
        session.put_aside(False)
        assert session.beside is None


class TestLamp:
    def test_taking_it_up_lights_it_and_dims_the_photographs_light(self, session, sliders):
        session.aim(0.5, 0.0)
        session.aim(3.0, 4.0)  # beyond the ball: its edge
        session.settle()
        values = {name: session.value(sliders[name]) for name in ("lamp", "kept", "azimuth", "elevation")}
        assert values["lamp"] > 0.5 > values["kept"]
        assert values["azimuth"] == pytest.approx(90)
        assert values["elevation"] == pytest.approx(math.degrees(math.asin(0.8)))
        session.move(sliders["lamp"], 0.2)
        session.aim(0.0, -0.5)
        assert session.value(sliders["lamp"]) == 0.2
        assert session.value(sliders["elevation"]) == pytest.approx(-30)
        for _ in range(3):
            session.undo()
        assert session.moved == {}


def test_odd_files(tools, portrait):
    """A hundred files: the face is found in the good ones, the bad ones are refused with a reason that names them."""
    face = Image.open(portrait).crop((100, 60, 440, 400)).resize((160, 160))
    session = Session(tools)
    good = [item for item in good_files(face).items() if item[0].partition(".")[0].endswith("0")]
    for name, content in good:
        session.open(content, name)
        assert len(session.upload.faces) == 1, name
    bad = bad_files(face)
    assert len(good) + len(bad) >= 100
    version = session.version
    for name, content in bad.items():
        with pytest.raises(ValueError, match=rf"^{name[:4]}.*(;|\()") as refusal:
            session.open(content, name)
        assert len(str(refusal.value)) < 300
    assert session.version == version
