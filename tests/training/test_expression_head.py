"""Expression and pose are made to fit points with shapes that are given."""

from __future__ import annotations

import torch

from mofa3d import Camera
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.objective import LossWeights
from mofa3d.semantic_code import SemanticCode
from mofa3d.training import expression_head
from mofa3d.training.expression_head import BLOCKS, Known, changes_for_points
from mofa3d.training.target_losses import TargetLosses


def test_points_are_fitted_by_expression_and_pose(default_model, monkeypatch):
    monkeypatch.setattr(expression_head, "STEPS", 60)
    monkeypatch.setattr(expression_head, "RATE", 0.2)
    losses = TargetLosses(default_model, dense_landmarks(), Camera(240))
    random, sizes = torch.Generator().manual_seed(0), default_model.sizes
    features = torch.randn(40, 6, generator=random)
    wrong = SemanticCode.zeros(40, sizes).replace(shape=0.5 * torch.randn(40, sizes.shape, generator=random))
    right = wrong.replace(
        rotation=0.05 * features[:, :3], translation=3 * features[:, 3:], expression=torch.zeros(40, sizes.expression)
    )
    with torch.no_grad():
        points = losses.project(right)
    changes = changes_for_points(Known(features, wrong, points), losses, LossWeights(points=5.0, openings=12.0))
    assert set(changes) == set(BLOCKS)
    parts = {name: torch.from_numpy(change(features.double().numpy())).float() for name, change in changes.items()}
    found = wrong.replace(**{name: getattr(wrong, name) + part for name, part in parts.items()})
    with torch.no_grad():
        before, after = ((losses.project(code) - points).norm(dim=2).mean() for code in (wrong, found))
    assert float(after) < 0.3 * float(before)
    assert torch.equal(found.shape, wrong.shape)
