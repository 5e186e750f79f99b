"""From a photograph to a face that lies where the photograph's does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mofa3d import harmonics, metrics
from mofa3d.camera import Camera
from mofa3d.data.crop import crop_face
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.doubts import Doubt
from mofa3d.data.locate import locate
from mofa3d.data.photo import read_photo
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description
from mofa3d.encoders.network import make_encoder
from mofa3d.errors import InputError
from mofa3d.morphable_model import MorphableModel, save_model
from mofa3d.pictures import views
from mofa3d.pictures.overlay import layers
from mofa3d.reconstruction import reconstructor as reconstructor_module
from mofa3d.reconstruction.reconstructor import Reconstruction, Reconstructor, lay_over, pictures
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress

# Of the whole face, and between the corners of the eyes, by eye.
MIDDLE, EYES = (265, 220), (265, 193)


@pytest.fixture(scope="module")
def photo(portrait) -> np.ndarray:
    return read_photo(portrait)


@pytest.fixture(scope="module")
def render():
    return make_renderer("cpu")


def untrained(model: MorphableModel, **options) -> Reconstructor:
    """A reconstructor that says code 0 about every face."""
    encoder = make_encoder("mobilenet_v2", sizes=model.sizes, weights=None, input_size=32)
    return Reconstructor(encoder, Decoder(model, Camera(240)), **options)


@pytest.fixture
def found(tiny_model, photo) -> Reconstruction:
    [found] = untrained(tiny_model)(photo)
    return found


class TestReconstructor:
    def test_box_and_crop_are_those_of_the_face(self, found, photo):
        assert found.box == locate(photo, detect_faces(photo)[0]).face
        assert np.hypot(found.box.x - MIDDLE[0], found.box.y - MIDDLE[1]) < 15
        crop, transform = crop_face(photo, found.box)
        assert found.transform == transform
        assert np.array_equal((255 * found.crop).round().permute(1, 2, 0).numpy(), crop)

    def test_code_is_the_encoders_and_scene_the_decoders(self, tiny_model, photo):
        reconstructor = untrained(tiny_model)
        torch.manual_seed(0)
        torch.nn.init.normal_(reconstructor.encoder.head.bias, std=0.5)
        [found] = reconstructor(photo)
        with torch.no_grad():
            expected = reconstructor.encoder(found.crop[None])
        assert torch.equal(found.code.to_vector(), expected)
        assert float(expected.abs().max()) > 0.5
        assert torch.equal(found.scene.pixels, reconstructor.decode(found.code).pixels)
        assert not found.scene.pixels.requires_grad

    def test_average_face_lies_on_the_photographs(self, default_model, photo):
        [found] = untrained(default_model)(photo)
        geometry = (found.code.shape, found.code.expression, found.code.rotation, found.code.translation)
        assert max(float(block.abs().max()) for block in geometry) == 0
        points = found.transform.to_photo(found.scene.landmarks[0].numpy())
        assert np.hypot(*(points[36:48].mean(axis=0) - EYES)) < 15
        assert np.hypot(*(points[[36, 39, 42, 45]].mean(axis=0) - EYES)) < 15
        assert np.hypot(*(points[8] - (268, 333))) < 30  # the chin
        assert np.hypot(*(points[30] - (267, 240))) < 15  # the tip of the nose
        assert points[36, 0] < points[45, 0]  # the subject's right eye is on the image's left

    def test_colors_are_fitted_unless_the_prediction_is_asked_for(self, default_model, photo):
        fitted, predicted = untrained(default_model), untrained(default_model, refine=None)
        [ours], [theirs] = fitted(photo), predicted(photo)
        assert float(theirs.code.to_vector().abs().max()) == 0
        render = make_renderer("vertex")
        error, before = (
            float(metrics.photometric_error(render(found.scene), found.crop[None])) for found in (ours, theirs)
        )
        assert error < 0.6 * before

    def test_most_prominent_face_or_every_face(self, tiny_model, photo):
        face = photo[60:400, 100:440]
        both = np.full((420, 760, 3), 128, dtype=np.uint8)
        both[120:340, 20:240] = cv2.resize(face, (220, 220), interpolation=cv2.INTER_AREA)
        both[40:380, 300:640] = face
        reconstructor = untrained(tiny_model)
        [first], every = reconstructor(both), reconstructor(both, every_face=True)
        assert [r.box for r in every] == [locate(both, face).face for face in detect_faces(both, every=True)]
        assert len(every) == 2
        assert first.box == every[0].box
        assert every[0].box.x > 300 > 240 > every[1].box.x
        assert not torch.equal(every[0].crop, every[1].crop)

    def test_doubtful_faces_are_refused_or_carry_a_warning(self, tiny_model, photo, monkeypatch):
        refused = Doubt("has its eyes, nose and mouth in odd places (0.20)", True)
        warned = refused._replace(refused=False)
        doubts = iter([refused, warned, refused])

        def doubtful(photo, face):
            return locate(photo, face)._replace(doubt=next(doubts))

        face = detect_faces(photo)[0]
        monkeypatch.setattr(reconstructor_module, "locate", doubtful)
        monkeypatch.setattr(reconstructor_module, "detect_faces", lambda photo, every: [face, face])
        [found] = untrained(tiny_model)(photo)
        assert found.warning.startswith(warned.reason)
        assert "and lies beside its features in the photograph" in found.warning  # it is untrained
        monkeypatch.setattr(reconstructor_module, "detect_faces", lambda photo, every: [face])
        with pytest.raises(InputError, match="what looks like one has its eyes, nose and mouth in odd places"):
            untrained(tiny_model)(photo)

    def test_no_face(self, tiny_model):
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
        with pytest.raises(ValueError, match="no face was found; give a photograph with a clear"):
            untrained(tiny_model)(noise)

    def test_opened_from_a_run(self, tiny_model, tmp_path, photo):
        save_model(tiny_model, tmp_path / "tiny.safetensors")
        about = Description(model_path=str(tmp_path / "tiny.safetensors"), input_size=32, image_size=120)
        encoder = about.make_encoder(tiny_model)
        torch.nn.init.ones_(encoder.depth_head.bias)
        optimizer = make_optimizer(encoder, TrainingConfig())
        save_checkpoint(tmp_path / CHECKPOINT_NAME, encoder, optimizer, Progress(), about.to_dict())
        [found] = Reconstructor.open(tmp_path)(photo)
        assert found.crop.shape == (3, 120, 120)
        assert found.code.translation.tolist() == [[0.0, 0.0, 10.0]]
        with pytest.raises(ValueError, match="there is no checkpoint at"):
            Reconstructor.open(tmp_path / "nowhere")


def painted(found: Reconstruction, color: tuple[float, float, float]) -> Reconstruction:
    """The same face in one color, without shading."""
    even = torch.zeros(9, 3)
    even[0] = 1 - harmonics.AMBIENT
    return replace(found, scene=views.recolored(found.scene, torch.tensor(color), even))


def outline(found: Reconstruction, shape: tuple[int, int], margin: float) -> np.ndarray:
    """Where the face's projected vertices reach in the photograph, widened by a margin in pixels."""
    points = found.transform.to_photo(found.scene.pixels[0].numpy())
    mask = np.zeros(shape, dtype=np.uint8)
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    middle = hull.mean(axis=0)
    hull = middle + (hull - middle) * (1 + margin / np.linalg.norm(hull - middle, axis=1, keepdims=True))
    # Pixel centres are whole numbers to OpenCV.
    cv2.fillConvexPoly(mask, np.round((hull - 0.5) * 16).astype(np.int32), 1, shift=4)
    return mask.astype(bool)


