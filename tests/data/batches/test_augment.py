"""Batches are changed as their items would be one by one, and photographs keep their points on the same parts."""

from __future__ import annotations

import math
from dataclasses import replace

import augment_reference
import pytest
import torch
from torch.utils.data import default_collate

from mofa3d.data.batches.augment import (
    MIRRORED_68,
    OCCLUDER_SIZE,
    AugmentConfig,
    Changes,
    apply_changes,
    augment,
    draw_changes,
)

MIRROR, STILL = AugmentConfig(mirror=1.0), AugmentConfig(mirror=0.0)
EVERYTHING = AugmentConfig(mirror=0.5, shift=5.0, scale=0.1, rotation=10.0, color=0.2, occluders=0.5)
COUNT, HEIGHT, WIDTH = 12, 20, 30


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_batch(count: int = COUNT) -> dict[str, torch.Tensor]:
    generator = random()
    return {
        "image": torch.rand(count, 3, HEIGHT, WIDTH, generator=generator),
        "landmarks": 20 * torch.rand(count, 68, 2, generator=generator),
        "confidence": torch.rand(count, 68, generator=generator),
        "index": torch.arange(count),
    }


def copies(count: int, **values: torch.Tensor) -> dict[str, torch.Tensor]:
    """A batch of the same item."""
    first = {name: value[0] for name, value in make_batch().items()} | values
    return {name: value.expand(count, *value.shape).clone() for name, value in first.items()}


def test_order_is_an_involution():
    assert sorted(MIRRORED_68) == list(range(68))
    assert [MIRRORED_68[i] for i in MIRRORED_68] == list(range(68))


@pytest.mark.parametrize(
    ("right", "left"),
    [
        (0, 16), (8, 8), (17, 26), (21, 22), (27, 27), (30, 30), (31, 35), (33, 33), (36, 45), (37, 44), (39, 42),
        (41, 46), (40, 47), (48, 54), (51, 51), (57, 57), (59, 55), (60, 64), (62, 62), (67, 65),
    ],
)  # fmt: skip
def test_right_points_become_left_points(right, left):
    assert (MIRRORED_68[right], MIRRORED_68[left]) == (left, right)


@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(),
        EVERYTHING,
        AugmentConfig(mirror=0.0, occluders=0.7),
        AugmentConfig(mirror=0.3, color=0.1),
        AugmentConfig(rotation=180.0, occluders=1.0),
    ],
)
def test_a_batch_is_changed_as_its_items_one_by_one_with_the_same_random_numbers(config):
    batch = make_batch()
    changed = augment(batch, config, random(3))
    generator = random(3)
    items = [{name: value[i] for name, value in batch.items()} for i in range(COUNT)]
    expected = default_collate([augment_reference.augment(item, config, generator) for item in items])
    assert changed.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(changed[name], value, rtol=0, atol=2e-4)
    assert not torch.equal(changed.get("input", changed["image"]), batch["image"])


def test_points_stay_on_what_they_mark_in_a_mirror():
    image, points = torch.zeros(3, HEIGHT, WIDTH), torch.zeros(68, 2)
    image[:, 4, 7] = 1.0
    points[36] = torch.tensor([7.5, 4.5])  # the right eye's outer corner, on the bright pixel
    changed = augment(copies(1, image=image, landmarks=points), MIRROR, random())
    assert changed["landmarks"][0, 45].tolist() == [22.5, 4.5]
    assert changed["image"][0, 0, 4, 22] == 1.0
    assert changed["image"].sum() == 3.0


def test_confidence_goes_with_its_point():
    confidence = torch.zeros(68)
    confidence[48] = 1.0
    mirrored = augment(copies(1, confidence=confidence), MIRROR, random())["confidence"][0]
    assert mirrored.nonzero().flatten().tolist() == [54]


def test_mirrored_twice_is_the_original():
    batch = make_batch()
    twice = augment(augment(batch, MIRROR, random()), MIRROR, random())
    assert torch.equal(twice["image"], batch["image"])
    torch.testing.assert_close(twice["landmarks"], batch["landmarks"])
    assert torch.equal(twice["confidence"], batch["confidence"])


def test_arguments_are_left_alone():
    batch, before = make_batch(), make_batch()
    augment(batch, EVERYTHING, random())
    assert all(torch.equal(batch[name], before[name]) for name in before)


def test_half_of_the_items_are_mirrored():
    batch = copies(400)
    changed = augment(batch, AugmentConfig(), random(1))
    mirrored = (changed["image"] == batch["image"].flip(-1)).flatten(1).all(dim=1)
    assert 160 < mirrored.sum() < 240
    assert torch.equal(changed["image"][~mirrored], batch["image"][~mirrored])
    assert torch.equal(changed["index"], batch["index"])


@pytest.mark.parametrize(
    ("config", "kept"),
    [(STILL, True), (replace(STILL, color=0.2), True), (replace(STILL, shift=1.0), False), (MIRROR, False)],
)
def test_true_codes_are_dropped_where_faces_were_moved(config, kept):
    changed = augment({**make_batch(), "code": torch.ones(COUNT, 5)}, config, random())
    assert ("code" in changed) == kept


