"""Edited faces in their photograph: nothing changes that was not edited, and what changes is where it should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.found_face import FoundFace
from mofa3d.decoder import Decoder
from mofa3d.editing.codes import move, relight, turn
from mofa3d.editing.composite import Window, composite
from mofa3d.editing.lighting import directional_light, exposed
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode

MODEL = make_tiny_model()
DECODE = Decoder(MODEL, Camera(96))
RENDER, SHARP = make_renderer("cpu"), make_renderer("cpu", antialias=False)
PHOTO_SIZE = 160
TRANSFORM = CropTransform(left=30.5, top=20.25, scale=0.96)  # the crop is 100 pixels of the photograph


def reconstruction(code: SemanticCode) -> Reconstruction:
    return Reconstruction(
        FoundFace.of_box(80.5, 70.25, 75.0, 20), torch.zeros(3, 96, 96), TRANSFORM, code, DECODE(code)
    )


@pytest.fixture(scope="module")
def found() -> Reconstruction:
    return reconstruction(SemanticCode.zeros(1, MODEL.sizes))


@pytest.fixture(scope="module")
def photo(found) -> np.ndarray:
    """The model's own face on noise: a photograph that the reconstruction explains exactly."""
    noise = np.random.default_rng(0).integers(0, 90, (PHOTO_SIZE, PHOTO_SIZE, 3), dtype=np.uint8)
    return lay_over(noise, found, RENDER, whole=True)


def edit(photo: np.ndarray, found: Reconstruction, code: SemanticCode) -> np.ndarray:
    return composite(photo, found, DECODE(code), MODEL, RENDER, SHARP)


def mask(code: SemanticCode, threshold: float = 0.999) -> np.ndarray:
    """Pixels of the photograph that a face covers."""
    even = torch.zeros(1, 9, 3)
    even[:, 0] = 1 - harmonics.AMBIENT
    scene = DECODE(code)
    white = replace(scene, reflectance=torch.ones_like(scene.reflectance), illumination=even)
    black = np.zeros((PHOTO_SIZE, PHOTO_SIZE, 3), np.uint8)
    return lay_over(black, replace(reconstruction(code), scene=white), RENDER, whole=True)[..., 0] > 255 * threshold


