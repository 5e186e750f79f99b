"""Lamps and environment maps as illumination codes, against sums over the sphere that share nothing with them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import make_code

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.editing.codes import relight
from mofa3d.editing.lighting import directional_light, environment_light, exposed, read_environment, sphere, together
from mofa3d.fitting.delighting import front_light

LEFT, RIGHT, UP, VIEWER = (-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def shown(light: torch.Tensor, normal: tuple[float, float, float]) -> np.ndarray:
    """What a white surface with that normal shows."""
    return harmonics.irradiance(torch.tensor([[normal]]), light[None])[0, 0].numpy()


def smooth_map(height: int = 64) -> np.ndarray:
    """Linear light that is bright above and to the left, red behind the head and blue behind the camera."""
    y, x = np.mgrid[:height, : 2 * height] + 0.5
    up, azimuth = np.cos(math.pi * y / height), (x / height - 1) * math.pi
    flat = np.sqrt(1 - up**2)
    level = 0.5 + 0.2 * up - 0.15 * flat * np.sin(azimuth)
    cast = 0.1 * flat * np.cos(azimuth)
    return np.stack([level + cast, level, level - cast], axis=2).astype(np.float32)


def monte_carlo(panorama: np.ndarray, normal: np.ndarray, count: int = 400_000) -> np.ndarray:
    """Irradiance over π at a normal from uniform random directions, looked up in the map by the convention's words."""
    direction = np.random.default_rng(0).normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    height, width = panorama.shape[:2]
    # The middle lies behind the face (-z), the left of the map at the left of the picture (-x).
    column = (0.5 + np.arctan2(direction[:, 0], -direction[:, 2]) / (2 * math.pi)) * width
    row = np.arccos(direction[:, 1]) / math.pi * height
    radiance = panorama[row.astype(int).clip(0, height - 1), column.astype(int).clip(0, width - 1)]
    return 4 * (radiance * (direction @ normal).clip(0)[:, None]).mean(axis=0)


def srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


class TestEnvironment:
    @pytest.mark.parametrize("linear", [False, True])
    def test_one_color_is_ambient_light(self, linear):
        color = np.array([0.2, 0.5, 0.9])
        light = environment_light(np.broadcast_to(color, (20, 40, 3)).astype(np.float32), linear)
        expected = torch.zeros(9, 3)
        expected[0] = torch.from_numpy(srgb(color) if linear else color) - 0.7
        assert torch.allclose(light, expected, atol=1e-5)

    def test_agrees_with_monte_carlo(self):
        panorama = smooth_map()
        light = environment_light(panorama, linear=True)
        for normal in (LEFT, RIGHT, UP, VIEWER, (0.6, -0.48, 0.64)):
            expected = srgb(monte_carlo(panorama, np.array(normal)))
            np.testing.assert_allclose(shown(light, normal), expected, rtol=0.01)

    def test_map_in_display_colors_is_the_same_light(self):
        linear = smooth_map()
        light = environment_light(srgb(linear).astype(np.float32))
        assert torch.allclose(light, environment_light(linear, linear=True), atol=1e-4)

    def test_spot_to_the_left_lights_the_left(self):
        panorama = np.full((64, 128, 3), 0.01, dtype=np.float32)
        panorama[28:36, 28:36] = 50.0
        light = environment_light(panorama, linear=True)
        left, right = shown(light, (-0.8, 0.0, 0.6)), shown(light, (0.8, 0.0, 0.6))
        assert (left > 2.0 * right).all()
        turned = environment_light(panorama, linear=True, turn=180)
        np.testing.assert_allclose(shown(turned, (0.8, 0.0, 0.6)), left, rtol=0.02)

    def test_ends_of_the_map_light_the_front(self):
        panorama = np.full((32, 64, 3), 0.05, dtype=np.float32)
        panorama[:, :8] = panorama[:, -8:] = 1.0
        light = environment_light(panorama, linear=True)
        assert (shown(light, VIEWER) > 1.5 * shown(light, (0.0, 0.0, -0.2))).all()

    def test_turn_moves_the_surroundings_to_the_right(self):
        panorama = smooth_map()
        quarter = environment_light(np.roll(panorama, 32, axis=1), linear=True)
        assert torch.allclose(environment_light(panorama, linear=True, turn=90), quarter, atol=1e-4)

    def test_light_is_not_negative(self):
        with pytest.raises(ValueError, match="finite and not negative"):
            environment_light(np.full((4, 8, 3), -1.0, dtype=np.float32))