def test_nothing_asked_for_changes_nothing():
    batch = make_batch()
    changed = augment(batch, STILL, random())
    assert changed.keys() == batch.keys()
    assert all(torch.equal(changed[name], batch[name]) for name in batch)


def test_choice_is_repeatable():
    first, again, other = (augment(make_batch(), EVERYTHING, random(seed))["image"] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


class TestMove:
    SPOT = torch.tensor([[20.5, 9.5]])

    def moved(self, **how) -> tuple[torch.Tensor, torch.Tensor]:
        """The brightest place (x, y) of a moved image with one smooth spot, and where its point has gone."""
        x, y = torch.arange(40) + 0.5, torch.arange(30) + 0.5
        spot = torch.exp(-((x - self.SPOT[0, 0]) ** 2 + (y[:, None] - self.SPOT[0, 1]) ** 2) / 8)
        batch = copies(1, image=spot.expand(3, 30, 40), landmarks=self.SPOT.expand(68, 2))
        still = draw_changes(STILL, 1, (40, 30), random())
        changes = replace(still, **{name: torch.tensor([value]) for name, value in how.items()})
        changed = apply_changes(batch, changes, AugmentConfig(mirror=0.0, shift=1.0))
        weight = changed["image"][0, 0].clamp_min(0.2) - 0.2
        place = torch.stack([(weight * x).sum(), (weight * y[:, None]).sum()]) / weight.sum()
        return place, changed["landmarks"][0, 0]

    @pytest.mark.parametrize(
        "how", [{"shift": (4.0, -3.0)}, {"scale": 1.3}, {"angle": 0.5}, {"shift": (2.0, 1.0), "scale": 0.8}]
    )
    def test_points_go_with_the_image(self, how):
        place, point = self.moved(**how)
        torch.testing.assert_close(place, point, atol=0.1, rtol=0)
        assert (point - self.SPOT[0]).norm() > 0.5

    def test_directions(self):
        assert self.moved(shift=(4.0, -3.0))[1].tolist() == [24.5, 6.5]
        # From above the middle (20, 15), clockwise is to the right.
        assert self.moved(angle=0.5)[1][0] > 22
        assert self.moved(scale=2.0)[1].tolist() == [21.0, 4.0]


def draw(config: AugmentConfig, count: int = COUNT) -> Changes:
    return draw_changes(config, count, (WIDTH, HEIGHT), random(1))


def test_changes_are_drawn_from_what_was_asked_for():
    changes = draw(EVERYTHING, count=800)
    assert changes.mirrored.float().mean() == pytest.approx(0.5, abs=0.05)
    assert changes.occluded.float().mean() == pytest.approx(0.5, abs=0.05)
    hidden = changes.occluded
    gain = torch.stack([changes.gain.amin(), changes.gain.amax()])
    least, most = (WIDTH * size for size in OCCLUDER_SIZE)
    for values, low, high in [
        (changes.shift, -5, 5),
        (changes.scale, 1 / 1.1, 1.1),
        (changes.angle, math.radians(-10), math.radians(10)),
        (changes.contrast, 0.8, 1.2),
        (gain, 0.7, 1.3),
        (changes.radii[hidden, 0], least, most),
        (changes.radii[hidden, 1] / changes.radii[hidden, 0], 0.4, 1.0),
        (changes.center[hidden, 0], 0, WIDTH),
        (changes.center[hidden, 1], 0, HEIGHT),
        (changes.turn[hidden], 0, math.pi),
        (changes.color[hidden], 0, 1),
    ]:
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high


def test_colors_change_within_their_limits():
    batch = copies(300, image=torch.full((3, HEIGHT, WIDTH), 0.5))
    gains = augment(batch, AugmentConfig(mirror=0, color=0.2), random())["image"][:, :, 0, 0] / 0.5
    assert 0.69 < gains.min() < 0.8
    assert 1.2 < gains.max() <= 1.3 + 1e-5
    assert (gains - gains.mean(dim=1, keepdim=True)).abs().max() > 0.05


def test_occluders_are_seen_by_the_encoder_alone():
    batch = copies(200)
    changed = augment(batch, AugmentConfig(mirror=0, occluders=0.5), random(3))
    assert all(torch.equal(changed[name], batch[name]) for name in batch)
    hidden = (changed["input"] != batch["image"]).any(dim=1)
    shares = hidden.float().mean(dim=(1, 2))
    assert 70 < (shares > 0).sum() < 130
    assert 0.05 < shares[shares > 0].median() < shares.max() < 0.6
    row = int(shares.argmax())
    assert len(changed["input"][row][:, hidden[row]].unique(dim=1).T) == 1  # one color


def test_without_occluders_the_encoder_sees_the_photograph():
    assert "input" not in augment(make_batch(), AugmentConfig(), random())