class TestLayOver:
    def test_photograph_stays_as_it_is_outside_of_the_face(self, found, photo, render):
        laid = lay_over(photo, found, render, whole=True)
        assert (laid.shape, laid.dtype) == (photo.shape, np.uint8)
        near = outline(found, photo.shape[:2], 3.0)
        assert 0.05 < near.mean() < 0.5
        assert np.array_equal(laid[~near], photo[~near])
        assert (laid != photo).any(axis=-1)[outline(found, photo.shape[:2], -3.0)].mean() > 0.95

    def test_face_has_its_colors(self, found, photo, render):
        laid = lay_over(photo, painted(found, (0.2, 0.4, 1.0)), render, whole=True)
        middle = outline(found, photo.shape[:2], -6.0)
        assert middle.sum() > 10_000
        assert np.abs(laid[middle].astype(int) - (51, 102, 255)).max() <= 1

    def test_face_lies_where_the_transform_says(self, found, photo, render):
        """The centroid of a white face on black, in the crop and in the photograph, to a fraction of a pixel."""
        white = painted(found, (1.0, 1.0, 1.0))
        in_photo = centroid(lay_over(np.zeros_like(photo), white, render, whole=True)[..., 0])
        in_crop = centroid(render(white.scene).image[0, 3].numpy())
        np.testing.assert_allclose(in_photo, white.transform.to_photo(in_crop), atol=0.05)

    def test_face_that_reaches_out_of_the_crop(self, tiny_model, found, photo, render):
        """It ends at its outline and not at the crop's straight edge."""
        camera = found.scene.camera
        near = Decoder(tiny_model, Camera(camera.image_size, 2.5 * camera.focal))
        large = painted(replace(found, scene=near(found.code)), (0.2, 0.4, 1.0))
        laid = lay_over(photo, large, render, whole=True)
        inner = outline(large, photo.shape[:2], -6.0)
        low, high = (corner.astype(int) for corner in large.transform.bounds(camera.image_size))
        beyond = inner.copy()
        beyond[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = False
        assert beyond.sum() > 5_000
        assert np.abs(laid[inner].astype(int) - (51, 102, 255)).max() <= 1
        assert np.array_equal(laid[~outline(large, photo.shape[:2], 3.0)], photo[~outline(large, photo.shape[:2], 3.0)])

    def test_face_that_reaches_out_of_the_photograph(self, tiny_model, photo, render):
        narrow = np.ascontiguousarray(photo[110:345, 150:385])
        [found] = untrained(tiny_model)(narrow)
        laid = lay_over(narrow, painted(found, (0.2, 0.4, 1.0)), render, whole=True)
        assert laid.shape == narrow.shape
        middle = outline(found, narrow.shape[:2], -6.0)
        assert np.abs(laid[middle].astype(int) - (51, 102, 255)).max() <= 1


def centroid(weights: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    weights = weights.astype(np.float64)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


def test_panels_begin_with_the_crop(found, photo, render):
    overlay, panels = pictures(photo, found, render)
    assert np.array_equal(overlay, lay_over(photo, found, render))
    assert panels.shape == (240, 1200, 3)
    assert np.array_equal(panels[:, :240], crop_face(photo, found.box)[0])
    in_crop = replace(found, transform=CropTransform(0.0, 0.0, 1.0))
    crop = np.ascontiguousarray(panels[:, :240])
    # What hides the head was found in the photograph, not in the crop.
    [head] = layers(found.scene, [found.transform], render)
    behind = replace(head.behind(head.hidden(photo)), transform=in_crop.transform)
    assert np.array_equal(panels[:, 240:480], behind.over(crop))
    apart = np.abs(panels[:, 240:480].astype(int) - lay_over(crop, in_crop, render)).max(axis=2)
    assert np.quantile(apart, 0.95) <= 8
    expected = views.overlay(found.scene, render, found.crop[None])
    whole = lay_over(crop, in_crop, render, whole=True).astype(int)
    assert np.abs(whole - views.to_bytes(expected)[0]).max() <= 1
