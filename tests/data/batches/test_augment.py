"""Mirrored photographs keep their points on the same parts of the face."""

from __future__ import annotations

import pytest
import torch

from mofa3d.data.batches.augment import MIRRORED_68, AugmentConfig, augment, mirror, move

JAW, LEFT_BROW, RIGHT_BROW, MOUTH_CORNERS = range(17), range(22, 27), range(17, 22), (48, 54)


@pytest.fixture
def item() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.rand(3, 20, 30, generator=generator),
        "landmarks": 20 * torch.rand(68, 2, generator=generator),
        "confidence": torch.rand(68, generator=generator),
        "code": torch.ones(257),
        "index": torch.tensor(3),
    }


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


def test_points_stay_on_what_they_mark(item):
    item["image"].zero_()
    item["image"][:, 4, 7] = 1.0
    item["landmarks"][36] = torch.tensor([7.5, 4.5])  # the right eye's outer corner, on the bright pixel
    image, points, _ = mirror(item["image"], item["landmarks"], item["confidence"])
    assert points[45].tolist() == [22.5, 4.5]
    assert image[0, 4, 22] == 1.0
    assert image.sum() == 3.0


def test_confidence_goes_with_its_point(item):
    confidence = torch.zeros(68)
    confidence[48] = 1.0
    mirrored = mirror(item["image"], item["landmarks"], confidence)[2]
    assert mirrored.nonzero().flatten().tolist() == [54]


def test_twice_is_the_original(item):
    given = (item["image"], item["landmarks"], item["confidence"])
    twice = mirror(*mirror(*given))
    assert torch.equal(twice[0], given[0])
    torch.testing.assert_close(twice[1], given[1])
    assert torch.equal(twice[2], given[2])


def test_arguments_are_left_alone(item):
    before = {name: value.clone() for name, value in item.items()}
    mirror(item["image"], item["landmarks"], item["confidence"])
    assert all(torch.equal(item[name], before[name]) for name in before)


def test_half_of_the_items_are_mirrored_and_lose_their_code(item):
    generator = torch.Generator().manual_seed(1)
    results = [augment(item, AugmentConfig(), generator) for _ in range(400)]
    mirrored = [result for result in results if "code" not in result]
    assert 160 < len(mirrored) < 240
    assert all(torch.equal(result["image"], item["image"].flip(-1)) for result in mirrored)
    assert all(torch.equal(result["image"], item["image"]) for result in results if "code" in result)
    assert mirrored[0]["index"] == 3


def test_choice_is_repeatable(item):
    config = AugmentConfig(shift=3, scale=0.1, rotation=10, color=0.2, occluders=0.5)

    def results(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.stack([augment(item, config, generator)["image"] for _ in range(8)])

    assert torch.equal(results(5), results(5))
    assert not torch.equal(results(5), results(6))


class TestMove:
    SPOT = torch.tensor([[20.5, 9.5]])

    def moved(self, **how) -> tuple[torch.Tensor, torch.Tensor]:
        """The brightest place (x, y) of a moved image with one smooth spot, and where its point has gone."""
        x, y = torch.arange(40) + 0.5, torch.arange(30) + 0.5
        spot = torch.exp(-((x - self.SPOT[0, 0]) ** 2 + (y[:, None] - self.SPOT[0, 1]) ** 2) / 8)
        image, points = move(spot.expand(3, 30, 40), self.SPOT, **{"shift": (0, 0), "scale": 1.0, "angle": 0.0, **how})
        weight = image[0].clamp_min(0.2) - 0.2
        return torch.stack([(weight * x).sum(), (weight * y[:, None]).sum()]) / weight.sum(), points[0]

    @pytest.mark.parametrize(
        "how", [{"shift": (4, -3)}, {"scale": 1.3}, {"angle": 0.5}, {"shift": (2, 1), "scale": 0.8}]
    )
    def test_points_go_with_the_image(self, how):
        place, point = self.moved(**how)
        torch.testing.assert_close(place, point, atol=0.1, rtol=0)
        assert (point - self.SPOT[0]).norm() > 0.5

    def test_directions(self):
        assert self.moved(shift=(4, -3))[1].tolist() == [24.5, 6.5]
        # From above the middle (20, 15), clockwise is to the right.
        assert self.moved(angle=0.5)[1][0] > 22
        assert self.moved(scale=2.0)[1].tolist() == [21.0, 4.0]

    def test_limits_are_kept_and_reached(self, item):
        item["landmarks"][0] = torch.tensor([15.0, 10.0])  # the middle, which only the shift moves
        config = AugmentConfig(mirror=0, shift=5, scale=0.2, rotation=30)
        generator = torch.Generator().manual_seed(0)
        points = torch.stack([augment(item, config, generator)["landmarks"] for _ in range(300)])
        shift = points[:, 0] - torch.tensor([15.0, 10.0])
        assert 4.8 < shift.abs().max() <= 5
        lengths = (points[:, 1] - points[:, 0]).norm(dim=1) / (item["landmarks"][1] - item["landmarks"][0]).norm()
        assert 1 / 1.2 - 1e-4 <= lengths.min() < 0.86
        assert 1.17 < lengths.max() <= 1.2001


def test_colors_change_within_their_limits(item):
    item["image"].fill_(0.5)
    config = AugmentConfig(mirror=0, color=0.2)
    generator = torch.Generator().manual_seed(0)
    gains = torch.stack([augment(item, config, generator)["image"][:, 0, 0] for _ in range(300)]) / 0.5
    assert 0.69 < gains.min() < 0.8
    assert 1.2 < gains.max() <= 1.3 + 1e-5
    assert (gains - gains.mean(dim=1, keepdim=True)).abs().max() > 0.05
    assert "code" in augment(item, config, generator)  # a color does not move a face


def test_occluders_are_seen_by_the_encoder_alone(item):
    config = AugmentConfig(mirror=0, occluders=0.5)
    generator = torch.Generator().manual_seed(3)
    results = [augment(item, config, generator) for _ in range(200)]
    assert all(torch.equal(result["image"], item["image"]) for result in results)
    assert all(torch.equal(result["confidence"], item["confidence"]) for result in results)
    hidden = [result["input"] != item["image"] for result in results]
    shares = torch.stack([changed.any(dim=0).float().mean() for changed in hidden])
    assert 70 < (shares > 0).sum() < 130
    assert 0.05 < shares[shares > 0].median() < shares.max() < 0.6
    result, changed = next((r, h.any(dim=0)) for r, h in zip(results, hidden, strict=True) if h.any())
    assert len(result["input"][:, changed].unique(dim=1).T) == 1  # one color


def test_without_occluders_the_encoder_sees_the_photograph(item):
    assert "input" not in augment(item, AugmentConfig(), torch.Generator().manual_seed(0))
