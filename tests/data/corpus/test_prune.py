"""Rules say what they measured, and duplicates are found whatever is between them."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mofa3d.data.corpus.prune import (
    Limits,
    Measures,
    broken_rule,
    find_duplicates,
    perceptual_hash,
    sharpness,
)
from mofa3d.data.photo import colorfulness, read_photo

GOOD = Measures(size=200, sharpness=0.1, color=0.1, turn=10.0, agreement=0.8)


@pytest.fixture(scope="module")
def crop(portrait) -> np.ndarray:
    return cv2.resize(read_photo(portrait)[120:360, 145:385], (240, 240))


def bits_apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


class TestRules:
    def test_good_face_breaks_none(self):
        assert broken_rule(GOOD, Limits()) is None

    @pytest.mark.parametrize(
        ("change", "rule", "reason"),
        [
            ({"size": 31.0}, "small", "the face is 31 pixels wide, less than 32"),
            ({"sharpness": 0.0005}, "blurred", r"the sharpness is 0.0005, less than 0\.\d+"),
            ({"color": 0.0}, "grey", "the colorfulness is 0.0000, less than 0.01"),
            ({"turn": -61.0}, "turned", "the head is turned by 61°, more than 60°"),
            ({"agreement": 0.0}, "disagreement", "the detectors' boxes overlap by 0.00, less than 0.3"),
        ],
    )
    def test_each_rule(self, change, rule, reason):
        broken = broken_rule(replace(GOOD, **change), Limits())
        assert broken.rule == rule
        assert re.fullmatch(reason, broken.reason)

    def test_what_is_unknown_is_not_held_against_a_face(self):
        assert broken_rule(replace(GOOD, turn=None, agreement=None), Limits()) is None

    def test_limits_can_be_switched_off(self):
        off = Limits(min_size=0, min_sharpness=0, min_color=0, max_turn=180, min_agreement=0)
        assert broken_rule(Measures(1, 0, 0, 179, 0), off) is None

    @pytest.mark.parametrize("bits", [-2, 4])
    def test_duplicate_bits_out_of_range(self, bits):
        with pytest.raises(ValueError, match=f"duplicate_bits must be from -1 to 3, got {bits}"):
            Limits(duplicate_bits=bits)


class TestMeasures:
    def test_blur_lowers_sharpness_and_light_does_not(self, crop):
        sharp = sharpness(crop)
        blurred = [sharpness(cv2.GaussianBlur(crop, None, sigma)) for sigma in (2, 4, 8)]
        assert sharp > 3 * blurred[0] > 9 * blurred[1] > 27 * blurred[2]
        assert blurred[2] < Limits().min_sharpness < blurred[0]
        dark = (crop * 0.5).astype(np.uint8)
        assert sharpness(dark) == pytest.approx(sharp, rel=0.1)

    def test_flat_image_is_not_sharp(self):
        assert sharpness(np.full((240, 240, 3), 90, np.uint8)) == 0

    def test_colorfulness(self, crop):
        assert colorfulness(np.full((4, 4, 3), 90, np.uint8)) == 0
        red = np.zeros((4, 4, 3), np.uint8)
        red[..., 0] = 255
        assert colorfulness(red) == pytest.approx(np.sqrt(2 / 3))
        assert colorfulness(crop) > Limits().min_color
        grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        assert colorfulness(grey) < Limits().min_color


class TestHash:
    def test_survives_scaling_compression_and_light(self, crop):
        original = perceptual_hash(crop)
        assert 0 < original < 2**64
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 60])
        for changed in (cv2.resize(crop, (120, 120)), cv2.imdecode(data, 1), (crop * 0.8 + 10).astype(np.uint8)):
            assert bits_apart(original, perceptual_hash(changed)) <= 4

    def test_tells_other_images_apart(self, crop):
        others = [crop[:, ::-1], np.roll(crop, 40, axis=0), crop.transpose(1, 0, 2)]
        assert all(bits_apart(perceptual_hash(crop), perceptual_hash(np.ascontiguousarray(o))) > 10 for o in others)


class TestDuplicates:
    def test_first_of_each_kind_stays(self):
        one, two = 0x0123456789ABCDEF, 0xFEDCBA9876543210
        assert find_duplicates([one, two, one, two, one], 0).tolist() == [False, False, True, True, True]

    @pytest.mark.parametrize("bits", [0, 1, 2, 3])
    def test_equals_comparing_all_pairs(self, bits):
        random = np.random.default_rng(bits)
        base = [int(value) for value in random.integers(0, 2**63, 40, dtype=np.uint64)]
        hashes = []
        for _ in range(300):
            value = base[random.integers(len(base))]
            for _ in range(random.integers(0, 5)):
                value ^= 1 << int(random.integers(64))
            hashes.append(value)
        expected = [any(bits_apart(h, earlier) <= bits for earlier in hashes[:i]) for i, h in enumerate(hashes)]
        assert find_duplicates(hashes, bits).tolist() == expected
        assert 0 < sum(expected) < len(expected)

    def test_none_are_looked_for(self):
        assert not find_duplicates([7, 7], -1).any()
        assert find_duplicates([], 2).shape == (0,)

    def test_too_many_bits(self):
        with pytest.raises(ValueError, match="bits must be at most 3, got 4"):
            find_duplicates([1], 4)