class TestComposite:
    def test_unedited_code_leaves_the_photograph_as_it_is(self, photo, found):
        assert np.array_equal(edit(photo, found, found.code), photo)
        noise = np.random.default_rng(1).integers(0, 256, photo.shape, dtype=np.uint8)
        assert np.array_equal(edit(noise, found, found.code), noise)

    def test_new_light_on_the_models_own_face_is_the_models_rendering(self, photo, found):
        """The ratio of two lights times the photograph of the first is the photograph of the second."""
        light = exposed(directional_light((-1.0, 0.4, 0.8), (0.5, 0.4, 0.3)), 0.8)
        relit = relight(found.code, light)
        inside = mask(found.code)
        expected = lay_over(photo, reconstruction(relit), RENDER, whole=True)[inside].astype(float)
        got = edit(photo, found, relit)[inside].astype(float)
        assert np.abs(got - expected).mean() < 1.5  # of 255
        assert np.abs(expected - photo[inside]).mean() > 15

    def test_light_from_the_left_brightens_the_left(self, photo, found):
        grey = np.full_like(photo, 100)
        got = edit(grey, found, relight(found.code, directional_light((-1.0, 0.0, 0.3)))).mean(axis=2)
        inside = mask(found.code)
        columns = np.nonzero(inside)[1]
        left, right = columns < np.quantile(columns, 0.3), columns > np.quantile(columns, 0.7)
        assert got[inside][left].mean() > 1.5 * got[inside][right].mean()

    def test_a_photograph_without_color_stays_without(self, photo, found):
        """Neither the skin that a turned face newly shows nor a colored lamp may tint it."""
        code = relight(turn(found.code, 25), directional_light((-1.0, 0.4, 0.8), (0.6, 0.4, 0.2)))
        grey = np.round(photo @ [0.299, 0.587, 0.114]).astype(np.uint8)[..., None].repeat(3, axis=2)
        got = edit(grey, found, code)
        assert np.ptp(got, axis=2).max() == 0
        assert np.abs(got.astype(int) - grey).mean() > 5
        assert np.ptp(edit(photo, found, code)[mask(code)], axis=1).mean() > 20

    def test_a_turned_photograph_gives_the_same_edit_turned(self, photo, found):
        code = relight(turn(found.code, 15), directional_light((-1.0, 0.4, 0.8)))
        t = found.transform
        over = replace(found, transform=CropTransform(PHOTO_SIZE - t.top, t.left, t.scale, 90.0))
        expected = np.rot90(edit(photo, found, code), -1).astype(int)
        got = edit(np.ascontiguousarray(np.rot90(photo, -1)), over, code)
        difference = np.abs(got - expected).max(axis=2)
        assert difference.mean() < 0.5
        assert np.abs(expected - np.rot90(photo, -1)).mean() > 5

    def test_far_from_the_face_nothing_changes(self, photo, found):
        wide = np.random.default_rng(2).integers(0, 256, (500, 500, 3), dtype=np.uint8)
        wide[150:310, 150:310] = photo
        moved = replace(found, transform=CropTransform(180.5, 170.25, 0.96))
        got = edit(wide, moved, relight(turn(found.code, 20), directional_light((1.0, 0.0, 1.0))))
        changed = np.nonzero((got != wide).any(axis=2))
        assert changed[0].size > 2000
        assert min(c.min() for c in changed) > 120
        assert max(c.max() for c in changed) < 345

    def test_face_that_moves_takes_its_pixels_along(self, photo, found):
        """25 mm to the right at 1 m: a shift by 25 · 435 / 1000 / 0.96 pixels of the photograph."""
        shift = 25 * DECODE.camera.focal / 1000 / TRANSFORM.scale
        code = move(found.code, right=25)
        ramp = np.broadcast_to(np.arange(PHOTO_SIZE, dtype=np.uint8)[None, :, None], photo.shape).copy()
        inside = mask(code)
        moved = (ramp.astype(float) - edit(ramp, found, code))[..., 0][inside]
        # The surface lies 0 to 70 mm nearer than 1 m, so its points move a little farther; colors are whole numbers.
        assert shift < moved.mean() < shift / 0.93 + 0.5
        # At the rim, points that were seen grazingly are not the photograph's.
        low, high = np.quantile(moved, [0.05, 0.95])
        assert shift - 0.5 <= low <= high <= shift / 0.93 + 0.5

    def test_turned_model_in_its_own_photograph_is_the_models_rendering(self, photo, found):
        turned = turn(found.code, 12)
        inside = mask(turned)
        expected = lay_over(photo, reconstruction(turned), RENDER, whole=True)[inside].astype(float)
        got = edit(photo, found, turned)[inside].astype(float)
        assert np.median(np.abs(got - expected)) < 4
        assert np.abs(got - expected).mean() < 0.5 * np.abs(photo[inside] - expected).mean()

    def test_old_face_does_not_show_beside_the_new_one(self, found):
        """A white face on black moves away: what it leaves is as dark as its surroundings."""
        white = np.where(mask(found.code, 0.01)[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
        code = move(found.code, right=14)
        left = mask(found.code) & ~mask(code, 0.001)
        assert left.sum() > 200
        assert edit(white, found, code)[left].mean() < 30

    def test_face_that_leaves_the_picture(self, photo, found):
        got = edit(photo, found, move(found.code, right=900))
        assert got.shape == photo.shape


class TestWindow:
    def test_cut_and_put_across_the_border(self):
        photo = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        window = Window(left=-2, top=6, size=6)
        square = window.cut(photo)
        assert np.array_equal(square[:4, 2:], photo[6:, :4])
        assert np.array_equal(square[4:], square[3:4].repeat(2, axis=0))
        changed = window.put(photo, 255 - square)
        assert np.array_equal(changed[6:, :4], 255 - photo[6:, :4])
        changed[6:, :4] = photo[6:, :4]
        assert np.array_equal(changed, photo)

    def test_window_beside_the_photograph_changes_nothing(self):
        photo = np.zeros((10, 12, 3), dtype=np.uint8)
        for window in (Window(20, 0, 5), Window(-9, 0, 5), Window(0, 30, 5)):
            assert np.array_equal(window.put(photo, window.cut(photo) + np.uint8(1)), photo)
