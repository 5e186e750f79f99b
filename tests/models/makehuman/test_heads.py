"""Heads of random codes: of the size of people's, and whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.models.mesh_fields import connected_to
from mofa3d.models.self_intersections import crossing_triangles
from mofa3d.morphable_model import MorphableModel

# Least and most that 3 standard deviations around the averages of women and men allow, mm. Breadth and length: Zhuang
# and Bradtmiller 2005, "Head-and-Face Anthropometric Survey of U.S. Respirator Users" (146.8 ± 5.6 and 153.0 ± 6.0;
# 187.5 ± 7.2 and 197.3 ± 7.4). Height from chin to vertex: Farkas 1994, "Anthropometry of the Head and Face", and
# Gordon et al. 1989, "1988 Anthropometric Survey of U.S. Army Personnel" (about 218 ± 9 and 232 ± 9).
BREADTH, LENGTH, HEIGHT = (130.0, 171.0), (165.9, 219.5), (191.0, 259.0)
ABOVE_EARS = 15.0  # mm over the root of the nose, above which no ear reaches


def measures(model: MorphableModel, codes: torch.Tensor) -> np.ndarray:
    """Breadth, length, height and skull top (mm) of heads (B, 4); which vertices measure is decided on the mean."""
    mean, points = model.mean_shape, model.landmarks(model.mean_shape[None])[0]
    upper = mean[:, 1] > points[27, 1] + ABOVE_EARS
    middle = (mean[:, 0].abs() < 12) & (mean[:, 1] > points[33, 1])
    part = model.restrict(upper | middle)
    shape, landmarks = part.mean_shape, part.landmarks(part.mean_shape[None])[0]
    upper = shape[:, 1] > landmarks[27, 1] + ABOVE_EARS
    middle = (shape[:, 0].abs() < 12) & (shape[:, 1] > landmarks[33, 1])
    brow = middle & (shape[:, 2] > 0) & (shape[:, 1] > landmarks[27, 1]) & (shape[:, 1] < landmarks[27, 1] + 35)
    rows = []
    for some in codes.split(50):
        heads = part.geometry(some, torch.zeros(len(some), model.sizes.expression))
        x, z = heads[:, upper, 0], heads[:, :, 2]
        top = heads[:, upper, 1].amax(dim=1)
        chin = part.landmarks(heads)[:, 8, 1]
        length = z[:, brow].amax(dim=1) - z[:, middle].amin(dim=1)
        rows.append(torch.stack([x.amax(dim=1) - x.amin(dim=1), length, top - chin, top], dim=1))
    return torch.cat(rows).numpy()


def random_codes(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 80, generator=torch.Generator().manual_seed(seed))


def skin_crossings(model: MorphableModel, codes: torch.Tensor) -> list[int]:
    """How many pairs of triangles of the skin and the mouth cross each other in each head."""
    marked = np.zeros(len(model.mean_shape), dtype=bool)
    marked[model.faces[model.landmark_faces].numpy()] = True
    faces = model.faces.numpy()
    whole = connected_to(marked, faces)
    dark = (~model.frontal & (model.mean_reflectance.amax(dim=1) < 0.35)).numpy()  # the inside of the mouth
    faces = faces[(whole & ~dark)[faces].all(axis=1)]
    mean, basis = model.mean_shape.double().numpy(), model.shape_basis.double().numpy()
    return [len(crossing_triangles(mean + basis @ code, faces)) for code in codes.double().numpy()]


def test_sizes_are_those_of_people(default_model):
    average = measures(default_model, torch.zeros(1, 80))[0]
    for value, (least, most) in zip(average, (BREADTH, LENGTH, HEIGHT), strict=False):
        third = (most - least) / 6
        assert least + third < value < most - third, average
    heads = measures(default_model, random_codes(1000))
    for values, (least, most) in zip(heads.T, (BREADTH, LENGTH, HEIGHT), strict=False):
        inside = (values > least) & (values < most)
        assert inside.mean() >= 0.98  # the population's heads are 5 mm broader than the literature's
    assert np.ptp(np.percentile(heads[:, 3], [5, 95])) < 30


def test_lips_meet_in_every_head(default_model):
    """What the lips' contact points do is the same on both: the columns neither open nor cross them."""
    basis = default_model.at_landmarks(default_model.shape_basis)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        apart = (basis[upper] - basis[lower]).square().sum(dim=1).sqrt()
        assert float(apart[1]) < 1.0  # mm, upwards


def test_heads_are_whole(default_model):
    assert skin_crossings(default_model, torch.zeros(1, 80)) == [0]
    assert sum(number > 0 for number in skin_crossings(default_model, random_codes(4))) == 0


@pytest.mark.slow
def test_a_thousand_heads_are_whole(default_model):
    crossing = np.array(skin_crossings(default_model, random_codes(1000, seed=1)))
    assert (crossing > 0).mean() < 0.03
