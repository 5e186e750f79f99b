"""Pooling, the asymmetric distance and the share of variance within people, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_model import make_code
from torch.utils.data import Dataset

from mofa3d import SemanticCode
from mofa3d.evaluation.comparison.networks.tran import (
    PooledFaces,
    PooledTargets,
    asymmetric_distance,
    pool,
    within_person_share,
)
from mofa3d.semantic_code import CodeSizes

SIZES = CodeSizes(2, 1, 1)


class TensorDictionaries(Dataset):
    """Items that only know their number."""

    def __getitem__(self, index):
        return {"index": torch.tensor(index)}


def fits() -> SemanticCode:
    code = SemanticCode.zeros(3, SIZES)
    return code.replace(
        shape=torch.tensor([[1.0, 0.0], [5.0, 0.0], [3.0, 4.0]]),
        reflectance=torch.tensor([[2.0], [6.0], [-1.0]]),
        expression=torch.tensor([[7.0], [8.0], [9.0]]),
    )


def pooled() -> PooledTargets:
    return pool(fits(), [10, 20, 30], ["Bob", "Bob", "Ann"], torch.tensor([0.75, 0.25, 1.0]), "abc")


def test_targets_are_weighted_means_of_each_person():
    targets = pooled()
    assert targets.people == ["Ann", "Bob"]
    assert targets.shape.tolist() == [[3, 4], [2, 0]]  # 0.75 · 1 + 0.25 · 5
    assert targets.reflectance.tolist() == [[-1], [3]]
    assert targets.person.tolist() == [1, 1, 0]
    assert targets.index.tolist() == [10, 20, 30]


def test_person_without_weight_is_refused():
    with pytest.raises(ValueError, match="no fit of Ann has a positive weight; leave this person out"):
        pool(fits(), [0, 1, 2], ["Bob", "Bob", "Ann"], torch.tensor([1.0, 1.0, 0.0]), "")


def test_file_round_trip(tmp_path):
    targets = pooled()
    targets.save(tmp_path / "targets.safetensors")
    again = PooledTargets.read(tmp_path / "targets.safetensors")
    assert (again.people, again.fingerprint) == (targets.people, "abc")
    for name in ("shape", "reflectance", "index", "person", "fits"):
        assert torch.equal(getattr(again, name), getattr(targets, name))
    assert [path.name for path in tmp_path.iterdir()] == ["targets.safetensors"]


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "targets.safetensors").write_text("no tensors")
    for name in ("targets.safetensors", "nowhere"):
        with pytest.raises(ValueError, match=rf"{name} contains no valid pooled targets .*; delete it and fit again"):
            PooledTargets.read(tmp_path / name)


def test_photographs_carry_their_persons_shape_and_their_own_expression():
    faces = PooledFaces(TensorDictionaries(), pooled(), SIZES)
    assert len(faces) == 3
    code = SemanticCode.from_vector(faces[1]["code"][None], SIZES)
    assert faces[1]["index"] == 20
    assert code.shape.tolist() == [[2, 0]]
    assert code.reflectance.tolist() == [[3]]
    assert code.expression.tolist() == [[8]]


@pytest.mark.parametrize(
    ("estimate", "target", "distance"),
    [
        (1.0, 1.0, 0.0),
        (2.0, 1.0, 1.0),  # beyond
        (0.0, 1.0, 3.0),  # too near to the average face
        (-1.0, -2.0, 3.0),
        (-4.0, -2.0, 4.0),
        (1.0, -1.0, 12.0),  # the wrong side is further short than the average face
        (0.5, 0.0, 0.25),  # an average face is not free to be anything
    ],
)
def test_asymmetric_distance(estimate, target, distance):
    found = asymmetric_distance(torch.tensor([[estimate, 5.0]]), torch.tensor([[target, 5.0]]))
    assert found.tolist() == pytest.approx([distance])


def test_asymmetric_distance_with_equal_weights_is_the_squared_distance():
    a, b = make_code(4, seed=1).shape, make_code(4, seed=2).shape
    torch.testing.assert_close(asymmetric_distance(a, b, 2.0, 2.0), 2 * (a - b).square().sum(dim=1))


def test_share_of_the_variance_within_people():
    values = torch.tensor([[0.0], [2.0], [10.0], [12.0], [99.0]])
    names = ["a", "a", "b", "b", "alone"]
    # Within: 4 · 1 / (4 - 2) = 2. Total about the mean 6: (36 + 16 + 16 + 36) / 3.
    assert within_person_share(values, names) == pytest.approx(2 / (104 / 3))
    assert within_person_share(torch.tensor([[1.0], [1], [2], [2]]), list("aabb")) == 0
    assert math.isnan(within_person_share(values, list("abcde")))


def test_codes_that_know_nobody_have_a_share_of_one():
    values = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    assert within_person_share(values, [str(i % 40) for i in range(400)]) == pytest.approx(1, abs=0.02)
