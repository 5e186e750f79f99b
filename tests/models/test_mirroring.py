"""Mirror images of points and codes."""

from __future__ import annotations

import torch

from mofa3d.models.makehuman import dense_landmarks
from mofa3d.models.mesh_fields import mirror_vertices
from mofa3d.models.mirroring import mirrored_codes, mirrored_points


def test_codes_of_mirror_images(default_model):
    matrix = mirrored_codes(default_model)
    code = torch.randn(4, 144, generator=torch.Generator().manual_seed(0))

    def face(codes: torch.Tensor) -> torch.Tensor:
        return default_model.geometry(codes[:, :80], codes[:, 80:])[:, default_model.frontal]

    other = torch.from_numpy(mirror_vertices(default_model.mean_shape[default_model.frontal].double().numpy()))
    mirrored = face(code)[:, other] * torch.tensor([-1.0, 1.0, 1.0])
    left = (face(code @ matrix) - mirrored).norm(dim=2).mean(dim=1)
    before = (face(code) - mirrored).norm(dim=2).mean(dim=1)
    assert float(left.max()) < 0.25 < 1.0 < float(before.min())  # mm
    assert not matrix[:80, 80:].any()
    assert not matrix[80:, :80].any()


def test_points_of_mirror_images(default_model):
    attached = dense_landmarks()
    points = (default_model.mean_shape[default_model.faces[attached.faces]] * attached.weights[..., None]).sum(dim=1)
    other = mirrored_points(points)
    assert (other[[33, 133, 61, 50, 10]].tolist()) == [263, 362, 291, 280, 10]
    assert float((other[other] == torch.arange(478)).float().mean()) > 0.98