def test_sphere_has_its_area_and_is_even():
    directions, angles = sphere(16)
    assert angles.sum() == pytest.approx(4 * math.pi)
    np.testing.assert_allclose(angles @ directions, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)


class TestLamp:
    def test_is_the_projection_of_the_clamped_cosine(self):
        """Least squares over the whole sphere, which for these functions is their projection."""
        towards = np.array([0.48, 0.6, 0.64])
        directions, angles = sphere(96)
        functions, root = harmonics.basis(torch.from_numpy(directions)).numpy(), np.sqrt(angles)[:, None]
        lamp = (directions @ towards).clip(0)[:, None]
        expected, *_ = np.linalg.lstsq(root * functions, root * lamp, rcond=None)
        light = directional_light((4.8, 6.0, 6.4), (1.0, 0.5, 0.0), ambient=0.7).numpy()
        np.testing.assert_allclose(light, expected * [1.0, 0.5, 0.0], atol=2e-4)

    def test_lights_its_side(self):
        light = directional_light(LEFT, ambient=0.2)
        np.testing.assert_allclose(shown(light, LEFT), 0.2 + 1.0625, atol=1e-6)
        assert (shown(light, RIGHT) < 0.3).all()

    def test_has_a_direction(self):
        with pytest.raises(ValueError, match="not all 0; got"):
            directional_light((0.0, 0.0, 0.0))


def test_exposure_multiplies_what_is_seen(tiny_model):
    code = make_code(dtype=torch.float32)
    decode = Decoder(tiny_model, Camera(64))
    factor = torch.tensor([0.5, 1.0, 2.0])
    brighter = relight(code, exposed(code.illumination, factor))
    assert torch.allclose(front_light(decode(brighter)), factor * front_light(decode(code)), rtol=1e-4)
    assert torch.allclose(exposed(code.illumination, 1.0), code.illumination, atol=1e-6)


def test_two_lights_add_up(tiny_model):
    scene = Decoder(tiny_model, Camera())(make_code(2, dtype=torch.float32))
    lamp = directional_light(RIGHT, (0.3, 0.2, 0.1), ambient=0.4)
    both = harmonics.irradiance(scene.normals, together(scene.illumination, lamp))
    one, other = (harmonics.irradiance(scene.normals, light) for light in (scene.illumination, lamp.expand(2, 9, 3)))
    torch.testing.assert_close(both, one + other)
    assert float(other[..., 0].max() - other[..., 0].min()) > 0.2


class TestFiles:
    def test_photograph(self, tmp_path):
        picture = np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "map.png")
        image, linear = read_environment(tmp_path / "map.png")
        assert not linear
        np.testing.assert_allclose(image, picture / 255, atol=1e-6)

    def test_radiance_file(self, tmp_path):
        picture = np.zeros((10, 20, 3), np.float32) + np.float32([8.0, 2.0, 0.5])
        cv2.imwrite(str(tmp_path / "map.hdr"), picture[..., ::-1])
        image, linear = read_environment(tmp_path / "map.hdr")
        assert linear
        np.testing.assert_allclose(image, picture, rtol=0.01)

    def test_mistakes(self, tmp_path):
        Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(tmp_path / "square.png")
        with pytest.raises(ValueError, match=r"square.png has 10×10 pixels; .* twice as wide as it is high"):
            read_environment(tmp_path / "square.png")
        with pytest.raises(ValueError, match=r"there is no environment map at .*none.hdr"):
            read_environment(tmp_path / "none.hdr")
        (tmp_path / "broken.hdr").write_bytes(b"#?RADIANCE\nnonsense")
        with pytest.raises(ValueError, match=r"broken.hdr is not a readable Radiance picture"):
            read_environment(tmp_path / "broken.hdr")
