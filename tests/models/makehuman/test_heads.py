"""Heads of random codes: of the size of people's, and whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.models.mesh_fields import connected_to
from mofa3d.models.self_intersections import crossing_triangles
from mofa3d.morphable_model import MorphableModel

# Least and most that 3 standard deviations around the averages of groups allow, mm. Breadth above the ears and
# length: Chan, "Online Anthropometry" (City University of Hong Kong), tables 27 and 26: breadth of British women 145
# ± 6, British men 155 ± 6, men of Hong Kong 160 ± 7; length of British women 180 ± 7, men 195 ± 8. Height from chin
# to vertex: medians of women 218 and men 232 in the FAA's "Human Factors Design Standard", exhibit 14.3.2.1; for the
# spread, which it does not give, 4 %, as of length.
BREADTH, LENGTH, HEIGHT = (127.0, 181.0), (159.0, 219.0), (191.8, 259.8)
# Average and standard deviation of the 6,068 women and men of ANSUR II (Gordon et al. 2014, NATICK/TR-15/007).
SURVEYED_BREADTH, SURVEYED_LENGTH = (152.2, 6.2), (196.3, 8.5)
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
    faces = faces[whole[faces].all(axis=1)]
    mean, basis = model.mean_shape.double().numpy(), model.shape_basis.double().numpy()
    return [len(crossing_triangles(mean + basis @ code, faces)) for code in codes.double().numpy()]


def test_sizes_are_those_of_people(default_model):
    average = measures(default_model, torch.zeros(1, 80))[0]
    for value, (middle, deviation) in zip(average, (SURVEYED_BREADTH, SURVEYED_LENGTH), strict=False):
        assert abs(value - middle) < deviation, average
    heads = measures(default_model, random_codes(1000))
    for values, (least, most) in zip(heads.T, (BREADTH, LENGTH, HEIGHT), strict=False):
        assert least < values.min() < values.max() < most
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
    assert np.flatnonzero(skin_crossings(default_model, random_codes(1000, seed=1))).tolist() == []
