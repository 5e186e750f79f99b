"""Synthetic faces are what their codes say, over their backgrounds, and made once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache as once
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.code_sizes import CodeSizes
from mofa3d.data.synthetic import (
    SyntheticConfig,
    SyntheticFaces,
    backgrounds,
    sample_codes,
    sample_light,
    synthetic_faces,
    texture,
)
from mofa3d.decoder import Decoder
from mofa3d.semantic_code import SemanticCode
from renderers import make_renderer

SIZE = 48
SIZES = CodeSizes(5, 4, 6)
CONFIG = SyntheticConfig(count=18, seed=3)  # more than one batch


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


@once
def renderer(antialias: bool = True):
    return make_renderer("cpu", antialias=antialias)


def make(config: SyntheticConfig, decode: Decoder, cache: Path, antialias: bool = True) -> SyntheticFaces:
    return synthetic_faces(config, decode, renderer(antialias), cache)


def rendered(faces: SyntheticFaces, decode: Decoder, antialias: bool = True) -> torch.Tensor:
    """The stored codes rendered again, RGBA (K, 4, H, W)."""
    return renderer(antialias)(decode(SemanticCode.from_vector(faces.codes, SIZES))).image


class TestFaces:
    @pytest.mark.parametrize("antialias", [True, False])
    def test_images_are_the_renderings_of_their_codes_over_backgrounds(self, decode, tmp_path, antialias):
        faces = make(CONFIG, decode, tmp_path, antialias)
        assert len(faces) == 18
        behind = backgrounds(CONFIG, SIZE, np.random.default_rng(CONFIG.seed))
        for index, rgba in enumerate(rendered(faces, decode, antialias)):
            image = faces[index]["image"]
            inside = rgba[3] == 1
            assert 0.1 < float(inside.float().mean()) < 0.9
            assert float((image - rgba[:3])[:, inside].abs().max()) < 0.51 / 255
            # The RGB of a rendering is multiplied by its alpha already.
            composed = rgba[:3] + (1 - rgba[3]) * torch.from_numpy(next(behind)).permute(2, 0, 1)
            assert float((image - composed).abs().max()) < 0.51 / 255

    def test_landmarks_and_codes_are_the_truth(self, decode, tmp_path):
        faces = make(CONFIG, decode, tmp_path)
        for index in (0, 17):
            item = faces[index]
            scene = decode(SemanticCode.from_vector(item["code"][None], SIZES))
            torch.testing.assert_close(item["landmarks"], scene.landmarks[0], atol=1e-4, rtol=0)
            assert item["confidence"].tolist() == [1.0] * 68
            assert int(item["index"]) == index
        drawn = sample_codes(CONFIG, 18, SIZES, torch.Generator().manual_seed(CONFIG.seed))
        assert torch.equal(faces.codes, drawn.to_vector())

    def test_same_seed_gives_the_same_faces_and_another_one_others(self, decode, tmp_path):
        first, again = (make(CONFIG, decode, tmp_path / name) for name in "ab")
        other = make(replace(CONFIG, seed=1), decode, tmp_path / "a")
        assert np.array_equal(first.images, again.images)
        assert torch.equal(first.codes, again.codes)
        assert torch.equal(first.landmarks, again.landmarks)
        assert not torch.isclose(first.codes, other.codes).any(dim=0).all()
        assert all(not np.array_equal(a, b) for a, b in zip(first.images, other.images, strict=True))


class TestCache:
    @staticmethod
    def forbidden(scene):
        raise AssertionError("rendered again")

    def test_faces_are_rendered_once(self, decode, tmp_path):
        first = make(CONFIG, decode, tmp_path / "deep" / "cache")
        second = synthetic_faces(CONFIG, decode, self.forbidden, tmp_path / "deep" / "cache")
        assert np.array_equal(first.images, second.images)
        assert torch.equal(first.codes, second.codes)
        suffixes = sorted(path.suffix for path in (tmp_path / "deep" / "cache").iterdir())
        assert suffixes == [".npy", ".pt"]

    @pytest.mark.parametrize("changes", [{"seed": 1}, {"count": 17}, {"yaw": 0.3}])
    def test_other_settings_have_files_of_their_own(self, decode, tmp_path, changes):
        make(CONFIG, decode, tmp_path)
        make(replace(CONFIG, **changes), decode, tmp_path)
        assert len(list(tmp_path.glob("synthetic-*.npy"))) == len(list(tmp_path.glob("synthetic-*.pt"))) == 2
        synthetic_faces(CONFIG, decode, self.forbidden, tmp_path)

    def test_another_model_or_camera_has_files_of_its_own(self, decode, tiny_model, tmp_path):
        make(CONFIG, decode, tmp_path)
        make(CONFIG, Decoder(tiny_model, Camera(32)), tmp_path)
        tiny_model.mean_reflectance += 0.01
        make(CONFIG, decode, tmp_path)
        assert len(list(tmp_path.glob("synthetic-*.npy"))) == 3

    def test_faces_without_their_truth_are_made_again(self, decode, tmp_path):
        first = make(CONFIG, decode, tmp_path)
        [path] = tmp_path.glob("*.pt")
        path.unlink()
        assert torch.equal(make(CONFIG, decode, tmp_path).codes, first.codes)


@pytest.mark.parametrize("count", [0, -3])
def test_no_faces_are_refused(count):
    with pytest.raises(ValueError, match=f"count must be at least 1, got {count}"):
        SyntheticConfig(count=count)


def test_codes_spread_as_asked():
    config = SyntheticConfig(shape=0.5, expression=0.6, reflectance=0.7)
    code = sample_codes(config, 20_000, SIZES, torch.Generator().manual_seed(3))
    assert code.sizes == SIZES

    def spread(values: torch.Tensor) -> list[float]:
        assert float(values.mean(dim=0).abs().max()) < 0.03 * float(values.std())
        return values.std(dim=0).tolist()

    assert spread(code.shape) == pytest.approx([0.5] * 5, rel=0.03)
    assert spread(code.expression) == pytest.approx([0.6] * 4, rel=0.03)
    assert spread(code.reflectance) == pytest.approx([0.7] * 6, rel=0.03)
    # Turning about x nods, about y turns to the side, about z leans.
    assert spread(code.rotation) == pytest.approx([config.pitch, config.yaw, config.roll], rel=0.03)
    assert spread(code.translation) == pytest.approx([config.shift, config.shift, config.depth], rel=0.03)


class TestLight:
    NORMALS = normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64), dim=-1)

    def lamp(self, light: torch.Tensor, channel: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Direction (B, 3) and strength (B, 1) of a single lamp, read from the band that is linear in y, z, x.

        With H = (2/√3) y and a = 2/3 a lamp's coefficient s H(d) / a is √3 s d_y, and so for z and x.
        """
        linear = light[:, [3, 1, 2], channel] / 3**0.5
        return normalize(linear, dim=-1), linear.norm(dim=-1, keepdim=True)

    @pytest.mark.parametrize("channel", [0, 1, 2])
    def test_a_lamp_obeys_the_addition_theorem(self, channel):
        light = sample_light(20, torch.Generator().manual_seed(0), lamps=1).double()
        direction, strength = self.lamp(light, channel)
        cosine = direction @ self.NORMALS.T
        # Σ_b H_b(n) H_b(d) / a_b = Σ_l a_l (2l + 1) P_l(n·d) = 1 + 2 c + (5/8)(3c² - 1); what is constant is left out.
        expected = strength * (2 * cosine + 5 / 8 * (3 * cosine**2 - 1))
        irradiance = harmonics.irradiance(self.NORMALS.expand(20, -1, -1), light)[..., channel]
        constant = light[:, :1, channel] + harmonics.AMBIENT
        torch.testing.assert_close(irradiance - constant, expected, atol=1e-6, rtol=0)
        # Three bands of a lamp, whose irradiance is 4 s max(0, n·d), miss it by at most 3/8 s.
        lambert = 4 * strength * cosine.clamp_min(0)
        assert bool(((irradiance - constant + strength - lambert).abs() <= 0.376 * strength).all())

    def test_lamps_are_weak_tinted_and_in_front(self):
        light = sample_light(4000, torch.Generator().manual_seed(0), lamps=1)
        direction, strength = self.lamp(light, 1)
        assert float((direction[:, 2] > 0).float().mean()) > 0.85
        assert float(direction.mean(dim=0)[1]) > 0.15  # rather from above
        assert float(strength.mean()) == pytest.approx(0.35 / 2, rel=0.05)
        tint = self.lamp(light, 0)[1] / strength
        assert float(tint.median()) == pytest.approx(1, abs=0.02)
        assert 0.05 < float(tint.quantile(0.84) - tint.quantile(0.16)) / 2 < 0.2

    def test_several_lamps_share_the_strength(self):
        means = [
            float((sample_light(20_000, torch.Generator().manual_seed(0), lamps=n)[:, 0] + 0.15).mean()) for n in (1, 3)
        ]
        assert means == pytest.approx([0.175, 0.175], abs=0.005)


