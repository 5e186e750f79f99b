"""What is known about faces beyond their shards: written, read, refused, and changed with the photograph."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from mofa3d.data.batches.augment import AugmentConfig, augment
from mofa3d.data.corpus.targets import Targets, read_targets, write_targets
from mofa3d.errors import InputError

KEYS = ["a/1.jpg", "a/2.jpg", "b/ü.jpg"]


@pytest.fixture
def targets() -> Targets:
    random = torch.Generator().manual_seed(0)
    return Targets(
        dense=240 * torch.rand(3, 478, 2, generator=random),
        known=torch.tensor([True, False, True]),
        geometry=torch.randn(3, 144, generator=random),
        tone=torch.rand(3, 3, generator=random),
        tone_weight=torch.tensor([0.5, 0.0, 1.0]),
        mirrored_points=torch.arange(477, -1, -1),
        mirror=-torch.eye(144),
    )


def test_written_ones_come_back(tmp_path, targets):
    path = tmp_path / "targets.safetensors"
    write_targets(path, targets, KEYS, "abc")
    found = read_targets(path, KEYS, "abc")
    for name in ("dense", "known", "geometry", "tone", "tone_weight", "mirrored_points", "mirror"):
        assert torch.equal(getattr(found, name), getattr(targets, name))


@pytest.mark.parametrize(
    ("keys", "model", "says"),
    [(KEYS[:2], "abc", "another corpus"), (KEYS[::-1], "abc", "another corpus"), (KEYS, "abd", "another face model")],
)
def test_those_of_something_else_are_refused(tmp_path, targets, keys, model, says):
    path = tmp_path / "targets.safetensors"
    write_targets(path, targets, KEYS, "abc")
    with pytest.raises(InputError, match=says) as caught:
        read_targets(path, keys, model)
    assert "targets.safetensors" in str(caught.value)
    assert "fit_corpus.py" in str(caught.value)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=r"a\.safetensors"):
        read_targets(path, KEYS, "abc")
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.safetensors"):
        read_targets(path, KEYS, "abc")
    save_file({"dense": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"fit_corpus\.py"):
        read_targets(path, KEYS, "abc")


class TestAugmented:
    def batch(self, targets: Targets) -> dict[str, torch.Tensor]:
        items = [targets.item(index) for index in (0, 2)]
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        landmarks = batch["dense"][:, :68].clone()
        image = torch.zeros(2, 3, 240, 240)
        return {**batch, "image": image, "landmarks": landmarks, "confidence": torch.ones(2, 68)}

    def test_left_alone_where_nothing_changes(self, targets):
        found = augment(self.batch(targets), AugmentConfig(mirror=0), torch.Generator())
        assert torch.equal(found["dense"], targets.dense[[0, 2]])
        assert torch.equal(found["geometry"], targets.geometry[[0, 2]])
        assert torch.equal(found["tone"], targets.tone[[0, 2]])

    def test_mirrored(self, targets):
        found = augment(self.batch(targets), AugmentConfig(mirror=1), torch.Generator())
        expected = targets.dense[[0, 2]].flip(1)
        torch.testing.assert_close(found["dense"][..., 0], 240 - expected[..., 0])
        torch.testing.assert_close(found["dense"][..., 1], expected[..., 1])
        torch.testing.assert_close(found["geometry"], -targets.geometry[[0, 2]])

    def test_moved_with_the_landmarks(self, targets):
        changes = AugmentConfig(mirror=0, shift=9, scale=0.2, rotation=20)
        found = augment(self.batch(targets), changes, torch.Generator().manual_seed(3))
        torch.testing.assert_close(found["dense"][:, :68], found["landmarks"])
        assert float((found["dense"] - targets.dense[[0, 2]]).norm(dim=2).min(dim=1).values.max()) > 0.1


def test_unknown_faces_say_so(targets):
    assert targets.item(1)["dense_known"] == 0
    assert replace(targets, known=torch.ones(3, dtype=torch.bool)).item(1)["dense_known"] == 1
