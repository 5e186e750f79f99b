"""Eyes, lids and mouth of the shipped reflectance have the colors of eyes, lids and mouths."""

from __future__ import annotations

import pytest
import torch
from closed_mouths import seen_faces

from mofa3d.models.makehuman import dense_landmarks
from mofa3d.semantic_code import SemanticCode


@pytest.fixture(scope="module")
def colors(default_model) -> torch.Tensor:
    """Of MediaPipe's points, (478, 3)."""
    points = dense_landmarks()
    corners = default_model.faces[points.faces]
    return (default_model.mean_reflectance[corners] * points.weights[..., None]).sum(dim=1)


@pytest.fixture(scope="module")
def irises(default_model) -> torch.Tensor:
    """Vertices between pupil and edge."""
    points = dense_landmarks()
    vertices, found = default_model.mean_shape, []
    for centre in (468, 473):
        middle = vertices[default_model.faces[points.faces[centre]]].mean(dim=0)
        radius = (vertices[:, :2] - middle[:2]).norm(dim=1)
        found.append(((vertices[:, 2] - middle[2]).abs() < 2) & (radius > 3.2) & (radius < 4.6))
    return (found[0] | found[1]).nonzero().flatten()


def test_pupils_are_black_and_irises_brown(default_model, colors, irises):
    assert float(colors[[468, 473]].max()) < 0.15
    assert 8 < len(irises) < 200
    mean = default_model.mean_reflectance[irises].mean(dim=0)
    assert 0.4 > float(mean[0]) > float(mean[1]) > float(mean[2]) > 0.08


def test_open_eyes_show_white(default_model):
    landmarks = default_model.at_landmarks(default_model.mean_shape)
    rest = SemanticCode.zeros(1, default_model.sizes)
    for eye in (slice(36, 42), slice(42, 48)):
        (seen,) = seen_faces(default_model, rest, landmarks[eye].mean(dim=0), 0.0, 96, 8.0)
        shown = default_model.mean_reflectance[default_model.faces[seen]].mean(dim=1)
        white = (shown.amin(dim=1) > 0.5) & (shown.amax(dim=1) - shown.amin(dim=1) < 0.12)
        assert 0.02 < float(white.float().mean()) < 0.25


def test_lids_have_the_color_of_skin(colors):
    lids, cheeks = colors[[223, 443, 230, 450]], colors[[50, 280]].mean(dim=0)
    assert float((lids.mean(dim=1) / cheeks.mean()).min()) > 0.7
    assert (lids.diff(dim=1) < 0).all()  # red above green above blue, as skin is


def test_modes_color_all_of_an_iris_alike(default_model, irises):
    basis = default_model.reflectance_basis[irises]
    relative = basis / default_model.mean_reflectance[irises].mean(dim=1)[:, None, None]
    assert float(relative.norm()) > 0.1
    assert float((relative - relative.mean(dim=0)).norm()) < 0.5 * float(relative.norm())
