"""Mirrored photographs keep their points on the same parts of the face."""

from __future__ import annotations

import pytest
import torch

from mofa3d.data.augment import MIRRORED_68, mirror, random_mirror

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
    results = [random_mirror(item, generator) for _ in range(400)]
    mirrored = [result for result in results if "code" not in result]
    assert 160 < len(mirrored) < 240
    assert all(torch.equal(result["image"], item["image"].flip(-1)) for result in mirrored)
    assert all(result is item for result in results if "code" in result)
    assert mirrored[0]["index"] == 3


def test_choice_is_repeatable(item):
    def choices(seed):
        generator = torch.Generator().manual_seed(seed)
        return ["code" in random_mirror(item, generator) for _ in range(32)]

    assert choices(5) == choices(5) != choices(6)