class TestBackgrounds:
    def test_textures_fill_the_range_and_differ(self):
        random = np.random.default_rng(0)
        pictures = [texture(40, random) for _ in range(30)]
        for picture in pictures:
            assert (picture.shape, picture.dtype) == ((40, 40, 3), np.float32)
            assert 0 <= picture.min() <= picture.max() <= 1
            assert picture.std() > 0.02
        assert np.std([picture.mean() for picture in pictures]) > 0.1
        assert np.array_equal(texture(40, np.random.default_rng(0)), pictures[0])

    def test_photographs_of_a_folder_lie_behind_the_faces(self, decode, tmp_path):
        colors = [(250, 10, 30), (20, 200, 90)]
        for name, color in zip(("a.png", "sub/b.png"), colors, strict=True):
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (90, 70), color).save(tmp_path / "photos" / name)
        config = replace(CONFIG, backgrounds=str(tmp_path / "photos"))
        faces = make(config, decode, tmp_path / "cache")
        seen = set()
        for image, rgba in zip(faces.images, rendered(faces, decode), strict=True):
            outside = image[(rgba[3] == 0).numpy()]
            assert len(outside) > 100
            seen.add(tuple(outside[0].tolist()))
            assert (outside == outside[0]).all()
        assert seen == set(colors)

    @pytest.mark.parametrize("name", ["empty", "nowhere"])
    def test_folder_without_photographs(self, decode, tmp_path, name):
        (tmp_path / "empty").mkdir()
        message = "there is no folder" if name == "nowhere" else "holds no photographs"
        with pytest.raises(ValueError, match=message):
            make(replace(CONFIG, backgrounds=str(tmp_path / name)), decode, tmp_path / "cache")
        assert not list((tmp_path / "cache").glob(".*"))  # nothing half-made stays behind
