"""Measures of a face change by as many millimetres as asked for, and leave the others alone."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d.editing.face_measures import MEASURES, face_measures


def measured(model, code: torch.Tensor) -> dict[str, float]:
    points = model.at_landmarks(model.mean_shape + model.shape_basis @ code)
    return {
        name: float(points[list(far), axis].mean() - points[list(near), axis].mean())
        for name, (_, axis, far, near) in MEASURES.items()
    }


def test_each_changes_its_own_measure(default_model):
    measures = face_measures(default_model)
    assert measures.keys() == MEASURES.keys()
    rest = measured(default_model, torch.zeros(80))
    assert all(millimetres > 5 for millimetres in rest.values())  # every distance goes the way that its label says
    for name, measure in measures.items():
        after = measured(default_model, 2 * measure.direction)
        change = {other: after[other] - rest[other] for other in rest}
        assert change.pop(name) == pytest.approx(2, abs=1e-3), name
        assert max(map(abs, change.values())) < 0.6, name
        assert 0.5 < measure.deviation < 8
        assert float(measure.direction.norm()) * measure.deviation < 3  # a usual change is a probable one


def test_few_coefficients_cannot_tell_measures_apart():
    assert face_measures(make_tiny_model()) == {}
