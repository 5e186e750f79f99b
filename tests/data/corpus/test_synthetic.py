"""Synthetic faces are what their codes say, over their backgrounds, and made once."""

from __future__ import annotations

import re
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
from mofa3d.data.corpus import synthetic
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.synthetic import (
    SyntheticConfig,
    background,
    fingerprint_of,
    sample_codes,
    sample_light,
    synthesize,
    texture,
)
from mofa3d.decoder import Decoder
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import CodeSizes, SemanticCode

SIZE = 48
SIZES = CodeSizes(5, 4, 6)
CONFIG = SyntheticConfig(count=18, seed=3)


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


@once
def renderer(antialias: bool = True):
    return make_renderer("cpu", antialias=antialias)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Three blocks, the last one not full, and more than one batch in each."""
    monkeypatch.setattr(synthetic, "BLOCK", 8)
    monkeypatch.setattr(synthetic, "BATCH", 5)


def make(config: SyntheticConfig, decode: Decoder, out: Path, antialias: bool = True) -> Corpus:
    return synthesize(config, decode, renderer(antialias), out)


def rendered(faces: Corpus, decode: Decoder, antialias: bool = True) -> torch.Tensor:
    """The stored codes rendered again, RGBA (K, 4, H, W)."""
    return renderer(antialias)(decode(SemanticCode.from_vector(faces.codes, SIZES))).image


def images(faces: Corpus) -> torch.Tensor:
    return torch.stack([faces[i]["image"] for i in range(len(faces))])


def shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("shards/*.tar"))]


class TestFaces:
    @pytest.mark.parametrize("antialias", [True, False])
    def test_images_are_the_renderings_of_their_codes_over_backgrounds(self, decode, tmp_path, monkeypatch, antialias):
        behind = [texture(SIZE, np.random.default_rng(i)) for i in range(18)]
        left = iter(behind)
        monkeypatch.setattr(synthetic, "background", lambda *_: next(left))
        faces = make(CONFIG, decode, tmp_path, antialias)
        assert len(faces) == 18
        for image, rgba, texture_behind in zip(images(faces), rendered(faces, decode, antialias), behind, strict=True):
            assert 0.1 < float((rgba[3] == 1).float().mean()) < 0.9
            # The RGB of a rendering is multiplied by its alpha already.
            composed = rgba[:3] + (1 - rgba[3]) * torch.from_numpy(texture_behind).permute(2, 0, 1)
            assert float((image - composed).abs().mean()) < 4 / 255  # JPEG
            assert float((image - composed).mean().abs()) < 1 / 255

    def test_landmarks_and_codes_are_the_truth(self, decode, tmp_path):
        faces = make(CONFIG, decode, tmp_path)
        for index in (0, 17):
            item = faces[index]
            scene = decode(SemanticCode.from_vector(item["code"][None], SIZES))
            torch.testing.assert_close(item["landmarks"], scene.landmarks[0], atol=1e-3, rtol=0)
            assert item["confidence"].tolist() == [1.0] * 68
            assert int(item["index"]) == index
        assert 0.5 < float(faces.codes[:, :5].std()) < 1.5
        assert len(faces.codes.unique(dim=0)) == 18

    def test_same_seed_gives_the_same_faces_and_another_one_others(self, decode, tmp_path):
        first, again = (make(CONFIG, decode, tmp_path / name) for name in "ab")
        other = make(replace(CONFIG, seed=1), decode, tmp_path / "c")
        assert shards(tmp_path / "a") == shards(tmp_path / "b")
        assert torch.equal(first.codes, again.codes)
        assert not torch.isclose(first.codes, other.codes).any(dim=0).all()
        assert not (images(first) == images(other)).flatten(1).all(dim=1).any()


class TestAgain:
    @staticmethod
    def forbidden(scene):
        raise AssertionError("rendered again")

    def test_faces_are_rendered_once(self, decode, tmp_path):
        first = make(CONFIG, decode, tmp_path)
        second = synthesize(CONFIG, decode, self.forbidden, tmp_path)
        assert torch.equal(images(first), images(second))
        assert torch.equal(first.codes, second.codes)

    def test_a_larger_corpus_begins_with_the_smaller_one(self, decode, tmp_path):
        make(CONFIG, decode, tmp_path / "a")
        make(replace(CONFIG, count=30), decode, tmp_path / "b")
        small, large = shards(tmp_path / "a"), shards(tmp_path / "b")
        assert large[:2] == small[:2]
        assert len(make(replace(CONFIG, count=30), decode, tmp_path / "a")) == 30
        assert shards(tmp_path / "a") == large

    def test_an_interrupted_block_is_made_again(self, decode, tmp_path):
        make(CONFIG, decode, tmp_path)
        before = shards(tmp_path)
        (tmp_path / "shards" / "000001.json").unlink()
        make(CONFIG, decode, tmp_path)
        assert shards(tmp_path) == before

    @pytest.mark.parametrize("changes", [{"seed": 1}, {"count": 17}, {"yaw": 0.3}])
    def test_fingerprint_tells_settings_apart(self, decode, changes):
        assert fingerprint_of(CONFIG, decode) != fingerprint_of(replace(CONFIG, **changes), decode)

    def test_fingerprint_tells_models_cameras_and_backgrounds_apart(self, decode, tiny_model, tmp_path):
        found = [fingerprint_of(CONFIG, decode), fingerprint_of(CONFIG, Decoder(tiny_model, Camera(32)))]
        for size in (5, 6):
            Image.new("RGB", (size, 90)).save(tmp_path / "a.png")
            found.append(fingerprint_of(replace(CONFIG, backgrounds=str(tmp_path)), decode))
        tiny_model.mean_reflectance += 0.01
        found.append(fingerprint_of(CONFIG, decode))
        assert len(set(found)) == 5

    def test_other_settings_replace_the_faces(self, decode, tmp_path):
        first = images(make(CONFIG, decode, tmp_path))
        assert not torch.equal(images(make(replace(CONFIG, yaw=0.5), decode, tmp_path)), first)


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

    def test_photographs_of_a_folder_lie_behind_the_faces(self, tmp_path):
        colors = [(250, 10, 30), (20, 200, 90)]
        paths = [tmp_path / "a.png", tmp_path / "b.png"]
        for path, color in zip(paths, colors, strict=True):
            Image.new("RGB", (90, 70), color).save(path)
        random = np.random.default_rng(0)
        seen = [background(paths, SIZE, random) for _ in range(20)]
        assert {picture.shape for picture in seen} == {(SIZE, SIZE, 3)}
        assert {tuple((255 * picture[7, 3]).round().astype(int).tolist()) for picture in seen} == set(colors)

    def test_backgrounds_that_cannot_be_read_are_left_out_with_a_warning(self, tmp_path, caplog):
        paths = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"]
        Image.new("RGB", (9, 7), (250, 10, 30)).save(paths[1])
        paths[0].write_text("no image")
        random = np.random.default_rng(0)
        seen = [background(paths, SIZE, random) for _ in range(9)]
        said = r"a background is left out: .*(a\.png is not an image|c\.png; check)"
        assert caplog.messages
        assert all(re.match(said, message) for message in caplog.messages)
        assert {tuple((255 * picture[0, 0]).round().astype(int).tolist()) for picture in seen} == {(250, 10, 30)}
        with pytest.raises(ValueError, match=r"none of the 2 backgrounds beside .*a\.png can be read"):
            background([paths[0], paths[2]], SIZE, random)

    @pytest.mark.parametrize("name", ["empty", "nowhere"])
    def test_folder_without_photographs(self, decode, tmp_path, name):
        (tmp_path / "empty").mkdir()
        message = "there is no folder" if name == "nowhere" else "contains no photographs"
        with pytest.raises(ValueError, match=message):
            make(replace(CONFIG, backgrounds=str(tmp_path / name)), decode, tmp_path / "cache")
        assert not (tmp_path / "cache").exists()
