"""A batch is changed as its items would be, one by one."""

from __future__ import annotations

import math

import pytest
import torch

from mofa3d.data.batches.augment import OCCLUDER_SIZE, AugmentConfig, mirror, move
from mofa3d.data.batches.augment_on_gpu import apply_changes, augment_batch, draw_changes

EVERYTHING = AugmentConfig(mirror=0.5, shift=5.0, scale=0.1, rotation=10.0, color=0.2, occluders=0.5)
COUNT, HEIGHT, WIDTH = 12, 24, 30


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=generator),
        "landmarks": 20 * torch.rand(COUNT, 68, 2, generator=generator),
        "confidence": torch.rand(COUNT, 68, generator=generator),
        "index": torch.arange(COUNT),
    }


def draw(config: AugmentConfig, seed: int = 1, count: int = COUNT):
    return draw_changes(config, count, (WIDTH, HEIGHT), torch.Generator().manual_seed(seed))


def test_items_are_mirrored_moved_and_recolored_as_one_by_one(batch):
    changes = draw(EVERYTHING)
    assert 0 < changes.mirrored.sum() < COUNT
    changed = apply_changes(batch, changes, EVERYTHING)
    for i in range(COUNT):
        image, points, confidence = batch["image"][i], batch["landmarks"][i], batch["confidence"][i]
        if changes.mirrored[i]:
            image, points, confidence = mirror(image, points, confidence)
        shift = tuple(changes.shift[i].tolist())
        image, points = move(image, points, shift, float(changes.scale[i]), float(changes.angle[i]))
        image = (((image - 0.5) * changes.contrast[i] + 0.5) * changes.gain[i].view(3, 1, 1)).clamp(0, 1)
        torch.testing.assert_close(changed["image"][i], image, rtol=0, atol=1e-4)
        torch.testing.assert_close(changed["landmarks"][i], points, rtol=0, atol=1e-4)
        assert torch.equal(changed["confidence"][i], confidence)
    assert torch.equal(changed["index"], batch["index"])


def test_an_ellipse_lies_over_what_the_encoder_sees(batch):
    config = AugmentConfig(mirror=0.0, occluders=0.5)
    changes = draw(config)
    changed = apply_changes(batch, changes, config)
    assert torch.equal(changed["image"], batch["image"])
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    for i in range(COUNT):
        cosine, sine = math.cos(changes.turn[i]), math.sin(changes.turn[i])
        right, down = x - changes.center[i, 0], y - changes.center[i, 1]
        along, across = cosine * right + sine * down, cosine * down - sine * right
        within = ((along / changes.radii[i, 0]) ** 2 + (across / changes.radii[i, 1]) ** 2 < 1) & changes.occluded[i]
        expected = torch.where(within, changes.color[i].view(3, 1, 1), batch["image"][i])
        assert torch.equal(changed["input"][i], expected)
    assert 0 < changes.occluded.sum() < COUNT


def test_changes_are_drawn_from_what_was_asked_for():
    changes = draw(EVERYTHING, count=4000)
    assert changes.mirrored.float().mean() == pytest.approx(0.5, abs=0.03)
    assert changes.occluded.float().mean() == pytest.approx(0.5, abs=0.03)
    gain = torch.stack([changes.gain.amin(), changes.gain.amax()])
    least, most = (WIDTH * size for size in OCCLUDER_SIZE)
    for values, low, high in [
        (changes.shift, -5, 5),
        (changes.scale, 1 / 1.1, 1.1),
        (changes.angle, math.radians(-10), math.radians(10)),
        (changes.contrast, 0.8, 1.2),
        (gain, 0.7, 1.3),
        (changes.radii[:, 0], least, most),
        (changes.radii[:, 1] / changes.radii[:, 0], 0.4, 1.0),
        (changes.center[:, 0], 0, WIDTH),
        (changes.center[:, 1], 0, HEIGHT),
        (changes.turn, 0, math.pi),
        (changes.color, 0, 1),
    ]:
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high


def test_nothing_asked_for_changes_nothing(batch):
    changed = augment_batch(batch, AugmentConfig(mirror=0.0), torch.Generator().manual_seed(0))
    assert changed.keys() == batch.keys()
    assert all(torch.equal(changed[name], batch[name]) for name in batch)


def test_true_codes_are_refused(batch):
    with pytest.raises(ValueError, match="leave them out"):
        augment_batch({**batch, "code": torch.zeros(COUNT, 3)}, EVERYTHING, torch.Generator())
